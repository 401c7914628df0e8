"""Files to points, stage after stage. Knows the stages by their protocols only.

A document is written when its last page is read. What is stored already is not embedded
again: ids come from content, so the difference between the ids made and the ids stored is the
work. New points are stored, and counted, before stale ones are deleted, so that a search in
between finds the document and a failure leaves more than is needed, never less.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from llama_index.core.schema import TextNode

from .chunking import chunk_pages
from .config import ChunkingConfig, SourceConfig
from .errors import OpticalRagError, StoreError
from .indexing import now, write_points
from .markdown import PageMarkdown, render_page
from .node_parser import chunk_nodes, node_payload
from .opening import examine
from .pages import Examiner, SourceDocument, open_document
from .protocols import Embedder, PageEngine, PointStore, SparseEncoder
from .schema import SCHEMA_VERSION, Field
from .types import DocumentRef, PageFailure, PageOutcome, PageTask

__all__ = ["IngestEvent", "IngestPipeline", "IngestReport"]


@dataclass(frozen=True, slots=True)
class IngestEvent:
    """Progress: a document was opened (``pages`` to come), read a page, or is finished."""

    kind: str  # "opened" | "page" | "finished" | "unchanged" | "failed"
    file: str
    pages: int = 0


@dataclass(slots=True)
class IngestReport:
    """What a run did. ``unchanged`` documents were stored completely and not read again."""

    documents: int = 0
    unchanged: int = 0
    pages: int = 0
    chunks: int = 0
    embedded: int = 0
    points_written: int = 0
    points_deleted: int = 0
    failures: list[PageFailure] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class _Open:
    """A document between its first task and its last outcome."""

    source: SourceDocument
    resources: ExitStack
    expected: int
    fingerprint: str
    pages: list[PageMarkdown] = field(default_factory=list)
    failed: int = 0

    @property
    def done(self) -> bool:
        return len(self.pages) + self.failed == self.expected


class IngestPipeline:
    """Reads, chunks, embeds and stores documents.

    Example:
        >>> report = IngestPipeline(engine, embedder, sparse, store).run(["report.pdf"])
    """

    def __init__(
        self,
        engine: PageEngine,
        embedder: Embedder,
        sparse: SparseEncoder,
        store: PointStore,
        chunking: ChunkingConfig | None = None,
        examiner: Examiner = examine,
    ) -> None:
        self.engine = engine
        self.embedder = embedder
        self.sparse = sparse
        self.store = store
        self.chunking = chunking or ChunkingConfig()
        self.examiner = examiner

    def run(
        self,
        files: Iterable[str | Path],
        source: SourceConfig | None = None,
        on_event: Callable[[IngestEvent], None] = lambda event: None,
    ) -> IngestReport:
        """Ingest files; a bad page or file is reported and the rest goes on.

        Args:
            files: paths of PDFs and images.
            source: password, pages and limits for all of them.
            on_event: called in this thread as the work goes on.

        Raises:
            ConfigError: chunks may not be as long as asked for.
            StoreError: the store failed; what was finished before is stored.
        """
        started = time.perf_counter()
        if self.chunking.max_tokens is not None:  # else the model need not be loaded to know
            self.chunking.cap(self.embedder.max_tokens)
        report = IngestReport()
        opened: deque[_Open] = deque()
        options = source or SourceConfig()
        try:
            tasks = self._tasks(files, options, opened, report, on_event)
            for outcome in self.engine.parse(tasks):
                current = opened[0]
                self._collect(current, outcome, report)
                on_event(IngestEvent("page", current.source.ref.name, 1))
                if current.done:
                    self._finish(current, report)
                    opened.popleft().resources.close()
                    on_event(IngestEvent("finished", current.source.ref.name))
        finally:
            for document in opened:
                document.resources.close()
        report.seconds = time.perf_counter() - started
        return report

    def _tasks(
        self,
        files: Iterable[str | Path],
        options: SourceConfig,
        opened: deque[_Open],
        report: IngestReport,
        on_event: Callable[[IngestEvent], None],
    ) -> Iterator[PageTask]:
        """Open files as the engine asks for pages; what cannot be opened is reported."""
        for file in files:
            try:
                document = self._open(file, options)
            except (OpticalRagError, OSError) as error:
                report.failures.append(_file_failure(file, error))
                on_event(IngestEvent("failed", str(file)))
                continue
            if document is None:
                report.documents += 1
                report.unchanged += 1
                on_event(IngestEvent("unchanged", str(file)))
                continue
            opened.append(document)
            on_event(IngestEvent("opened", str(file), document.expected))
            yield from document.source.tasks(options.pages)

    def _open(self, file: str | Path, options: SourceConfig) -> _Open | None:
        """Open a document, or return None if all of it is stored already."""
        with ExitStack() as stack:
            source = stack.enter_context(
                open_document(
                    file,
                    password=options.password,
                    limits=options.limits,
                    tenant=self.store.tenant,
                    examiner=self.examiner,
                )
            )
            expected = len(source.page_refs(options.pages))
            fingerprint = self._fingerprint(source.ref, options.pages)
            if self.store.is_complete(source.ref.id, fingerprint):
                return None
            return _Open(source, stack.pop_all(), expected, fingerprint)

    def _fingerprint(self, document: DocumentRef, pages: str | None) -> str:
        parts = (
            document.sha256,
            document.name,
            pages or "",
            self.engine.fingerprint,
            self.chunking.fingerprint,
            self.embedder.name,
            self.sparse.name,
            str(SCHEMA_VERSION),
        )
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def _collect(self, document: _Open, outcome: PageOutcome, report: IngestReport) -> None:
        if isinstance(outcome, PageFailure):
            document.failed += 1
            report.failures.append(outcome)
        else:
            report.pages += 1
            document.pages.append(render_page(outcome, self.chunking.furniture))

    def _finish(self, document: _Open, report: IngestReport) -> None:
        ref = document.source.ref
        chunks = chunk_pages(ref, document.pages, self.embedder, self.chunking)
        nodes = chunk_nodes(chunks, {page.index: page for page in document.pages})
        payloads = _payloads(nodes, document)
        stored = self.store.existing_ids(ref.id)
        new = [node for node in nodes if node.node_id not in stored]
        written = write_points(new, payloads, self.store, self.embedder, self.sparse)
        kept = {node_id: payloads[node_id] for node_id in stored & payloads.keys()}
        if kept:
            self.store.overwrite_payloads(kept)
        stale = stored - payloads.keys()
        # With pages missing we cannot tell stale points from those of the missing pages.
        if stale and not document.failed:
            self._check_stored(document, len(payloads))
            report.points_deleted += self.store.delete_ids(stale)
        report.documents += bool(document.pages) or not document.failed
        report.chunks += len(chunks)
        report.embedded += len(new)
        report.points_written += written

    def _check_stored(self, document: _Open, expected: int) -> None:
        ref = document.source.ref
        found = self.store.count_made(ref.id, document.fingerprint)
        if found != expected:
            raise StoreError(
                f"{ref.name}: {found} of {expected} chunks are in the store after writing; what was"
                " there before is kept: ingest the file again"
            )


def _payloads(nodes: Sequence[TextNode], document: _Open) -> dict[str, dict[str, object]]:
    # A document with failed pages is never complete: the next run tries it again.
    whole = {} if document.failed else {Field.CHUNK_COUNT: len(nodes)}
    extra = {Field.FINGERPRINT: document.fingerprint, Field.INGESTED_AT: now(), **whole}
    return {node.node_id: {**node_payload(node), **extra} for node in nodes}


def _file_failure(file: str | Path, error: OpticalRagError | OSError) -> PageFailure:
    code = error.code if isinstance(error, OpticalRagError) else "io"
    return PageFailure(file=str(file), index=None, code=code, message=str(error))
