"""Every engine handles collections, writes and deletions alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from opticalrag.ingest.core.config import CollectionOptions
from opticalrag.ingest.core.errors import (
    NotSupported,
    SchemaMismatch,
    StoreError,
)
from opticalrag.ingest.core.schema import DENSE, INDEXED, SPARSE, Field
from opticalrag.ingest.indexing.points import now
from opticalrag.ingest.store.requests import named
from opticalrag.ingest.store.store import QdrantStore

from .stores import (
    COUNT,
    MODELS,
    Numbers,
    by_cosine,
    make_points,
    open_store,
    point_id,
    question,
    stages,
)

# -- the collection ----------------------------------------------------------------------------


def test_a_collection_is_created_once_and_then_verified(store: QdrantStore) -> None:
    """The same models pass the verification."""
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
def test_other_models_are_refused_with_what_to_do(
    store: QdrantStore, embedder: Any, sparse: Any, named: str
) -> None:
    """The message says what is stored, and names another collection."""
    with pytest.raises(SchemaMismatch, match=named) as caught:
        store.ensure(embedder, sparse)
    assert f"{store.collection}-2" in str(caught.value)


def test_a_collection_of_other_vector_names_is_refused(store: QdrantStore) -> None:
    """The real vectors count, not only the metadata."""
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


def test_every_filter_field_is_indexed_before_the_first_point(store: QdrantStore) -> None:
    """A server in strict mode refuses filters on other fields."""
    if store.engine == "memory":
        pytest.skip("the client's memory has no payload indexes")
    indexes = store.client.get_collection(store.collection).payload_schema

    assert indexes.keys() == INDEXED.keys()
    assert indexes[Field.INGESTED_AT].data_type == models.PayloadSchemaType.DATETIME


# -- writing -----------------------------------------------------------------------------------


def test_writing_again_changes_nothing(filled: QdrantStore) -> None:
    """Points are identified by their ids."""
    filled.upsert(make_points(COUNT))

    assert filled.count() == COUNT
    assert filled.stored_ids([point_id(0), point_id(COUNT)]) == {point_id(0)}


def test_payloads_come_back_as_they_were(store: QdrantStore) -> None:
    """Any script, nesting, null or number; a lone surrogate becomes a question mark."""
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
    """No field of the old payload remains."""
    filled.overwrite_payloads({point_id(3): {"number": -3}})
    (stored,) = filled.client.retrieve(filled.collection, [point_id(3)], with_vectors=True)

    assert stored.payload == {"number": -3}
    assert stored.vector[DENSE] == pytest.approx(make_points(COUNT)[3].dense, abs=1e-6)
    assert stored.vector[SPARSE].indices == make_points(COUNT)[3].sparse[0]


def test_documents_are_deleted_by_id(filled: QdrantStore) -> None:
    """Other documents stay."""
    assert filled.delete_documents(["d0", "d9"]) == 10
    assert filled.delete_documents(["d1"]) == 10
    for name in ("2.pdf", "/docs/2.pdf", "d2"):
        assert [d.document_id for d in filled.documents(named(name))] == ["d2"]
    assert [d.document_id for d in filled.documents()] == ["d2", "d3", "d4", "d5"]


def test_an_interrupted_replacement_is_detected_and_cleaned(store: QdrantStore) -> None:
    """With points of two versions it is not complete; the newest complete version stays."""
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


def test_a_recent_replacement_is_not_cleaned_from_a_server(
    store: QdrantStore,
) -> None:
    """Another process may still be writing it; a folder has only one process."""
    whole = make_points(3, file_id="d", fingerprint="old", chunk_count=3, ingested_at="2026-01-01")
    store.upsert(whole)
    begun = {"fingerprint": "new", "chunk_count": 9, "ingested_at": now()}
    store.upsert(make_points(7, file_id="d", **begun)[3:])

    assert store.delete_orphans() == (0 if store.is_server else 4)
    assert store.is_complete("d", "old") is not store.is_server


# -- tenants, aliases, options -----------------------------------------------------------------


def test_a_tenant_sees_and_deletes_its_own_only(engine: str, tmp_path: Path) -> None:
    """Counting, listing, completeness, queries and deletion respect the tenant."""
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
    """The alias names the new collection at once; it cannot be a collection's name."""
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


