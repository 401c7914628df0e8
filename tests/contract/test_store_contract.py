"""Every engine keeps, finds and forgets points alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from opticalrag.ingest.config import CollectionOptions
from opticalrag.ingest.errors import (
    NotSupported,
    SchemaMismatch,
    StoreError,
)
from opticalrag.ingest.schema import DENSE, INDEXED, SPARSE, Field
from opticalrag.ingest.store import QdrantStore
from opticalrag.ingest.vector_store import OpticalVectorStore
from qdrant_client import QdrantClient, models

from .stores import (
    ENGINES,
    MODELS,
    Numbers,
    by_cosine,
    by_terms,
    fields,
    make_points,
    open_store,
    point_id,
)

COUNT = 60
Match, Condition = models.MatchValue, models.FieldCondition


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(engine: str, tmp_path: Path) -> Iterator[QdrantStore]:
    """An empty collection."""
    with made(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
def filled(store: QdrantStore) -> QdrantStore:
    """A collection of points, to change."""
    store.upsert(make_points(COUNT))
    return store


@pytest.fixture(scope="module")
def asked(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantStore]:
    """A collection of points, only to read."""
    with made(engine, tmp_path_factory.mktemp("asked")) as opened:
        opened.upsert(make_points(COUNT))
        yield opened


@contextmanager
def made(engine: str, folder: Path) -> Iterator[QdrantStore]:
    with open_store(engine, folder) as opened:
        opened.ensure(*MODELS)
        yield opened
        if opened.is_server:
            opened.delete_collection()


def numbers(store: QdrantStore, where: models.Filter) -> set[int]:
    return {record.payload["number"] for record in store.scroll(where)}  # type: ignore[index]


# -- the collection ----------------------------------------------------------------------------


def test_a_collection_is_made_once_and_verified_after(store: QdrantStore) -> None:
    """The same models are accepted again."""
    store.ensure(*MODELS)
    store.verify(*MODELS)

    assert store.exists()
    assert store.count() == 0


@pytest.mark.parametrize(
    ("embedder", "sparse", "named"),
    [
        (Numbers("other"), Numbers("terms"), "embedder='numbers'"),
        (Numbers(dimension=8), Numbers("terms"), "dimension=16"),
        (Numbers(), Numbers("splade"), "sparse_encoder='terms'"),
    ],
)
def test_other_models_are_refused_with_the_command_that_helps(
    store: QdrantStore, embedder: Any, sparse: Any, named: str
) -> None:
    """The message says what is stored and how to go on."""
    with pytest.raises(SchemaMismatch, match=named) as caught:
        store.ensure(embedder, sparse)
    assert f"--collection {store.collection}-2" in str(caught.value)


def test_a_collection_of_other_vector_names_is_refused(store: QdrantStore) -> None:
    """What the collection is counts, not only what was written about it."""
    info = store.client.get_collection(store.collection)
    store.client.delete_collection(store.collection)
    store.client.create_collection(
        store.collection,
        vectors_config={"text": models.VectorParams(size=16, distance=models.Distance.COSINE)},
        sparse_vectors_config={SPARSE: models.SparseVectorParams()},
        metadata=info.config.metadata,
    )
    with pytest.raises(SchemaMismatch, match=r"dense_vector=None, sparse_vector=None"):
        store.verify(*MODELS)


def test_every_field_to_filter_by_is_indexed_before_the_first_point(store: QdrantStore) -> None:
    """A server in strict mode refuses filters on other fields."""
    if store.engine == "local":
        pytest.skip("the local mode has no payload indexes")
    indexes = store.client.get_collection(store.collection).payload_schema

    assert indexes.keys() == INDEXED.keys()
    assert indexes[Field.INGESTED_AT].data_type == models.PayloadSchemaType.DATETIME


# -- writing -----------------------------------------------------------------------------------


def test_writing_again_changes_nothing(filled: QdrantStore) -> None:
    """Ids decide."""
    filled.upsert(make_points(COUNT))

    assert filled.count() == COUNT
    assert filled.stored_ids([point_id(0), point_id(COUNT)]) == {point_id(0)}


def test_payloads_come_back_as_they_were(store: QdrantStore) -> None:
    """Any script, nested values, nulls and numbers; a lone surrogate becomes a question mark."""
    (one,) = make_points(1)
    payload = {
        "text": "日本語 العربية \u0301 🎉 \0 end",
        "boxes": [{"page": 1, "box": [0.0, 0.25, 0.5, 1.0]}],
        "none": None,
        "yes": True,
        "large": 2**53,
        "": "empty key",
        "broken": "a\ud800b",
    }
    one.payload.clear()
    one.payload.update(payload)
    store.upsert([one])
    (stored,) = store.scroll(None)

    assert stored.payload == {**payload, "broken": "a?b"}


def test_a_payload_is_replaced_and_the_vectors_stay(filled: QdrantStore) -> None:
    """Nothing of the old payload is left."""
    filled.overwrite_payloads({point_id(3): {"number": -3}})
    (stored,) = filled.client.retrieve(filled.collection, [point_id(3)], with_vectors=True)

    assert stored.payload == {"number": -3}
    assert stored.vector[DENSE] == pytest.approx(make_points(COUNT)[3].dense, abs=1e-6)
    assert stored.vector[SPARSE].indices == make_points(COUNT)[3].sparse[0]


def test_documents_are_deleted_by_id_and_by_path(filled: QdrantStore) -> None:
    """And only they."""
    assert filled.delete_documents(["d0", "d9"]) == 10
    assert filled.delete_path("/docs/1.pdf") == 10
    assert filled.document_ids("2.pdf") == filled.document_ids("/docs/2.pdf") == {"d2"}
    assert [d.document_id for d in filled.documents()] == ["d2", "d3", "d4", "d5"]


def test_an_interrupted_replacement_is_seen_and_cleaned(store: QdrantStore) -> None:
    """Points of two contents: the document is not complete; the newest whole content stays."""
    old = make_points(3, file_id="d", fingerprint="old", chunk_count=3, ingested_at="2026-01-01")
    store.upsert(old)
    assert store.is_complete("d", "old")

    new = make_points(5, file_id="d", fingerprint="new", chunk_count=2, ingested_at="2026-01-02")
    store.upsert(new[3:])
    assert not store.is_complete("d", "new")
    assert not store.is_complete("d", "old")
    assert store.delete_orphans() == 3
    assert store.is_complete("d", "new")
    assert store.delete_orphans() == 0


# -- reading -----------------------------------------------------------------------------------


def test_more_points_than_a_page_are_all_listed_once(store: QdrantStore) -> None:
    """Scrolling goes on to the end."""
    store.upsert(make_points(2300))

    assert store.count() == 2300
    assert len({record.id for record in store.scroll(None, fields=())}) == 2300
    assert sum(d.points for d in store.documents()) == 2300


def test_what_is_not_there_is_not_found(asked: QdrantStore) -> None:
    """Unknown documents and ids are empty, not errors."""
    assert asked.existing_ids("nobody") == set()
    assert asked.stored_ids([]) == set()
    assert not asked.is_complete("nobody", "f")


def has(field: str, **how: Any) -> models.Filter:
    return models.Filter(must=[Condition(key=field, **how)])


def by_date(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=timezone.utc)


FILTERS: dict[str, tuple[models.Filter, Callable[[dict[str, Any]], bool]]] = {
    "value": (has("kind", match=Match(value="table")), lambda f: f["kind"] == "table"),
    "element": (has("pages", match=Match(value=7)), lambda f: 7 in f["pages"]),
    "any": (
        has("kind", match=models.MatchAny(any=["table", "list"])),
        lambda f: f["kind"] in ("table", "list"),
    ),
    "any number": (
        has("pages", match=models.MatchAny(any=[3, 20])),
        lambda f: bool({3, 20} & set(f["pages"])),
    ),
    "except": (
        has("kind", match=models.MatchExcept(**{"except": ["text"]})),
        lambda f: f["kind"] != "text",
    ),
    "text": (has("text", match=models.MatchText(text="of 17")), lambda f: f["number"] == 17),
    "range": (
        has("pages", range=models.Range(gte=10, lt=12)),
        lambda f: any(10 <= page < 12 for page in f["pages"]),
    ),
    "dates": (
        has("ingested_at", range=models.DatetimeRange(gt=by_date(2026, 1, 20))),
        lambda f: f["number"] % 28 > 19,
    ),
    "empty": (
        models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="flags"))]),
        lambda f: "flags" not in f,
    ),
    "null": (
        models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key="language"))]),
        lambda f: f.get("language", "") is None,
    ),
    "ids": (
        models.Filter(must=[models.HasIdCondition(has_id=[point_id(4), point_id(5)])]),
        lambda f: f["number"] in (4, 5),
    ),
    "not": (
        models.Filter(must_not=[Condition(key="flags", match=Match(value="ocr"))]),
        lambda f: "flags" not in f,
    ),
    "at least": (
        models.Filter(
            min_should=models.MinShould(
                conditions=[
                    Condition(key="kind", match=Match(value="text")),
                    Condition(key="flags", match=Match(value="ocr")),
                    Condition(key="pages", range=models.Range(lte=30)),
                ],
                min_count=2,
            )
        ),
        lambda f: (f["kind"] == "text") + ("flags" in f) + (f["pages"][0] <= 30) >= 2,
    ),
    "nested": (
        models.Filter(
            should=[
                models.Filter(
                    must=[Condition(key="kind", match=Match(value="list"))],
                    must_not=[Condition(key="pages", range=models.Range(gt=9))],
                ),
                Condition(key="file_name", match=Match(value="5.pdf")),
            ]
        ),
        lambda f: (f["kind"] == "list" and f["pages"][1] <= 9) or f["file_name"] == "5.pdf",
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_let_through_what_they_say(asked: QdrantStore, name: str) -> None:
    """Counting and listing agree with the filter written in Python."""
    where, expected = FILTERS[name]
    wanted = {n for n in range(COUNT) if expected(fields(n))}

    assert wanted
    assert numbers(asked, where) == wanted
    assert asked.count(where) == len(wanted)


def test_booleans_are_filtered_by(store: QdrantStore) -> None:
    """True is not 1: the embedded engine's binding confuses them."""
    points = make_points(2)
    points[0].payload["yes"], points[1].payload["yes"] = True, False
    store.upsert(points)

    assert numbers(store, has("yes", match=Match(value=True))) == {0}
    assert numbers(store, has("yes", match=Match(value=False))) == {1}


