"""The pipeline with real pages, chunks, embedder and store; the engine is the CPU engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from opticalrag.ingest.assembly import open_pipeline, open_store
from opticalrag.ingest.core.config import ChunkingConfig, SourceConfig, StoreConfig
from opticalrag.ingest.core.errors import StoreError
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing import points as indexing
from opticalrag.ingest.maintenance.maintenance import delete_document
from opticalrag.ingest.pipeline import writer as document_writer
from opticalrag.ingest.pipeline.pipeline import IngestEvent, IngestPipeline


def write_pdf(path: Path, *pages: str, password: str = "") -> Path:
    made = pymupdf.open()
    for text in pages:
        room = made.new_page().insert_textbox(pymupdf.Rect(72, 72, 523, 770), text, fontsize=11)
        assert room >= 0, "the text does not fit: the page would be blank"
    options = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "user_pw": password} if password else {}
    made.save(path, **options)
    made.close()
    return path


@pytest.fixture
def store(tmp_path: Path) -> StoreConfig:
    return StoreConfig(str(tmp_path / "qdrant"))


def payloads(store: StoreConfig) -> list[dict[str, Any]]:
    with open_store(store) as opened:
        return [record.payload or {} for record in opened.scroll(None)]


@contextmanager
def pipeline(store: StoreConfig) -> Iterator[IngestPipeline]:
    with open_pipeline(store, chunking=ChunkingConfig(max_tokens=64)) as opened:
        yield opened


def page_text(subject: str) -> str:
    return "\n\n".join(
        f"The {subject} was inspected in month {n} and found sound." for n in range(9)
    )


def test_a_second_run_reads_and_writes_nothing(tmp_path: Path, store: StoreConfig) -> None:
    """A complete document is not parsed, embedded or written again."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    with pipeline(store) as first:
        report = first.run([file])
    with pipeline(store) as second:
        again = second.run([file])

    assert report.points_written == report.chunks == report.embedded > 0
    assert (again.unchanged, again.pages, again.embedded, again.points_written) == (1, 0, 0, 0)


def test_an_edited_page_rewrites_only_its_own_chunks(tmp_path: Path, store: StoreConfig) -> None:
    """The chunks of untouched pages are neither embedded nor deleted."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))
    with pipeline(store) as opened:
        before = opened.run([file])
        write_pdf(file, page_text("valve"), page_text("rotor"))
        after = opened.run([file])
        third = opened.run([file])

    assert 0 < after.embedded < before.embedded
    assert after.points_deleted == after.points_written
    assert third.unchanged == 1
    with open_store(store) as stored:
        assert stored.count() == after.chunks


def test_a_bad_file_does_not_lose_the_others(tmp_path: Path, store: StoreConfig) -> None:
    """Failures are listed with a code; the rest is stored."""
    good = write_pdf(tmp_path / "good.pdf", page_text("valve"))
    locked = write_pdf(tmp_path / "locked.pdf", page_text("pump"), password="secret")  # noqa: S106
    (tmp_path / "empty.pdf").touch()
    with pipeline(store) as opened:
        report = opened.run([locked, tmp_path / "empty.pdf", tmp_path / "gone.pdf", good])

    assert report.documents == 1
    codes = {Path(f.file).name: f.code for f in report.failures}
    assert codes.keys() == {"locked.pdf", "empty.pdf", "gone.pdf"}
    assert codes["locked.pdf"] == "encrypted"


def test_the_password_opens_an_encrypted_file(tmp_path: Path, store: StoreConfig) -> None:
    """With its password an encrypted file is ingested like any other."""
    locked = write_pdf(tmp_path / "locked.pdf", page_text("pump"), password="secret")  # noqa: S106
    with pipeline(store) as opened:
        assert opened.run([locked], SourceConfig(password="secret")).chunks > 0  # noqa: S106


def test_events_report_progress(tmp_path: Path, store: StoreConfig) -> None:
    """Pages are announced when a document is opened, and then reported one by one."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))
    events: list[IngestEvent] = []
    with pipeline(store) as opened:
        opened.run([file], on_event=events.append)

    assert [e.kind for e in events] == ["opened", "page", "page", "finished"]
    assert events[0].pages == 2
    assert {e.file for e in events} == {str(file)}