def test_quantised_collections_are_rescored_with_the_original_vectors(
    engine: str, tmp_path: Path
) -> None:
    """The results are those of the vectors as they were written."""
    layout = CollectionOptions(on_disk=True, quantization="scalar", hnsw_m=8, hnsw_ef_construct=32)
    with open_store(engine, tmp_path, options=layout) as store:
        store.ensure(*MODELS)
        store.upsert(make_points(COUNT))
        found = store.query(question(1).tolist(), using=DENSE, limit=5)
        assert [p.id for p in found] == by_cosine(make_points(COUNT), question(1))[:5]
        if store.is_server:
            store.delete_collection()


@pytest.mark.parametrize("embedded", ["memory", "edge"])
def test_options_of_a_server_are_refused_by_other_engines(embedded: str, tmp_path: Path) -> None:
    """They are not silently ignored."""
    with (
        open_store(embedded, tmp_path, options=CollectionOptions(shard_number=2)) as store,
        pytest.raises(NotSupported, match="shard_number=2"),
    ):
        store.ensure(*MODELS)


def test_a_tenant_cannot_change_or_delete_other_points(engine: str, tmp_path: Path) -> None:
    """Not even by id; and a store without a tenant cannot overwrite a tenant's points."""
    with open_store(engine, tmp_path) as store:
        store.ensure(*MODELS)
        store.upsert(make_points(4, tenant="a"))
        store.tenant = "b"
        with pytest.raises(StoreError, match="another tenant"):
            store.overwrite_payloads({point_id(0): {"text": "stolen"}})
        assert store.delete_ids([point_id(1), point_id(2)]) == 0
        for harmful in (store.delete_collection, partial(store.switch_alias, "x")):
            with pytest.raises(NotSupported, match="tenant"):
                harmful()
        store.tenant = None
        with pytest.raises(StoreError, match="another tenant"):
            store.upsert(make_points(1))
        assert {r.payload["tenant"] for r in store.scroll(None)} == {"a"}  # type: ignore[index]
        assert store.count() == 4
        assert store.delete_ids([point_id(n) for n in range(9)]) == 4
        if store.is_server:
            store.delete_collection()


def test_a_store_opened_by_an_alias_means_its_collection(engine: str, tmp_path: Path) -> None:
    """Also when it creates another alias, and when it deletes the collection."""
    with open_store(engine, tmp_path) as store:
        store.ensure(*MODELS)
        collection = store.collection
        store.switch_alias(f"{collection}-live")
        store.collection = f"{collection}-live"
        store.switch_alias(f"{collection}-also")
        store.switch_alias(f"{collection}-live")
        named = {a: c for a, c in store.aliases().items() if a.startswith(collection)}
        assert named == {f"{collection}-also": collection, f"{collection}-live": collection}
        store.delete_collection()
        assert not store.exists()
        store.collection = collection
        assert not store.exists()
        assert not any(a.startswith(collection) for a in store.aliases())


def test_texts_and_vectors_come_back_as_they_were_written(store: QdrantStore) -> None:
    """A point can thus be copied to another id; unknown ids are left out."""
    points = make_points(3, **{Field.FILE_NAME: "a.pdf"})
    store.upsert(points)
    ids = [point.id for point in points]
    asked = [*ids, point_id(999)]
    texts, vectors = store.texts(asked, "a.pdf"), store.vectors(asked)

    assert texts == {point.id: point.payload[Field.TEXT] for point in points}
    assert store.texts(asked, "b.pdf") == {}  # vectors depend on the file's name
    assert vectors.keys() == set(ids)
    for point in points:
        found = vectors[point.id]
        unit = point.dense / np.linalg.norm(point.dense)
        assert found.dense / np.linalg.norm(found.dense) == pytest.approx(unit, abs=1e-5)
        stored = dict(zip(*found.sparse, strict=True))
        assert stored == pytest.approx(dict(zip(*point.sparse, strict=True)))