# -- questions ---------------------------------------------------------------------------------


def question(seed: int) -> Any:
    vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
    return vector / np.linalg.norm(vector)


SPARSE_QUESTION = ([3, 17, 29, 41], [1.0, 1.0, 1.0, 1.0])


def sparse_question() -> models.SparseVector:
    indices, values = SPARSE_QUESTION
    return models.SparseVector(indices=indices, values=values)


def test_dense_questions_find_the_nearest(asked: QdrantStore) -> None:
    """The same points in the same order as comparing with every vector."""
    found = asked.query(question(1).tolist(), using=DENSE, limit=10)

    assert [p.id for p in found] == by_cosine(make_points(COUNT), question(1))[:10]
    assert found[0].score == pytest.approx(
        float(max(p.dense @ question(1) for p in make_points(COUNT))), abs=1e-5
    )


def test_sparse_questions_count_rare_terms_more(asked: QdrantStore) -> None:
    """Scores carry the IDF of the collection; points without a term are not found."""
    wanted = by_terms(make_points(COUNT), SPARSE_QUESTION)
    found = asked.query(sparse_question(), using=SPARSE, limit=COUNT)

    assert {str(p.id): p.score for p in found} == pytest.approx(wanted, rel=1e-4)
    assert [p.score for p in found] == sorted(wanted.values(), reverse=True) or len(found) > 9