def test_only_the_chosen_pages_are_indexed(tmp_path: Path, store: StoreConfig) -> None:
    """The store has no other page of the document."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))
    with pipeline(store) as opened:
        opened.run([file], SourceConfig(pages="2"))
    with open_store(store) as stored:
        (document,) = stored.documents()

    assert document.points > 0
    assert document.pages == 1


def test_a_deleted_document_is_gone(tmp_path: Path, store: StoreConfig) -> None:
    """Deleting by name removes all its points and only those."""
    one = write_pdf(tmp_path / "one.pdf", page_text("valve"))
    two = write_pdf(tmp_path / "two.pdf", page_text("pump"))
    with pipeline(store) as opened:
        report = opened.run([one, two])
    documents, points = delete_document("one.pdf", store)

    assert documents == 1
    with open_store(store) as stored:
        assert stored.count() == report.chunks - points
        assert [d.file_name for d in stored.documents()] == ["two.pdf"]


def test_payloads_hold_what_a_citation_needs(tmp_path: Path, store: StoreConfig) -> None:
    """Stored points name their file, pages, boxes and fingerprint."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    with pipeline(store) as opened:
        opened.run([file])
        points, _ = opened.store.client.scroll(opened.store.collection, with_payload=True)  # type: ignore[attr-defined]

    for point in points:
        payload = point.payload
        assert payload[Field.FILE_PATH] == str(file)
        assert payload[Field.PAGES] == [1]
        assert all(len(item["box"]) == 4 for item in payload[Field.BOXES])
        assert payload[Field.FINGERPRINT]
        assert payload[Field.CHUNK_COUNT] == len(points)


def test_points_say_when_their_document_was_stored(
    tmp_path: Path, store: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged document keeps its time; all points of an edited one get the new time."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))
    later = "2100-01-01T00:00:00Z"
    with pipeline(store) as opened:
        opened.run([file])
        monkeypatch.setattr(document_writer, "now", lambda: later)
        again = opened.run([file])
    first = {payload[Field.INGESTED_AT] for payload in payloads(store)}
    with pipeline(store) as opened:
        write_pdf(file, page_text("valve"), page_text("rotor"))
        edited = opened.run([file])

    assert (again.unchanged, again.points_written) == (1, 0)
    assert len(first) == 1
    assert datetime.fromisoformat(first.pop().replace("Z", "+00:00")).year < 2100
    assert 0 < edited.points_written < edited.chunks
    assert {payload[Field.INGESTED_AT] for payload in payloads(store)} == {later}
    assert indexing.now().endswith("Z")


def test_tenants_keep_the_same_file_apart(tmp_path: Path, store: StoreConfig) -> None:
    """Each has its own points; a deletion for one leaves the other's."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    stores = {name: replace(store, tenant=name) for name in ("a", "b")}
    for mine in stores.values():
        with pipeline(mine) as opened:
            report = opened.run([file])
            assert report.points_written == report.chunks > 0
            assert opened.run([file]).unchanged == 1

    assert {payload[Field.TENANT] for payload in payloads(store)} == {"a", "b"}
    delete_document("a.pdf", stores["a"])
    assert payloads(stores["a"]) == []
    assert len(payloads(stores["b"])) == report.chunks == len(payloads(store))


def test_nothing_is_deleted_before_its_replacement_is_stored(
    tmp_path: Path, store: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writes are lost, the old points stay and the file fails; the next run repairs it."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    with pipeline(store) as opened:
        before = opened.run([file])
        write_pdf(file, page_text("rotor"))
        with monkeypatch.context() as lossy:
            lossy.setattr(type(opened.store), "upsert", lambda self, points: len(points))
            (failure,) = opened.run([file]).failures
        assert "ingest the file again" in failure.message
        assert opened.store.count() == before.chunks  # type: ignore[attr-defined]
        after = opened.run([file])

    assert after.points_deleted == before.chunks
    assert len(payloads(store)) == after.chunks


def test_a_content_restored_after_an_interruption_is_cleaned_up(
    tmp_path: Path, store: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All old points and some new ones are stored, so the document is not complete."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    with pipeline(store) as opened:
        before = opened.run([file])
        content = file.read_bytes()
        write_pdf(file, page_text("rotor"))

        def fail(self: object, ids: object) -> int:
            raise StoreError("gone")

        with monkeypatch.context() as broken:
            broken.setattr(type(opened.store), "delete_ids", fail)
            assert [f.code for f in opened.run([file]).failures] == [StoreError.code]
        file.write_bytes(content)
        again = opened.run([file])

    assert again.unchanged == 0
    assert again.embedded == 0
    assert again.points_deleted > 0
    assert len(payloads(store)) == before.chunks
