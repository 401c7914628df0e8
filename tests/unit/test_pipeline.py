"""The pipeline with real pages, chunks, embedder and store; the engine is the CPU engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymupdf
import pytest
from opticalrag.ingest.config import ChunkingConfig, SourceConfig, StoreConfig
from opticalrag.ingest.pipeline import IngestEvent, IngestPipeline
from opticalrag.ingest.schema import Field
from opticalrag.ingest.wiring import delete_document, open_pipeline, open_store


def write_pdf(path: Path, *pages: str, password: str = "") -> Path:
    made = pymupdf.open()
    for text in pages:
        made.new_page().insert_textbox(pymupdf.Rect(72, 72, 523, 770), text, fontsize=11)
    options = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "user_pw": password} if password else {}
    made.save(path, **options)
    made.close()
    return path


@pytest.fixture
def store(tmp_path: Path) -> StoreConfig:
    return StoreConfig(str(tmp_path / "qdrant"))


@contextmanager
def pipeline(store: StoreConfig) -> Iterator[IngestPipeline]:
    with open_pipeline(store, chunking=ChunkingConfig(max_tokens=64)) as opened:
        yield opened


def page_text(subject: str) -> str:
    return "\n\n".join(
        f"The {subject} was inspected in month {n} and found sound." for n in range(9)
    )


def test_a_second_run_reads_and_writes_nothing(tmp_path: Path, store: StoreConfig) -> None:
    """What is stored completely is not parsed, embedded or written again."""
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


def test_events_tell_how_far_it_is(tmp_path: Path, store: StoreConfig) -> None:
    """Every page of every document is announced and then reported."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"))
    events: list[IngestEvent] = []
    with pipeline(store) as opened:
        opened.run([file], on_event=events.append)

    assert [e.kind for e in events] == ["opened", "page", "page", "finished"]
    assert events[0].pages == 2


def test_a_page_choice_is_what_is_indexed(tmp_path: Path, store: StoreConfig) -> None:
    """Only the chosen pages are in the store."""
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
    ids, points = delete_document("one.pdf", store)

    assert len(ids) == 1
    with open_store(store) as stored:
        assert stored.count() == report.chunks - points
        assert [d.file_name for d in stored.documents()] == ["two.pdf"]


def test_payloads_carry_what_a_citation_needs(tmp_path: Path, store: StoreConfig) -> None:
    """Stored points name file, page, boxes and the fingerprint of what made them."""
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