def test_hybrid_questions_fuse_both_rankings(asked: QdrantStore) -> None:
    """Reciprocal ranks of both lists, added: k is 2, ranks begin at 0."""
    limit = 20
    dense = asked.query(question(2).tolist(), using=DENSE, limit=limit)
    sparse = asked.query(sparse_question(), using=SPARSE, limit=limit)
    wanted: dict[str, float] = {}
    for ranking in (dense, sparse):
        for rank, one in enumerate(ranking):
            wanted[str(one.id)] = wanted.get(str(one.id), 0.0) + 1 / (2 + rank)
    found = asked.query(
        models.FusionQuery(fusion=models.Fusion.RRF), prefetch=stages(limit), limit=5
    )

    best = sorted(wanted.values(), reverse=True)[:5]
    assert [p.score for p in found] == pytest.approx(best, rel=1e-4)


def stages(limit: int) -> list[models.Prefetch]:
    return [
        models.Prefetch(query=question(2).tolist(), using=DENSE, limit=limit),
        models.Prefetch(query=sparse_question(), using=SPARSE, limit=limit),
    ]


def test_fusions_take_weights(asked: QdrantStore) -> None:
    """A list that counts for nothing leaves the other's order."""
    weighed = models.RrfQuery(rrf=models.Rrf(k=60, weights=[1.0, 0.0]))
    found = asked.query(weighed, prefetch=stages(10), limit=3)

    assert [p.id for p in found] == by_cosine(make_points(COUNT), question(2))[:3]


