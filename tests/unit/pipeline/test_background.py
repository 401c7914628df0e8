"""Documents are written while other pages are read. Real pages, chunks and store; cheap models."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.assembly import open_store
from opticalrag.ingest.core.config import ChunkingConfig, IngestOptions, StoreConfig
from opticalrag.ingest.core.errors import StoreError
from opticalrag.ingest.core.records import BlockKind, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.maintenance.maintenance import verify_store
from opticalrag.ingest.markdown.render import BlockSpan, PageMarkdown
from opticalrag.ingest.pipeline import background
from opticalrag.ingest.pipeline import run as run_module
from opticalrag.ingest.pipeline.background import BackgroundWriter
from opticalrag.ingest.pipeline.listeners import ObservedEngine
from opticalrag.ingest.pipeline.pipeline import IngestEvent, IngestPipeline
from opticalrag.ingest.pipeline.planner import Edition
from opticalrag.ingest.pipeline.report import IngestReport
from opticalrag.ingest.pipeline.writer import DocumentWriter
from opticalrag.ingest.store.store import QdrantStore

from ...builders import document
from ...chaos.ingester import SmallEmbedder, TextEngine
from .test_pipeline import page_text, write_pdf

PATIENCE = 30.0  # seconds until a test gives up


class WatchedEngine(TextEngine):
    """Calls a function before each page (0-based) of a document is read."""

    def __init__(self, before: Callable[[str, int], None]) -> None:
        super().__init__()
        self._before = before

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for task in tasks:
            self._before(task.ref.document.name, task.ref.index)
            yield from super().parse([task])


class GatedEmbedder(SmallEmbedder):
    """Embeds nothing until ``open`` is set."""

    def __init__(self) -> None:
        super().__init__(64)
        self.open = threading.Event()
        self.asked = threading.Event()

    def embed_documents(self, texts: Sequence[str]) -> Any:
        self.asked.set()
        assert self.open.wait(PATIENCE)
        return super().embed_documents(texts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QdrantStore]:
    with open_store(StoreConfig(str(tmp_path / "store")), create=True) as opened:
        yield opened


def run(
    store: QdrantStore,
    files: Sequence[Path],
    engine: TextEngine,
    embedder: SmallEmbedder | None = None,
    on_event: Callable[[IngestEvent], None] = lambda event: None,
    **options: Any,
) -> IngestReport:
    embedder, sparse = embedder or SmallEmbedder(64), Bm25Encoder()
    store.ensure(embedder, sparse)
    pipeline = IngestPipeline(engine, embedder, sparse, store, ChunkingConfig(64))
    return pipeline.run(files, on_event=on_event, options=IngestOptions(**options))


def payloads(store: QdrantStore) -> dict[str, dict[str, Any]]:
    assert verify_store(store).problems == ()
    records = store.scroll(None)
    return {str(r.id): {**(r.payload or {}), Field.INGESTED_AT: ""} for r in records}


def documents(folder: Path, count: int, pages: int) -> list[Path]:
    return [
        write_pdf(folder / f"{n}.pdf", *(page_text(f"valve {n}.{p}") for p in range(pages)))
        for n in range(count)
    ]


def test_a_document_is_written_while_the_next_is_read(tmp_path: Path, store: QdrantStore) -> None:
    """The embedder blocks the first until a page of the second is parsed."""
    first, second = documents(tmp_path, 2, 1)
    embedder = GatedEmbedder()

    def before(name: str, _: int) -> None:
        if name == second.name:
            assert embedder.asked.wait(PATIENCE)
            embedder.open.set()

    report = run(store, [first, second], WatchedEngine(before), embedder)

    assert (report.documents, report.failures) == (2, [])
    assert len({payload[Field.FILE_NAME] for payload in payloads(store).values()}) == 2


def test_a_bounded_amount_of_text_waits_to_be_written(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound of 0, at most one document that was read waits to be written."""
    monkeypatch.setattr(background, "_MOST_WAITING", 0)
    waiting: Counter[str] = Counter()

    def before(_: str, __: int) -> None:
        assert waiting["read"] - waiting["finished"] <= 1
        waiting["read"] += 1

    def on_event(event: IngestEvent) -> None:
        waiting[event.kind] += 1

    run(store, documents(tmp_path, 6, 1), WatchedEngine(before), on_event=on_event)

    assert waiting["finished"] == 6


