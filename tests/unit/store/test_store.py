from __future__ import annotations

import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from opticalrag.ingest.core.config import CollectionOptions
from opticalrag.ingest.core.errors import ConfigError, SchemaMismatch, StoreUnavailable
from opticalrag.ingest.core.records import Point
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore


class FourNumbers:
    """An embedder of four numbers; the store needs only its name and dimension."""

    name = "four"
    dimension = 4


def point(text: str, **payload: Any) -> Point:
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, text))
    vector = np.ones(4, np.float32) / 2
    base = {Field.TEXT: text, Field.FILE_ID: "d1", Field.FILE_NAME: "a.pdf", Field.PAGES: [1]}
    return Point(key, {**base, **payload}, vector, Bm25Encoder().encode_documents([text])[0])


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantStore]:
    """A store in memory and one in a folder; tests/contract tests every engine further."""
    location = ":memory:" if request.param == "memory" else tmp_path / "qdrant"
    with QdrantStore(location) as opened:
        opened.ensure(FourNumbers(), Bm25Encoder())  # type: ignore[arg-type]
        yield opened


def test_writing_the_same_points_again_changes_nothing(store: QdrantStore) -> None:
    """An upsert of stored ids adds no points."""
    points = [point("one"), point("two")]
    store.upsert(points)
    store.upsert(points)

    assert store.count() == 2
    assert store.existing_ids("d1") == {p.id for p in points}


def test_a_document_is_complete_when_all_its_chunks_are_stored(store: QdrantStore) -> None:
    """The number of points with the fingerprint must equal the chunk count."""
    made = [point(t, fingerprint="f", chunk_count=2) for t in ("one", "two")]
    store.upsert(made[:1])
    assert not store.is_complete("d1", "f")
    store.upsert(made[1:])
    assert store.is_complete("d1", "f")
    assert not store.is_complete("d1", "g")
    assert not store.is_complete("d2", "f")


def test_payloads_are_replaced_without_touching_vectors(store: QdrantStore) -> None:
    """The new payload replaces the old one, and the point is still found."""
    one = point("one")
    store.upsert([one])
    store.overwrite_payloads({one.id: {Field.FILE_ID: "d2"}})
    (stored,) = store.client.retrieve(store.collection, [one.id], with_vectors=True)

    assert stored.payload == {Field.FILE_ID: "d2"}
    assert stored.vector["dense"] == pytest.approx([0.5] * 4)  # type: ignore[index, call-overload]


def test_deleting_a_document_leaves_the_others(store: QdrantStore) -> None:
    """Only the points of the given document are deleted."""
    store.upsert([point("one"), point("two"), point("three", file_id="d2")])

    assert store.delete_documents(["d1"]) == 2
    assert [d.document_id for d in store.documents()] == ["d2"]


