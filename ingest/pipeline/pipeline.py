"""Files to points, stage after stage. Knows the stages by their protocols only.

A document is written when its last page is read, while pages of the next ones are parsed. Every
page is recorded in the journal as soon as it is parsed, so that a run that was killed goes on with
the pages that are left.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..core.config import ChunkingConfig, IngestOptions, SourceConfig
from ..core.errors import EngineError, OpticalRagError, StoreUnavailable
from ..core.protocols import Embedder, PageEngine, PageKeeper, PointStore, SparseEncoder
from ..core.records import PageFailure, PageOutcome, PageTask
from ..documents.examiner import DocumentExaminer
from ..markdown.render import PageMarkdown, page_markdown
from .background import BackgroundWriter
from .gone import is_gone
from .intake import Draft, Intake, Maker
from .journal import Journal
from .listeners import Listener
from .report import IngestEvent, IngestReport
from .writer import DocumentWriter

__all__ = ["IngestEvent", "IngestPipeline", "IngestReport"]

_log = logging.getLogger(__name__)
_KEPT: Final = "what an earlier run read of it is kept"

OnEvent = Callable[[IngestEvent], None]


class IngestPipeline:
    """Reads, chunks, embeds and stores documents.

    Args:
        engine: reads pages.
        embedder: makes dense vectors.
        sparse: makes sparse ones.
        store: where points go.
        chunking: sizes of chunks.
        examiner: looks at files before they are opened; None looks in this process.
        journal: what earlier runs did, and where this one writes it down; without one an
            interrupted document begins anew, and an edited one is parsed whole.
        keeper: where the engine keeps something of each page, as DeepSeek-OCR its vision tokens;
            see :class:`.intake.Maker`.

    Example:
        >>> report = IngestPipeline(engine, embedder, sparse, store).run(["report.pdf"])
    """

    def __init__(  # noqa: PLR0913  the stages
        self,
        engine: PageEngine,
        embedder: Embedder,
        sparse: SparseEncoder,
        store: PointStore,
        chunking: ChunkingConfig | None = None,
        *,
        examiner: DocumentExaminer | None = None,
        journal: Journal | None = None,
        keeper: PageKeeper | None = None,
    ) -> None:
        self.engine = engine
        self.embedder = embedder
        self.store = store
        self.chunking = chunking or ChunkingConfig()
        self.journal = journal
        self._examiner = examiner
        self._maker = Maker(engine, self.chunking, embedder, sparse, keeper)

    def run(
        self,
        files: Iterable[str | Path],
        source: SourceConfig | None = None,
        on_event: OnEvent = lambda event: None,
        options: IngestOptions | None = None,
        report: IngestReport | None = None,
    ) -> IngestReport:
        """Ingest files; a bad page or file is reported and the rest goes on.

        What cannot be stored is reported, too. A store that stops answering, and does not come
        back while it is waited for, ends the run: the report says so, and the next run goes on
        from there.

        Args:
            files: paths of PDFs and images.
            source: password, pages and limits for all of them.
            on_event: called in this thread as the work goes on; an error in it is logged, once.
            options: what to do again, and what to do with files that are gone.
            report: is filled and returned; who passes one has what was done if the run is cut off.

        Raises:
            ConfigError: chunks may not be as long as asked for.
        """
        started = time.perf_counter()
        if self.chunking.max_tokens is not None:  # else the model need not be loaded to know
            self.chunking.cap(self.embedder.max_tokens)
        chosen = options or IngestOptions()
        intake = Intake(
            self._maker,
            self.store,
            self.journal,
            source or SourceConfig(),
            chosen,
            self._examiner,
        )
        told = report or IngestReport()
        run = _Run(self._maker, self.store, self.journal, intake, chosen, on_event, told)
        try:
            return run.preview(files) if chosen.dry_run else run.ingest(files)
        finally:
            told.seconds = time.perf_counter() - started


class _Run:
    """One run: the documents that are open, and the report."""

    def __init__(  # noqa: PLR0913  the stages
        self,
        maker: Maker,
        store: PointStore,
        journal: Journal | None,
        intake: Intake,
        options: IngestOptions,
        on_event: OnEvent,
        report: IngestReport,
    ) -> None:
        self._maker = maker
        self._store = store
        self._journal = journal
        self._intake = intake
        self._options = options
        self._on_event = Listener(on_event)
        self._report = report
        self._writer = DocumentWriter(maker, store, journal, options.force)
        self._background = BackgroundWriter(self._writer)
        self._open: deque[Draft] = deque()
        self._seen: set[str] = set()  # ids of documents
        self._at = ""  # the file that is asked for in the store, or written to it

    def ingest(self, files: Iterable[str | Path]) -> IngestReport:
        """Do all of it."""
        try:
            for outcome in self._maker.engine.parse(self._tasks(files)):
                draft = self._open[0]
                self._collect(draft, outcome)
                if draft.done:
                    self._finish(self._open.popleft())
                self._settle()
            self._note_unread()
            self._settle(everything=True)
            self._note_vanished()
        except StoreUnavailable as error:
            self._interrupted(error)
        finally:
            self._background.close()
            for done in self._background.finished():
                self._report.add(done)
            for draft in self._open:
                draft.resources.close()
        return self._report

    def preview(self, files: Iterable[str | Path]) -> IngestReport:
        """Say what would be done; nothing is parsed or written."""
        report = self._report
        report.dry_run = True
        for file in files:
            opened = self._opened(file)
            if opened is None:
                continue
            draft, complete = opened
            with draft.resources:
                report.documents += 1
                self._moved_from(draft)
                report.renamed += bool(draft.moved)
                if complete:
                    self._unchanged(file)
                    continue
                self._note_mended(draft)
                reused = self._intake.known_pages(draft)
                report.pages += draft.expected
                report.pages_reused += reused
                report.pages_parsed += draft.expected - reused
        self._note_vanished()
        return report

    # -- documents -----------------------------------------------------------------------------

    def _tasks(self, files: Iterable[str | Path]) -> Iterator[PageTask]:
        """Open files as the engine asks for pages; what cannot be opened is reported."""
        for file in files:
            opened = self._opened(file)
            if opened is None:
                continue
            draft, complete = opened
            if not complete:
                yield from self._begun(draft)
                continue
            with draft.resources, self._listed(str(file)):
                self._writer.note_unchanged(draft, self._intake.keys)
                self._report.add(self._writer.drop_moved(draft))
                self._moved_from(draft)
                self._report.documents += 1
                self._unchanged(file)

    def _begun(self, draft: Draft) -> Iterator[PageTask]:
        """The pages of a document that are left to parse; if there is none, it is finished."""
        self._on_event(IngestEvent("opened", draft.ref.uri, draft.expected))
        self._open.append(draft)
        self._note_mended(draft)
        if self._journal is not None:
            self._journal.begin(draft.entry())
        yield from self._intake.tasks(draft)
        if draft.reused:
            self._on_event(IngestEvent("page", draft.ref.uri, draft.reused))
        # Its last pages may all have been parsed before: no outcome of the engine ends it then.
        if draft.done and draft in self._open:
            self._open.remove(draft)
            self._finish(draft)
            self._settle()

    def _opened(self, file: str | Path) -> tuple[Draft, bool] | None:
        self._at = str(file)
        with self._listed(str(file)):
            draft, complete = self._intake.open(file)
            self._seen.add(draft.ref.id)
            return draft, complete
        return None

    def _moved_from(self, draft: Draft) -> None:
        """Under its former name a renamed file is no file that vanished.

        Unless a page of it failed: then what was stored under that name is still there.
        """
        self._seen.update(entry.id for entry in draft.moved)

    def _note_mended(self, draft: Draft) -> None:
        if draft.source.mended:
            self._report.mended.append(draft.ref.uri)

    def _unchanged(self, file: str | Path) -> None:
        self._report.unchanged += 1
        self._on_event(IngestEvent("unchanged", str(file)))

    def _collect(self, draft: Draft, outcome: PageOutcome) -> None:
        page = self._rendered(outcome)
        if isinstance(page, PageFailure):
            self._collect_failure(draft, page)
        else:
            self._collect_page(draft, page)
        self._on_event(IngestEvent("page", draft.ref.uri, 1))

    def _rendered(self, outcome: PageOutcome) -> PageMarkdown | PageFailure:
        if isinstance(outcome, PageFailure):
            return outcome
        try:
            return page_markdown(outcome, self._maker.chunking.furniture)
        except Exception as error:  # noqa: BLE001  a page of which nobody thought
            ref = outcome.ref
            return replace(_file_failure(ref.document.uri, error), index=ref.index)

    def _collect_page(self, draft: Draft, page: PageMarkdown) -> None:
        draft.pages.append(page)
        self._report.pages += 1
        self._report.pages_parsed += 1
        if self._journal is not None:
            key = draft.keys[page.index]
            self._journal.add_page(draft.ref.id, draft.ref.sha256, key, page)

    def _collect_failure(self, draft: Draft, failure: PageFailure) -> None:
        """List a page that failed; where an earlier run read it, that reading is kept."""
        former = self._intake.former(draft, failure.index)
        if former is not None:
            draft.pages.append(former)
            self._report.pages += 1
            self._report.pages_reused += 1
            failure = replace(failure, message=f"{failure.message}; {_KEPT}")
        else:
            draft.failed += 1
            if self._journal is not None:
                self._journal.add_failure(draft.ref.id, draft.ref.sha256, failure)
        self._report.failures.append(failure)

    def _finish(self, draft: Draft) -> None:
        draft.resources.close()  # its file is not needed any more
        self._report.pages += draft.reused
        self._report.pages_reused += draft.reused
        self._background.submit(draft)

    @contextmanager
    def _listed(self, file: str) -> Iterator[None]:
        """List what goes wrong with a file: only a store that is away ends a run."""
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  nothing else does
            self._failed(file, error)

    def _failed(self, file: str, error: Exception) -> None:
        """List a file of which nothing is stored that was not before."""
        if not isinstance(error, OpticalRagError | OSError):
            _log.debug("%s", file, exc_info=error)  # not shown: it may quote a document
        self._report.failures.append(_file_failure(file, error))
        self._on_event(IngestEvent("failed", file))

    def _settle(self, *, everything: bool = False) -> None:
        """Take in what was written."""
        for writing in self._background.settled(everything=everything):
            self._at, written = writing.draft.ref.uri, False
            with self._listed(self._at):
                self._report.add(writing.result())
                written = True
            if written:
                if not writing.draft.failed:
                    self._moved_from(writing.draft)
                self._on_event(IngestEvent("finished", writing.draft.ref.uri))

    def _note_unread(self) -> None:
        """List documents of which the engine, though it ended, did not give every page."""
        for draft in self._open:
            given = len(draft.pages) + draft.failed
            name, of = self._maker.engine.name, f"{given} of {draft.expected} pages"
            error = EngineError(f"the engine {name} gave {of}: ingest the file again")
            self._failed(draft.ref.uri, error)

    # -- the end -------------------------------------------------------------------------------

    def _note_vanished(self) -> None:
        """List, and remove if asked to, what is stored of files that are gone."""
        options, report = self._options, self._report
        places = {
            entry.id: entry.path for entry in (self._journal.entries() if self._journal else ())
        }
        stored = self._store.paths() if options.prune else places
        gone = {
            document: place
            for document, place in {**places, **stored}.items()
            if document not in self._seen and is_gone(place, options.roots)
        }
        there = sorted(gone.keys() & stored.keys(), key=gone.__getitem__)
        report.vanished = [gone[document] for document in there]
        if options.prune and not options.dry_run:
            for document in gone:
                with self._listed(gone[document]):
                    self._prune(document, is_stored=document in stored)

    def _prune(self, document: str, *, is_stored: bool) -> None:
        if is_stored:
            self._report.points_deleted += self._store.delete_documents([document])
            self._report.pruned += 1
        if self._journal is not None:
            self._journal.forget([document])

    def _interrupted(self, error: StoreUnavailable) -> None:
        message = f"{error}; what is done is kept: run it again to go on"
        self._report.interrupted = True
        self._report.failures.append(PageFailure(self._at, None, error.code, message))


def _file_failure(file: str | Path, error: Exception) -> PageFailure:
    code, message = "internal", f"a defect of opticalrag ({type(error).__name__}): please report it"
    if isinstance(error, OpticalRagError | OSError):
        code, message = getattr(error, "code", "io"), str(error)
    return PageFailure(file=str(file), index=None, code=code, message=message)