def test_pages_without_text_count_against_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings and empty tables have boxes but no text."""
    monkeypatch.setattr(background, "_MOST_WAITING", 10_000)
    writer, gate = DocumentWriter.__new__(DocumentWriter), threading.Event()
    monkeypatch.setattr(DocumentWriter, "write", lambda *_: gate.wait(PATIENCE))
    monkeypatch.setattr(DocumentWriter, "stop", lambda _: gate.set())
    edition = Edition(document(), "fingerprint", {})
    spans = tuple(BlockSpan(n, BlockKind.FIGURE, 0, 0) for n in range(20))
    with BackgroundWriter(writer) as waiting:
        waiting.submit(edition, [PageMarkdown(0, "1", "", spans)], 0)
        assert next(waiting.settled(), None) is None
        waiting.submit(edition, [PageMarkdown(0, "1", "", spans)], 0)
        assert next(waiting.settled(), None) is not None


def test_a_report_that_was_passed_in_says_what_a_stopped_run_did(
    tmp_path: Path, store: QdrantStore
) -> None:
    """It includes the document that was being written."""
    files, embedder, report = documents(tmp_path, 3, 2), GatedEmbedder(), IngestReport()

    def before(name: str, _: int) -> None:
        if name == "1.pdf":
            assert embedder.asked.wait(PATIENCE)
            threading.Timer(0.5, embedder.open.set).start()
            raise KeyboardInterrupt

    embedder_and_sparse = embedder, Bm25Encoder()
    store.ensure(*embedder_and_sparse)
    engine = WatchedEngine(before)
    pipeline = IngestPipeline(engine, *embedder_and_sparse, store, ChunkingConfig(64))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(files, report=report)

    assert (report.documents, report.pages_parsed) == (1, 2)
    assert report.points_written == store.count() > 0
    assert report.seconds > 0


def test_ctrl_c_ends_the_writer_and_leaves_no_document_half_replaced(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting documents are not written; the next run writes them."""
    files = documents(tmp_path, 3, 2)
    written = []
    write = DocumentWriter.write

    def slow(
        writer: DocumentWriter, edition: Edition, pages: list[PageMarkdown], failed: int
    ) -> Counter[str]:
        written.append(edition.ref.name)
        return write(writer, edition, pages, failed)

    def on_event(event: IngestEvent) -> None:
        if event.kind == "opened" and event.file.endswith("2.pdf"):
            raise KeyboardInterrupt

    monkeypatch.setattr(DocumentWriter, "write", slow)
    with pytest.raises(KeyboardInterrupt):
        run(store, files, TextEngine(), on_event=on_event)
    assert not [t for t in threading.enumerate() if t.name.startswith("opticalrag-writer")]
    assert "2.pdf" not in written

    again = run(store, files, TextEngine())
    assert again.documents == 3
    assert len(payloads(store)) >= again.chunks > 0


def test_a_document_that_cannot_be_stored_is_a_failure_of_its_own(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the store refuses it or our code has a defect, the other documents are stored."""
    files = documents(tmp_path, 3, 1)
    write = DocumentWriter.write

    def broken(
        writer: DocumentWriter, edition: Edition, pages: list[PageMarkdown], failed: int
    ) -> Counter[str]:
        if edition.ref.name == "0.pdf":
            raise StoreError("the vector has 3 numbers, not 26")
        if edition.ref.name == "1.pdf":
            raise ValueError("the secret text of a document")
        return write(writer, edition, pages, failed)

    monkeypatch.setattr(DocumentWriter, "write", broken)
    report = run(store, files, TextEngine())

    assert [failure.code for failure in report.failures] == ["store", "internal"]
    assert "secret" not in report.failures[1].message
    assert report.documents == 1


def test_an_error_about_an_unchanged_document_does_not_end_the_run(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to end the run instead of failing that document."""
    files = documents(tmp_path, 2, 1)
    run(store, files, TextEngine())

    def refused(writer: DocumentWriter, edition: Edition) -> None:
        if edition.ref.name == "0.pdf":
            raise StoreError("this filter cannot be")

    monkeypatch.setattr(DocumentWriter, "record_stored", refused)
    report = run(store, files, TextEngine())

    assert [failure.code for failure in report.failures] == ["store"]
    assert report.unchanged == 1


def test_an_error_in_a_callback_does_not_end_the_run(
    tmp_path: Path, store: QdrantStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once. It used to end the run, or to be listed as the failure of a file."""
    files = [*documents(tmp_path, 2, 2), tmp_path / "none.pdf"]

    def broken(event: object) -> None:
        raise ValueError("the secret text of a document")

    engine = ObservedEngine(TextEngine(), broken)
    store.ensure(SmallEmbedder(64), Bm25Encoder())
    pipeline = IngestPipeline(engine, SmallEmbedder(64), Bm25Encoder(), store, ChunkingConfig(64))
    first = pipeline.run(files, on_event=broken)
    again = pipeline.run(files, on_event=broken)

    assert (first.documents, first.pages, again.unchanged) == (2, 4, 2)
    assert [one.file for one in (*first.failures, *again.failures)] == [str(files[2])] * 2
    warned = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert warned == ["a progress callback raised an error (ValueError)"] * 3
    assert all("secret" not in words for words in warned)


def test_a_page_that_cannot_be_rendered_is_a_failure_of_its_own(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure does not repeat the error's message, which may quote the page."""
    (file,) = documents(tmp_path, 1, 3)
    render = run_module.page_markdown

    def broken(page: ParsedPage, *rest: Any) -> PageMarkdown:
        if page.ref.index == 1:
            raise KeyError("the secret text of a document")
        return render(page, *rest)

    monkeypatch.setattr(run_module, "page_markdown", broken)
    report = run(store, [file], TextEngine())

    (failure,) = report.failures
    assert (failure.file, failure.index, failure.code) == (str(file), 1, "internal")
    assert "secret" not in failure.message
    assert (report.documents, report.pages) == (1, 2)


def test_a_document_whose_pages_do_not_all_come_is_a_failure(
    tmp_path: Path, store: QdrantStore
) -> None:
    """It used to be neither stored nor listed."""
    files = documents(tmp_path, 2, 2)

    class Ending(TextEngine):
        def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
            yield from islice(super().parse(tasks), 3)

    report = run(store, files, Ending())

    (failure,) = report.failures
    assert (failure.file, failure.code) == (str(files[1]), "engine")
    assert "1 of 2 pages" in failure.message
    assert (report.documents, run(store, files, TextEngine()).unchanged) == (1, 1)