def test_documents_count_their_pages_and_points(store: QdrantStore) -> None:
    """The counts are right for more points than one request returns."""
    store.upsert([point(f"text {n}", pages=[n // 2]) for n in range(1100)])
    (document,) = store.documents()

    assert (document.points, document.pages, document.file_name) == (1100, 550, "a.pdf")


def test_a_collection_of_other_vectors_is_refused(store: QdrantStore) -> None:
    """The error names both models and another collection to use."""
    other = FourNumbers()
    other.name = "five"

    with pytest.raises(SchemaMismatch, match=r"embedder='four'.*embedder='five'.*'opticalrag-2'"):
        store.ensure(other, Bm25Encoder())  # type: ignore[arg-type]


def test_points_are_there_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    """Also without ``create``."""
    with QdrantStore(tmp_path / "q") as first:
        first.ensure(FourNumbers(), Bm25Encoder())  # type: ignore[arg-type]
        first.upsert([point("one")])
    with QdrantStore(tmp_path / "q", create=False) as second:
        second.ensure(FourNumbers(), Bm25Encoder())  # type: ignore[arg-type]
        assert second.count() == 1


def test_folders_are_private(tmp_path: Path) -> None:
    """Only the owner may read the text of the documents."""
    with QdrantStore(tmp_path / "q"):
        assert stat.S_IMODE((tmp_path / "q").stat().st_mode) == 0o700


def test_a_folder_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A second process gets our error, not the vendor's."""
    code = (
        "from opticalrag.ingest.store.store import QdrantStore\n"
        "from opticalrag.ingest.core.errors import StoreUnavailable\n"
        f"try: QdrantStore({str(tmp_path / 'q')!r})\n"
        "except StoreUnavailable as error: print(error)\n"
    )
    with QdrantStore(tmp_path / "q"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )

    assert "in use by another process" in done.stdout
    assert "share a Qdrant server" in done.stdout


def test_a_missing_store_is_not_created_by_reading(tmp_path: Path) -> None:
    """Opening it without ``create`` is an error and leaves no folder."""
    with pytest.raises(StoreUnavailable, match="ingest documents first"):
        QdrantStore(tmp_path / "q", create=False)
    assert not (tmp_path / "q").exists()


def test_a_server_that_does_not_answer_is_named() -> None:
    """The error contains the URL."""
    with QdrantStore("http://127.0.0.1:9", api_key=None) as opened:
        assert "127.0.0.1:9" in repr(opened)
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9"):
            opened.exists()


@pytest.mark.parametrize("location", ["", " ", "localhost:6333", "ftp://x", "http://[bad"])
def test_an_invalid_location_is_refused(location: str) -> None:
    """It must not become a folder of that name."""
    with pytest.raises(ConfigError, match="http://host:port"):
        QdrantStore(location)


@pytest.mark.parametrize("name", ["", "..", "../../x", "a/b", "x" * 256])
def test_a_collection_cannot_be_a_path(name: str) -> None:
    """The name becomes a folder's."""
    with pytest.raises(ConfigError, match="invalid collection name"):
        QdrantStore(":memory:", collection=name)


@pytest.mark.parametrize("marked", [False, True])
def test_a_folder_of_the_clients_local_mode_is_refused_and_left_alone(
    tmp_path: Path, marked: bool
) -> None:
    """It contains pickles. The error says to ingest again; no file is added or changed."""
    with closing(QdrantClient(path=str(tmp_path / "old"))) as client:
        client.create_collection("c", models.VectorParams(size=1, distance=models.Distance.DOT))
    if marked:  # as earlier versions of this library did
        (tmp_path / "old" / ".opticalrag").touch()
    before = states(tmp_path)

    for create in (False, True):
        with pytest.raises(ConfigError, match=r"local mode.*new folder and ingest again"):
            QdrantStore(tmp_path / "old", create=create)
    assert states(tmp_path) == before


def states(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode, size and time of the last change of every file and folder."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (one.st_mode, one.st_size, one.st_mtime_ns) for path, one in found.items()}


def test_a_folder_with_other_files_can_be_used(tmp_path: Path) -> None:
    """Its files and its mode do not change."""
    (tmp_path / "mine.txt").write_text("x")
    mode = tmp_path.stat().st_mode
    with QdrantStore(tmp_path) as opened:
        assert opened.engine == "edge"

    assert (tmp_path / "mine.txt").read_text() == "x"
    assert tmp_path.stat().st_mode == mode


def test_a_tenant_needs_a_name(tmp_path: Path) -> None:
    """An empty name is a mistake, not a tenant."""
    with pytest.raises(ConfigError, match="tenant"):
        QdrantStore(tmp_path, tenant=" ")


@pytest.mark.parametrize(
    "wrong", [{"quantization": "product"}, {"hnsw_m": 0}, {"replication_factor": -1}]
)
def test_invalid_layouts_are_refused(wrong: dict[str, Any]) -> None:
    """Before a collection is created."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CollectionOptions(**wrong)


@pytest.mark.parametrize("name", ["aliases.json", "Aliases.JSON", "\u00e4" * 101, "x" * 201])
def test_names_that_a_folder_cannot_have_are_refused(name: str) -> None:
    """They have too many bytes, or are the name of another file of the store."""
    with pytest.raises(ConfigError, match="invalid collection name"):
        QdrantStore(":memory:", collection=name)


def test_the_longest_name_has_room_for_prefixes(tmp_path: Path) -> None:
    """Creation and deletion rename the collection's folder."""
    with QdrantStore(tmp_path / "s", collection="\u00e4" * 100) as store:
        store.ensure(FourNumbers(), Bm25Encoder())  # type: ignore[arg-type]
        store.delete_collection()
        assert not store.exists()


def test_a_location_with_a_nul_is_refused() -> None:
    """No file system allows it."""
    with pytest.raises(ConfigError, match="invalid store location"):
        QdrantStore("store\0")
