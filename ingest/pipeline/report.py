"""What an ingest reports while it runs and when it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..core.records import PageFailure

__all__ = ["IngestEvent", "IngestReport"]


@dataclass(frozen=True, slots=True)
class IngestEvent:
    """Progress of a document.

    Attributes:
        kind: ``"opened"``, ``"page"``, ``"finished"``, ``"unchanged"`` or ``"failed"``.
        file: the document's location, the same in all of its events.
        pages: pages to come (``"opened"``), or pages that were read (``"page"``).
    """

    kind: str
    file: str
    pages: int = 0


@dataclass(slots=True)
class IngestReport:
    """What a run did; after a dry run, what it would do.

    Attributes:
        documents: documents that are stored, ``unchanged`` ones included.
        unchanged: documents that were stored completely before and were not read again.
        renamed: documents that were stored under another path.
        pages: pages of all documents that are not unchanged.
        pages_parsed: pages that the engine read.
        pages_reused: pages from the journal.
        flags: how many of these pages have each flag (see :class:`.flags.Flag`).
        chunks: chunks of all documents that are not unchanged.
        embedded: new points whose text was embedded.
        vectors_copied: new points with the stored vectors of an equal text, as in a renamed file.
        points_written: embedded plus copied.
        vanished: files that are gone and whose documents are stored.
        pruned: how many of those documents were deleted.
        mended: damaged files that were read; pages may be missing that no failure mentions.
        interrupted: whether files are left to do, because the store did not answer, or because
            an error or a signal ended the run.
        failures: pages and files that failed.
    """

    documents: int = 0
    unchanged: int = 0
    renamed: int = 0
    pages: int = 0
    pages_parsed: int = 0
    pages_reused: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    embedded: int = 0
    vectors_copied: int = 0
    points_written: int = 0
    points_deleted: int = 0
    vanished: list[str] = field(default_factory=list)
    pruned: int = 0
    mended: list[str] = field(default_factory=list)
    dry_run: bool = False
    interrupted: bool = False
    failures: list[PageFailure] = field(default_factory=list)
    seconds: float = 0.0

    def note_flags(self, flags: Iterable[str]) -> None:
        """Count the flags of one page."""
        for flag in set(flags):
            self.flags[flag] = self.flags.get(flag, 0) + 1

    def add(self, counts: Counter[str]) -> None:
        """Add counts to the fields that they are named after."""
        for name, number in counts.items():
            setattr(self, name, getattr(self, name) + number)