def test_fusions_by_score_distribution_find_points(asked: QdrantStore) -> None:
    """DBSF is the other fusion of Qdrant."""
    dbsf = models.FusionQuery(fusion=models.Fusion.DBSF)

    assert len(asked.query(dbsf, prefetch=stages(10), limit=5)) == 5


def test_filters_hold_in_every_stage(asked: QdrantStore) -> None:
    """A filter of the stages leaves out all else; so does one of the question."""
    tables, _ = FILTERS["value"]
    filtered = [stage.model_copy(update={"filter": tables}) for stage in stages(20)]
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    hybrid = asked.query(fusion, prefetch=filtered, limit=9)
    dense = asked.query(question(1).tolist(), using=DENSE, where=tables, limit=9)

    for found in (hybrid, dense):
        assert len(found) == 9
        assert {p.payload["kind"] for p in found} == {"table"}  # type: ignore[index]


def test_diverse_points_are_chosen_among_the_nearest(asked: QdrantStore) -> None:
    """MMR with all weight on relevance is the plain order; the best point comes first always."""
    nearest = by_cosine(make_points(COUNT), question(3))
    plain, diverse = (
        asked.query(
            models.NearestQuery(
                nearest=question(3).tolist(), mmr=models.Mmr(diversity=d, candidates_limit=30)
            ),
            using=DENSE,
            limit=5,
        )
        for d in (0.0, 0.9)
    )

    assert [p.id for p in plain] == nearest[:5]
    assert diverse[0].id == nearest[0]
    assert [p.id for p in diverse] != nearest[:5]
    assert {p.id for p in diverse} <= set(nearest[:30])


def test_payload_vectors_and_scores_are_chosen(asked: QdrantStore) -> None:
    """Only the fields and vectors asked for come, and only points that score enough."""
    how: dict[str, Any] = {"using": DENSE, "limit": 50}
    (first, *_) = asked.query(
        question(1).tolist(), with_payload=["kind"], with_vectors=[SPARSE], **how
    )
    assert first.payload.keys() == {"kind"}  # type: ignore[union-attr]
    assert first.vector.keys() == {SPARSE}  # type: ignore[union-attr]
    (bare, *_) = asked.query(question(1).tolist(), with_payload=False, **how)
    assert (bare.payload, bare.vector) in ((None, None), ({}, None))
    close = asked.query(question(1).tolist(), score_threshold=0.3, **how)
    assert 0 < len(close) < 50
    assert all(p.score >= 0.3 for p in close)


def test_the_best_of_each_document_can_be_asked_for(asked: QdrantStore) -> None:
    """Groups come in the order of their best points, each with so many."""
    groups = asked.query_groups(
        question(1).tolist(), Field.FILE_ID, using=DENSE, limit=4, group_size=2
    )
    order = by_cosine(make_points(COUNT), question(1))
    files = [fields(int(key.replace("-", ""), 16) - 1)[Field.FILE_ID] for key in order]

    assert [g.id for g in groups] == list(dict.fromkeys(files))[:4]
    assert [g.hits[0].id for g in groups] == [order[files.index(str(g.id))] for g in groups]
    assert all(len(g.hits) == 2 for g in groups)
    few = asked.query_groups(
        question(1).tolist(), Field.FILE_ID, using=DENSE, limit=4, with_payload=["kind"]
    )
    assert [g.id for g in few] == [g.id for g in groups]
    assert few[0].hits[0].payload["kind"] == fields(int(order[0][-4:], 16) - 1)["kind"]  # type: ignore[index]


