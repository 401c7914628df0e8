"""A document while its pages are read."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.records import DocumentRef, PageFailure, PageOutcome
from ..markdown.render import PageMarkdown
from .planner import Plan

__all__ = ["Draft", "draft_of"]


class Draft:
    """A planned document, the pages read so far, and the pages still to come.

    Only the thread that reads pages uses it. The plan is not kept, so that its pages live no
    longer than ``pages``.
    """

    def __init__(self, plan: Plan) -> None:
        self.edition = plan.edition
        self.source = plan.source
        self.known = len(plan.known)
        self.expected = len(plan.known) + len(plan.tasks)
        self.pages: list[PageMarkdown] = list(plan.known)
        self.failed = 0
        self._awaited = {task.ref.index for task in plan.tasks}

    @property
    def ref(self) -> DocumentRef:
        """The document."""
        return self.edition.ref

    @property
    def done(self) -> bool:
        """Whether every page was read or failed."""
        return not self._awaited

    @property
    def given(self) -> int:
        """How many pages were known, read, or failed."""
        return self.expected - len(self._awaited)

    def awaits(self, document: str, index: int | None) -> bool:
        """Whether a page (0-based) of a document is one of those still to come."""
        return document == self.ref.id and index in self._awaited

    def add(self, page: PageMarkdown) -> None:
        """Add a page that was read."""
        self._awaited.discard(page.index)
        self.pages.append(page)

    def add_failure(self, index: int) -> None:
        """Count a page (0-based) that failed."""
        self._awaited.discard(index)
        self.failed += 1


def draft_of(outcome: PageOutcome, drafts: Iterable[Draft]) -> Draft | None:
    """Find the first draft that awaits the page of an outcome."""
    if isinstance(outcome, PageFailure):
        document, index = outcome.document_id, outcome.index
    else:
        document, index = outcome.ref.document.id, outcome.ref.index
    return next((draft for draft in drafts if draft.awaits(document, index)), None)
