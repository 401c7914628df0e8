"""Requests to a server, parsed with the client's own models of Qdrant's API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models

from opticalrag.ingest.core.config import CollectionOptions
from opticalrag.ingest.core.errors import StoreError, StoreUnavailable
from opticalrag.ingest.core.schema import DENSE, INDEXED, SPARSE, Field
from opticalrag.ingest.store.requests import named
from opticalrag.ingest.store.settings import made_for
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.ingest.system.retry import Retry

from .rest_server import NAME, Recorder, recording
from .stores import MODELS, make_points, point_id

QUICK = Retry(total=1.0, first=0.02, longest=0.1)
POINTS = f"/collections/{NAME}/points"


@pytest.fixture
def server() -> Iterator[Recorder]:
    with recording() as recorder:
        recorder.metadata = made_for(*MODELS)
        yield recorder


@pytest.fixture
def store(server: Recorder) -> Iterator[QdrantStore]:
    server.exists = True
    with QdrantStore(server.url, retry=QUICK) as opened:
        yield opened


def stages() -> list[models.Prefetch]:
    terms = models.SparseVector(indices=[1], values=[1.0])
    return [
        models.Prefetch(query=[0.5] * 16, using=DENSE, limit=50),
        models.Prefetch(query=terms, using=SPARSE, limit=50),
    ]


def test_a_collection_is_created_with_its_indexes(server: Recorder) -> None:
    """One request has vectors, metadata and options; each filter field gets an index."""
    layout = CollectionOptions(
        on_disk=True, quantization="binary", hnsw_m=32, shard_number=2, replication_factor=2
    )
    with QdrantStore(server.url, options=layout, retry=QUICK) as store:
        store.ensure(*MODELS)
    (made,) = server.of("PUT", f"/collections/{NAME}")
    asked = models.CreateCollection.model_validate(made.body)
    indexes = server.of("PUT", f"/collections/{NAME}/index")
    fields = [models.CreateFieldIndex.model_validate(one.body) for one in indexes]

    assert asked.vectors == {
        DENSE: models.VectorParams(size=16, distance=models.Distance.COSINE, on_disk=True)
    }
    assert asked.sparse_vectors == {SPARSE: models.SparseVectorParams(modifier="idf")}
    assert asked.metadata == {**made_for(*MODELS), "quantization": "binary"}
    assert (asked.shard_number, asked.replication_factor) == (2, 2)
    assert asked.hnsw_config == models.HnswConfigDiff(m=32)
    assert asked.quantization_config.binary.always_ram  # type: ignore[union-attr]
    assert [f.field_name for f in fields] == list(INDEXED)
    assert {one.arguments for one in indexes} == {"wait=true"}
    assert fields[-2].field_schema == models.KeywordIndexParams(type="keyword", is_tenant=True)


def test_points_are_written_in_bounded_concurrent_requests(
    server: Recorder, store: QdrantStore
) -> None:
    """Every point is sent once, in bodies far below the server's limit of 32 MB."""
    server.pause = 0.2  # longer than the client needs to make the next request
    points = make_points(1500, text="word " * 6000)
    store.exists()
    store.upsert(points)
    sent = server.of("PUT", POINTS)
    listed = [models.PointsList.model_validate(one.body) for one in sent]

    assert sorted(str(p.id) for one in listed for p in one.points) == [p.id for p in points]
    assert {one.arguments for one in sent} == {"wait=true"}
    assert max(one.size for one in sent) < 9 * 1024**2
    assert max(len(one.points) for one in listed) <= 256
    assert 1 < server.most_at_once <= 4
    assert listed[0].points[0].vector.keys() == {DENSE, SPARSE}  # type: ignore[union-attr]


def test_payloads_are_replaced_and_points_deleted(server: Recorder, store: QdrantStore) -> None:
    """Points are deleted by id and by document."""
    store.overwrite_payloads({point_id(1): {"a": 1}})
    store.delete_ids([point_id(1)])
    store.delete_documents(["d"])
    (batch,) = server.of("POST", f"{POINTS}/batch")
    operations = models.UpdateOperations.model_validate(batch.body).operations
    deleted = (one.body for one in server.of("POST", f"{POINTS}/delete"))
    by_id, by_field = (models.FilterSelector.model_validate(one).filter for one in deleted)

    assert operations[0].overwrite_payload.payload == {"a": 1}  # type: ignore[union-attr]
    assert by_id.must[0].has_id == [point_id(1)]  # type: ignore[index, union-attr]
    assert by_field.must[0].key == Field.FILE_ID  # type: ignore[index, union-attr]