# -- tenants, aliases, snapshots, options ------------------------------------------------------


def test_a_tenant_sees_and_deletes_its_own_only(engine: str, tmp_path: Path) -> None:
    """Counting, listing, completeness, questions and deletion keep to the tenant."""
    with open_store(engine, tmp_path) as everyone:
        everyone.ensure(*MODELS)
        everyone.upsert(make_points(10, tenant="a", fingerprint="f", chunk_count=10))
        everyone.tenant = "b"
        everyone.upsert(
            [
                p
                for p in make_points(20, fingerprint="f", chunk_count=10, file_id="d0")
                if p.id not in {point_id(n) for n in range(10)}
            ]
        )
        fusion = models.FusionQuery(fusion=models.Fusion.RRF)
        found = everyone.query(fusion, prefetch=stages(50), limit=50)

        assert everyone.count() == len(everyone.existing_ids("d0")) == 10
        assert {p.payload["tenant"] for p in found} == {"b"}  # type: ignore[index]
        assert everyone.is_complete("d0", "f")
        assert everyone.stored_ids([point_id(1), point_id(11)]) == {point_id(11)}
        with pytest.raises(StoreError, match="another tenant"):
            everyone.upsert(make_points(1))
        assert everyone.delete_documents(["d0"]) == 10
        everyone.tenant = None
        assert everyone.count() == 10
        if everyone.is_server:
            everyone.delete_collection()


def test_an_alias_is_switched_to_a_collection_of_another_model(engine: str, tmp_path: Path) -> None:
    """Who asks by the alias gets the new collection at once; a collection's name is refused."""
    with open_store(engine, tmp_path) as store:
        old = store.collection
        store.ensure(*MODELS)
        store.upsert(make_points(3))
        store.switch_alias(f"{old}-live")
        store.collection = f"{old}-live"
        assert store.count() == 3

        store.collection = f"{old}-2"
        store.ensure(Numbers("better", 8), MODELS[1])  # type: ignore[arg-type]
        store.switch_alias(f"{old}-live")
        assert store.aliases()[f"{old}-live"] == f"{old}-2"
        with pytest.raises(StoreError):
            store.switch_alias(old)

        store.collection = f"{old}-live"
        assert store.exists()
        assert store.count() == 0
        with pytest.raises(SchemaMismatch):
            store.verify(*MODELS)
        for name in (old, f"{old}-2"):
            store.collection = name
            store.delete_collection()
            assert not store.exists()


def test_a_snapshot_brings_back_what_was_there(engine: str, tmp_path: Path) -> None:
    """Points written after it are gone, those deleted after it are back."""
    with open_store(engine, tmp_path) as store:
        store.ensure(*MODELS)
        store.upsert(make_points(COUNT))
        if engine == "memory":
            with pytest.raises(NotSupported):
                store.create_snapshot()
            return
        name = store.create_snapshot()
        store.delete_documents(["d0"])
        store.upsert(make_points(2 * COUNT)[COUNT:])
        assert name in store.list_snapshots()

        store.restore_snapshot(name)
        found = store.query(question(1).tolist(), using=DENSE, limit=10)
        assert store.count() == COUNT
        assert [p.id for p in found] == by_cosine(make_points(COUNT), question(1))[:10]
        store.upsert(make_points(1, seed=5))
        with pytest.raises(StoreError):
            store.restore_snapshot("nothing")
        assert store.count() == COUNT
        if store.is_server:
            store.delete_collection()


def test_quantised_collections_score_again_with_the_original_vectors(
    engine: str, tmp_path: Path
) -> None:
    """What is found is found by the vectors as they were written."""
    layout = CollectionOptions(on_disk=True, quantization="scalar", hnsw_m=8, hnsw_ef_construct=32)
    with open_store(engine, tmp_path, options=layout) as store:
        store.ensure(*MODELS)
        store.upsert(make_points(COUNT))
        found = store.query(question(1).tolist(), using=DENSE, limit=5)
        assert [p.id for p in found] == by_cosine(make_points(COUNT), question(1))[:5]
        if store.is_server:
            store.delete_collection()


