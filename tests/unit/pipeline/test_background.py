"""Writing while other pages are read; with real pages, chunks and store, and cheap models."""

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
from opticalrag.ingest.pipeline import pipeline as pipeline_module
from opticalrag.ingest.pipeline.background import BackgroundWriter
from opticalrag.ingest.pipeline.intake import Draft
from opticalrag.ingest.pipeline.listeners import ObservedEngine
from opticalrag.ingest.pipeline.pipeline import IngestEvent, IngestPipeline
from opticalrag.ingest.pipeline.report import IngestReport
from opticalrag.ingest.pipeline.writer import DocumentWriter
from opticalrag.ingest.store.store import QdrantStore

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
    """Embeds nothing until it may."""

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
    """The first waits in the embedder until a page of the second is asked for."""
    first, second = documents(tmp_path, 2, 1)
    embedder = GatedEmbedder()

    def before(name: str, _: int) -> None:
        if name == second.name:
            assert embedder.asked.wait(PATIENCE)
            embedder.open.set()

    report = run(store, [first, second], WatchedEngine(before), embedder)

    assert (report.documents, report.failures) == (2, [])
    assert len({payload[Field.FILE_NAME] for payload in payloads(store).values()}) == 2


def test_only_so_much_text_waits_to_be_written(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no room a document is written before a page of the one after next is read."""
    monkeypatch.setattr(background, "_MOST_WAITING", 0)
    waiting: Counter[str] = Counter()

    def before(_: str, __: int) -> None:
        assert waiting["read"] - waiting["finished"] <= 1
        waiting["read"] += 1

    def on_event(event: IngestEvent) -> None:
        waiting[event.kind] += 1

    run(store, documents(tmp_path, 6, 1), WatchedEngine(before), on_event=on_event)

    assert waiting["finished"] == 6


def test_pages_without_text_wait_for_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings and empty tables are boxes only; with their text alone they took no room."""
    monkeypatch.setattr(background, "_MOST_WAITING", 10_000)
    writer, gate = DocumentWriter.__new__(DocumentWriter), threading.Event()
    monkeypatch.setattr(DocumentWriter, "write", lambda *_: gate.wait(PATIENCE))
    monkeypatch.setattr(DocumentWriter, "stop", lambda _: gate.set())
    spans = tuple(BlockSpan(n, BlockKind.FIGURE, 0, 0) for n in range(20))
    with BackgroundWriter(writer) as waiting:
        waiting.submit(drafted(PageMarkdown(0, "1", "", spans)))
        assert next(waiting.settled(), None) is None
        waiting.submit(drafted(PageMarkdown(0, "1", "", spans)))
        assert next(waiting.settled(), None) is not None


def drafted(page: PageMarkdown) -> Draft:
    draft = Draft.__new__(Draft)
    draft.pages = [page]
    return draft


def test_who_passes_a_report_knows_what_a_run_did_that_was_stopped(
    tmp_path: Path, store: QdrantStore
) -> None:
    """Also the document that was just being written."""
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


def test_pressing_ctrl_c_ends_the_writer_and_leaves_nothing_half_replaced(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is not written; the next run does it."""
    files = documents(tmp_path, 3, 2)
    written = []
    write = DocumentWriter.write

    def slow(writer: DocumentWriter, draft: Draft) -> Counter[str]:
        written.append(draft.ref.name)
        return write(writer, draft)

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


def test_what_cannot_be_stored_is_a_failure_of_its_document(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by the store, or by a defect of ours: the rest of the night goes on."""
    files = documents(tmp_path, 3, 1)
    write = DocumentWriter.write

    def broken(writer: DocumentWriter, draft: Draft) -> Counter[str]:
        if draft.ref.name == "0.pdf":
            raise StoreError("the vector has 3 numbers, not 26")
        if draft.ref.name == "1.pdf":
            raise ValueError("the secret text of a document")
        return write(writer, draft)

    monkeypatch.setattr(DocumentWriter, "write", broken)
    report = run(store, files, TextEngine())

    assert [failure.code for failure in report.failures] == ["store", "internal"]
    assert "secret" not in report.failures[1].message
    assert report.documents == 1


def test_a_stored_document_that_the_store_refuses_to_count_ends_no_run(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it answers of one that is unchanged was no failure of that one, but an error of all."""
    files = documents(tmp_path, 2, 1)
    run(store, files, TextEngine())

    def refused(writer: DocumentWriter, draft: Draft, keys: object) -> None:
        if draft.ref.name == "0.pdf":
            raise StoreError("this filter cannot be")

    monkeypatch.setattr(DocumentWriter, "note_unchanged", refused)
    report = run(store, files, TextEngine())

    assert [failure.code for failure in report.failures] == ["store"]
    assert report.unchanged == 1


def test_who_is_told_of_a_run_does_not_end_it(
    tmp_path: Path, store: QdrantStore, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in a callback lost the night, or was listed as one of a file; it is logged once."""
    files = [*documents(tmp_path, 2, 2), tmp_path / "none.pdf"]

    def broken(told: object) -> None:
        raise ValueError("the secret text of a document")

    engine = ObservedEngine(TextEngine(), broken)
    store.ensure(SmallEmbedder(64), Bm25Encoder())
    pipeline = IngestPipeline(engine, SmallEmbedder(64), Bm25Encoder(), store, ChunkingConfig(64))
    first = pipeline.run(files, on_event=broken)
    again = pipeline.run(files, on_event=broken)

    assert (first.documents, first.pages, again.unchanged) == (2, 4, 2)
    assert [one.file for one in (*first.failures, *again.failures)] == [str(files[2])] * 2
    warned = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert warned == ["who is told of the run failed (ValueError)"] * 3
    assert all("secret" not in words for words in warned)


def test_a_page_that_no_markdown_can_be_made_of_is_a_failure_of_its_own(
    tmp_path: Path, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours there ended the run; what it says may quote the page."""
    (file,) = documents(tmp_path, 1, 3)
    render = pipeline_module.page_markdown

    def broken(page: ParsedPage, furniture: Any) -> PageMarkdown:
        if page.ref.index == 1:
            raise KeyError("the secret text of a document")
        return render(page, furniture)

    monkeypatch.setattr(pipeline_module, "page_markdown", broken)
    report = run(store, [file], TextEngine())

    (failure,) = report.failures
    assert (failure.file, failure.index, failure.code) == (str(file), 1, "internal")
    assert "secret" not in failure.message
    assert (report.documents, report.pages) == (1, 2)


def test_a_document_that_an_engine_does_not_finish_is_a_failure(
    tmp_path: Path, store: QdrantStore
) -> None:
    """It was neither stored nor listed, and all seemed well."""
    files = documents(tmp_path, 2, 2)

    class Ending(TextEngine):
        def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
            yield from islice(super().parse(tasks), 3)

    report = run(store, files, Ending())

    (failure,) = report.failures
    assert (failure.file, failure.code) == (str(files[1]), "engine")
    assert "1 of 2 pages" in failure.message
    assert (report.documents, run(store, files, TextEngine()).unchanged) == (1, 1)