def test_a_tenants_filter_is_in_every_query_and_stage(server: Recorder) -> None:
    """A stage without it would rank the points of other tenants."""
    server.exists = True
    own = models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="flags"))])
    with QdrantStore(server.url, tenant="a", retry=QUICK) as store:
        store.query(models.RrfQuery(rrf=models.Rrf(k=60)), prefetch=stages(), where=own, limit=7)
    (asked,) = server.of("POST", f"{POINTS}/query")
    query = models.QueryRequest.model_validate(asked.body)
    tenant = models.FieldCondition(key=Field.TENANT, match=models.MatchValue(value="a"))

    assert query.filter == models.Filter(must=[tenant, own])
    assert [p.filter for p in query.prefetch] == [models.Filter(must=[tenant])] * 2  # type: ignore[union-attr]
    assert query.limit == 7


def test_quantised_collections_are_rescored(server: Recorder, store: QdrantStore) -> None:
    """The store reads from the collection that it is quantised."""
    server.metadata = {**made_for(*MODELS), "quantization": "scalar"}
    store.query(models.FusionQuery(fusion=models.Fusion.RRF), prefetch=stages(), limit=5)
    (asked,) = server.of("POST", f"{POINTS}/query")
    query = models.QueryRequest.model_validate(asked.body)

    for stage in query.prefetch:  # type: ignore[union-attr]
        assert stage.params.quantization.rescore is True  # type: ignore[union-attr]


def test_every_field_the_store_filters_by_is_indexed(server: Recorder, store: QdrantStore) -> None:
    """A server in strict mode refuses filters on other fields."""
    store.tenant = "a"
    store.count()
    store.existing_ids("d")
    store.is_complete("d", "f")
    store.count_made("d", "f")
    store.documents(named("a.pdf"))
    store.delete_orphans()
    store.delete_documents(["d"])
    store.query([0.5] * 16, using=DENSE)
    keys = {key for one in server.requests for key in filter_keys(one.body)}

    assert keys >= {Field.FILE_ID, Field.FILE_PATH, Field.FILE_NAME, Field.FINGERPRINT, "tenant"}
    assert keys <= INDEXED.keys()


def filter_keys(body: Any) -> Iterator[str]:
    """Yield the payload fields in the conditions of a request."""
    if isinstance(body, dict):
        if "key" in body and body.keys() & {"match", "range", "is_empty", "is_null"}:
            yield body["key"]
        for value in body.values():
            yield from filter_keys(value)
    elif isinstance(body, list):
        for value in body:
            yield from filter_keys(value)


def test_an_alias_is_switched_in_one_request(server: Recorder, store: QdrantStore) -> None:
    """The old alias is deleted and the new one created together."""
    store.switch_alias("live")
    (sent,) = server.of("POST", "/collections/aliases")
    old, new = models.ChangeAliasesOperation.model_validate(sent.body).actions

    assert old.delete_alias.alias_name == "live"  # type: ignore[union-attr]
    assert new.create_alias == models.CreateAlias(collection_name=NAME, alias_name="live")  # type: ignore[union-attr]


# -- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_transient_faults_of_a_server_are_retried(
    server: Recorder, store: QdrantStore, code: int
) -> None:
    """The same request is sent until it succeeds, then the next."""
    store.exists()
    server.faults = [(code, {}), (code, {})]

    assert store.upsert(make_points(3)) == 3
    assert len(server.of("POST", POINTS)) == 3  # the check for other tenants' points
    assert len(server.of("PUT", POINTS)) == 1


def test_retry_after_is_obeyed(server: Recorder, store: QdrantStore) -> None:
    """A wait beyond the time allowed does not start."""
    store.exists()
    server.faults = [(429, {"Retry-After": "30"})]
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="try again later"):
        store.upsert(make_points(1))

    assert time.monotonic() - started < 5


def test_lasting_faults_end_in_time(server: Recorder, store: QdrantStore) -> None:
    """After the time allowed, the error contains the server's answer."""
    store.exists()
    server.faults = [(503, {})] * 1000
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="503"):
        store.upsert(make_points(1))

    assert 0.5 < time.monotonic() - started < 5
    assert 5 < len(server.requests) < 60


def test_a_refused_request_is_not_retried(server: Recorder, store: QdrantStore) -> None:
    """It would be refused again."""
    store.exists()
    server.faults = [(400, {})]
    with pytest.raises(StoreError, match="400"):
        store.upsert(make_points(1))

    assert len(server.of("POST", POINTS)) == 1


def test_only_a_server_that_has_answered_is_retried() -> None:
    """A wrong URL fails at once; the restart of a known server is waited for."""
    with recording() as server:
        server.exists = True
        store = QdrantStore(server.url, retry=QUICK)
        store.exists()
        stranger = QdrantStore("http://127.0.0.1:9", retry=Retry(total=60))
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="is it running"):
        stranger.exists()
    assert time.monotonic() - started < 2
    with pytest.raises(StoreUnavailable, match="is it running"):
        store.upsert(make_points(1))
    assert time.monotonic() - started > 0.5
    store.close()
    stranger.close()
