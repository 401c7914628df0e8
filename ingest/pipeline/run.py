"""One run: plans files, has the engine read their pages, and hands documents to the writer.

The engine drives the run. It asks for tasks a bounded number ahead, and only then is the next file
opened: of a large corpus, few documents are open at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..core.config import IngestOptions
from ..core.errors import EngineError, OpticalRagError, StoreUnavailable
from ..core.protocols import PointStore
from ..core.records import PageFailure, PageOutcome, PageTask
from ..markdown.render import PageMarkdown, page_markdown
from .background import BackgroundWriter
from .draft import Draft, draft_of
from .gone import is_gone
from .journal import Journal
from .listeners import Listener
from .planner import Edition, Plan, Planner
from .recipe import Recipe
from .report import IngestEvent, IngestReport
from .writer import DocumentWriter

__all__ = ["Run"]

_log = logging.getLogger(__name__)
_KEPT: Final = "the text that an earlier run read is kept"


class Run:
    """One run of a pipeline. The report is filled as the work goes on."""

    def __init__(  # noqa: PLR0913  the stages
        self,
        recipe: Recipe,
        store: PointStore,
        journal: Journal | None,
        planner: Planner,
        options: IngestOptions,
        on_event: Callable[[IngestEvent], None],
        report: IngestReport,
    ) -> None:
        self._recipe = recipe
        self._store = store
        self._journal = journal
        self._planner = planner
        self._options = options
        self._on_event = Listener(on_event)
        self._report = report
        self._writer = DocumentWriter(recipe, store, journal, options.force)
        self._background = BackgroundWriter(self._writer)
        self._drafts: list[Draft] = []  # documents whose pages are being read
        self._present: set[str] = set()  # ids of documents that are not gone

    def ingest(self, files: Iterable[str | Path]) -> IngestReport:
        """Read and store files, and return the report."""
        try:
            for draft, outcome in self._read(self._plans(files)):
                self._collect(draft, outcome)
                self._settle()
            self._list_unread()
            self._settle(everything=True)
            self._list_gone()
        except StoreUnavailable as error:
            message = f"{error}; what is done is kept: run it again to go on"
            self._report.interrupted = True
            self._report.failures.append(PageFailure(error.file, None, error.code, message))
        finally:
            self._background.close()
            for done in self._background.finished():
                self._report.add(done)
            for draft in self._drafts:
                draft.source.close()
            if self._journal is not None and self._report.documents:
                self._journal.drop_unused()
        return self._report

    def preview(self, files: Iterable[str | Path]) -> IngestReport:
        """Report what would be done; parse nothing and write nothing."""
        report = self._report
        report.dry_run = True
        for file in files:
            plan = self._plan(file)
            if plan is None:
                continue
            with plan.source:
                self._note_present(plan.edition)
                report.renamed += bool(plan.edition.moved)
                if plan.complete:
                    self._note_unchanged(file)
                    continue
                report.documents += 1
                self._note_mended(plan)
                report.pages += plan.pages
                report.pages_reused += len(plan.known)
                report.pages_parsed += len(plan.tasks)
        self._list_gone()
        return report

    # -- plan ------------------------------------------------------------------------------------

    def _plans(self, files: Iterable[str | Path]) -> Iterator[Plan]:
        """Plan files one by one, and yield those that are not stored completely."""
        for file in files:
            plan = self._plan(file)
            if plan is None:
                continue
            if not plan.complete:
                yield plan
                continue
            with plan.source, self._listing(str(file)):
                self._keep(plan)
                self._note_unchanged(file)

    def _plan(self, file: str | Path) -> Plan | None:
        with self._listing(str(file)):
            plan = self._planner.plan(file)
            self._present.add(plan.ref.id)
            return plan
        return None

    def _keep(self, plan: Plan) -> None:
        """Leave a complete document as it is, and forget the former names of its file."""
        if not plan.recorded:
            self._writer.record_stored(plan.edition)
        self._report.add(self._writer.drop_moved(plan.edition))
        self._note_present(plan.edition)

    # -- read ------------------------------------------------------------------------------------

    def _read(self, plans: Iterable[Plan]) -> Iterator[tuple[Draft, PageOutcome]]:
        """Have the engine read what plans leave to parse; yield each outcome with its document."""
        for outcome in self._recipe.engine.parse(self._tasks(plans)):
            draft = draft_of(outcome, self._drafts)
            if draft is not None:
                yield draft, outcome
            elif isinstance(outcome, PageFailure):
                self._report.failures.append(outcome)
            else:
                _log.debug("%s gave a page that it was not asked for", self._recipe.engine.name)

    def _tasks(self, plans: Iterable[Plan]) -> Iterator[PageTask]:
        for plan in plans:
            self._begin(plan)
            yield from plan.tasks

    def _begin(self, plan: Plan) -> None:
        """Begin a document: record it in the journal, with the pages that are known."""
        draft = Draft(plan)
        self._drafts.append(draft)
        self._on_event(IngestEvent("opened", plan.ref.uri, plan.pages))
        self._note_mended(plan)
        if self._journal is not None:
            self._journal.begin(plan.edition.entry())
            for page in plan.known:
                key = plan.edition.keys[page.index]
                self._journal.claim_page(plan.ref.id, plan.ref.sha256, key, page)
        for page in plan.known:
            self._report.note_flags(page.flags)
        if plan.known:
            self._on_event(IngestEvent("page", plan.ref.uri, len(plan.known)))
        if draft.done:  # no outcome of the engine will end it
            self._end(draft)
            self._settle()

    def _collect(self, draft: Draft, outcome: PageOutcome) -> None:
        page = self._rendered(outcome)
        if isinstance(page, PageFailure):
            self._collect_failure(draft, page)
        else:
            self._collect_page(draft, page)
        self._on_event(IngestEvent("page", draft.ref.uri, 1))
        if draft.done:
            self._end(draft)

    def _rendered(self, outcome: PageOutcome) -> PageMarkdown | PageFailure:
        if isinstance(outcome, PageFailure):
            return outcome
        try:
            return page_markdown(outcome)
        except Exception as error:  # noqa: BLE001  a defect costs this page, not the run
            return PageFailure.of(outcome.ref, *_code_and_message(error))

    def _collect_page(self, draft: Draft, page: PageMarkdown) -> None:
        draft.add(page)
        self._report.pages += 1
        self._report.pages_parsed += 1
        self._report.note_flags(page.flags)
        if self._journal is not None:
            key = draft.edition.keys[page.index]
            self._journal.add_page(draft.ref.id, draft.ref.sha256, key, page)

    def _collect_failure(self, draft: Draft, failure: PageFailure) -> None:
        """List a page that failed. If an earlier run read it, its text stays."""
        index = failure.index
        assert index is not None  # noqa: S101  a draft awaits pages
        former = self._planner.former_page(draft.source, draft.edition, index)
        if former is not None:
            draft.add(former)
            self._report.note_flags(former.flags)
            self._report.pages += 1
            self._report.pages_reused += 1
            failure = replace(failure, message=f"{failure.message}; {_KEPT}")
        else:
            draft.add_failure(index)
            if self._journal is not None:
                self._journal.add_failure(draft.ref.id, draft.ref.sha256, failure)
        self._report.failures.append(failure)

    # -- write -----------------------------------------------------------------------------------

    def _end(self, draft: Draft) -> None:
        """Close a document whose pages were all read, and hand it to the writer."""
        self._drafts.remove(draft)
        draft.source.close()
        self._report.pages += draft.known
        self._report.pages_reused += draft.known
        self._background.submit(draft.edition, draft.pages, draft.failed)

    def _settle(self, *, everything: bool = False) -> None:
        """Report what was written; waits as :meth:`.BackgroundWriter.settled` does."""
        for writing in self._background.settled(everything=everything):
            file = writing.edition.ref.uri
            with self._listing(file):
                self._report.add(writing.future.result())  # raises what the writer raised
                if not writing.failed:
                    self._note_present(writing.edition)
                self._on_event(IngestEvent("finished", file))

    # -- the end ---------------------------------------------------------------------------------

    def _list_unread(self) -> None:
        """List the documents of which the engine ended without giving every page."""
        for draft in self._drafts:
            pages = f"{draft.given} of {draft.expected} pages"
            name = self._recipe.engine.name
            error = EngineError(f"the engine {name} gave {pages}: ingest the file again")
            self._fail(draft.ref.uri, error)

    def _list_gone(self) -> None:
        """List stored documents whose files are gone, and delete them if the options say so."""
        options = self._options
        recorded = {one.id: one.path for one in (self._journal.entries() if self._journal else ())}
        stored = self._store.paths() if options.prune else recorded
        gone = {
            document: path
            for document, path in {**recorded, **stored}.items()
            if document not in self._present and is_gone(path, options.roots)
        }
        self._report.vanished = sorted(gone[document] for document in gone.keys() & stored.keys())
        if options.prune and not options.dry_run:
            for document, path in gone.items():
                with self._listing(path):
                    self._prune(document, is_stored=document in stored)

    def _prune(self, document: str, *, is_stored: bool) -> None:
        if is_stored:
            self._report.points_deleted += self._store.delete_documents([document])
            self._report.pruned += 1
        if self._journal is not None:
            self._journal.forget([document])

    # -- the report ------------------------------------------------------------------------------

    def _note_present(self, edition: Edition) -> None:
        """Former names of a renamed file are not gone files.

        Not called if a page failed: the points under the former name are still stored then.
        """
        self._present.update(entry.id for entry in edition.moved)

    def _note_mended(self, plan: Plan) -> None:
        if plan.source.mended:
            self._report.mended.append(plan.ref.uri)

    def _note_unchanged(self, file: str | Path) -> None:
        self._report.documents += 1
        self._report.unchanged += 1
        self._on_event(IngestEvent("unchanged", str(file)))

    @contextmanager
    def _listing(self, file: str) -> Iterator[None]:
        """List an error as a failure of a file. Only a store that does not answer ends the run."""
        try:
            yield
        except StoreUnavailable as error:
            error.file = file
            raise
        except Exception as error:  # noqa: BLE001  one file must not end the run
            self._fail(file, error)

    def _fail(self, file: str, error: Exception) -> None:
        """List a file of which this run stored nothing."""
        if not isinstance(error, OpticalRagError | OSError):
            _log.debug("%s", file, exc_info=error)  # not shown: it may quote a document
        self._report.failures.append(PageFailure(file, None, *_code_and_message(error)))
        self._on_event(IngestEvent("failed", file))


def _code_and_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, OpticalRagError | OSError):
        return getattr(error, "code", "io"), str(error)
    return "internal", f"a defect of opticalrag ({type(error).__name__}): please report it"