@pytest.mark.parametrize("embedded", ["memory", "local", "edge"])
def test_options_of_a_server_are_refused_elsewhere(embedded: str, tmp_path: Path) -> None:
    """Instead of being left out quietly."""
    with (
        open_store(embedded, tmp_path, options=CollectionOptions(shard_number=2)) as store,
        pytest.raises(NotSupported, match="shard_number=2"),
    ):
        store.ensure(*MODELS)


# -- folders -----------------------------------------------------------------------------------

FOLDERS = pytest.mark.parametrize("kept", ["local", "edge"])


@FOLDERS
def test_points_are_there_when_the_folder_is_opened_again(kept: str, tmp_path: Path) -> None:
    """With their vectors, payload and indexes; the engine is known by itself."""
    with open_store(kept, tmp_path) as first:
        first.ensure(*MODELS)
        first.upsert(make_points(COUNT))
    with QdrantStore(tmp_path / "store", create=False) as again:
        again.verify(*MODELS)
        found = again.query(sparse_question(), using=SPARSE, limit=COUNT)
        assert again.engine == kept
        assert again.count() == COUNT
        assert {str(p.id) for p in found} == by_terms(make_points(COUNT), SPARSE_QUESTION).keys()


def python(code: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@FOLDERS
def test_a_second_process_is_refused(kept: str, tmp_path: Path) -> None:
    """With what to do, also when it asks for the other engine's files."""
    code = (
        "from opticalrag.ingest.errors import StoreUnavailable\n"
        "from opticalrag.ingest.store import QdrantStore\n"
        f"try: QdrantStore({str(tmp_path / 'store')!r})\n"
        "except StoreUnavailable as error: print(error)\n"
    )
    with open_store(kept, tmp_path) as store:
        store.ensure(*MODELS)
        out, _ = python(code).communicate(timeout=60)

    assert "in use by another process" in out


@FOLDERS
def test_what_was_written_outlives_a_killed_process(kept: str, tmp_path: Path) -> None:
    """Every call that returned counts: points, payloads and deletions."""
    code = (
        "from pathlib import Path\n"
        "from tests.contract.stores import *\n"
        f"store = open_store({kept!r}, Path({str(tmp_path)!r}))\n"
        "store.ensure(*MODELS)\n"
        "for n, one in enumerate(make_points(100_000)):\n"
        "    store.upsert([one])\n"
        "    if n == 20: store.delete_ids([point_id(3)])\n"
        "    if n == 20: store.overwrite_payloads({point_id(4): {'number': -4}})\n"
        "    print(n, flush=True)\n"
    )
    code = code.replace("100_000", "400")
    writer = python(code, cwd=Path(__file__).parents[2])
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == 90:
            writer.kill()
            break
    rest = writer.stdout.read().split()
    writer.communicate()
    last = int(rest[-1]) if rest else 90

    with QdrantStore(tmp_path / "store") as store:
        store.verify(*MODELS)
        there = {record.payload["number"] for record in store.scroll(None)}  # type: ignore[index]
        points = make_points(400)[: last + 1]
        del points[3]
        found = store.query(question(1).tolist(), using=DENSE, limit=5)
        assert there >= {-4, *range(last + 1)} - {3, 4}
        assert 3 not in there
        assert found[0].id in by_cosine(points, question(1))[:2]


def test_llama_indexes_own_store_reads_a_folder_of_the_local_engine(tmp_path: Path) -> None:
    """Points written through ours come back as nodes."""
    with open_store("local", tmp_path) as store:
        written = TextNode(id_=point_id(1), text="words", metadata={"pages": [3]})
        written.embedding = [0.25] * 16
        OpticalVectorStore(store, "numbers").add([written])
    client = QdrantClient(path=str(tmp_path / "store"))
    vectors = QdrantVectorStore(
        "opticalrag", client=client, dense_vector_name=DENSE, sparse_vector_name=SPARSE
    )
    index = VectorStoreIndex.from_vector_store(vectors, embed_model=MockEmbedding(16))
    (found,) = index.as_retriever().retrieve("anything")
    client.close()

    assert (found.node_id, found.text, found.metadata) == (point_id(1), "words", {"pages": [3]})
