"""What an ingest tells while it runs and when it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..core.records import PageFailure

__all__ = ["IngestEvent", "IngestReport"]


@dataclass(frozen=True, slots=True)
class IngestEvent:
    """Progress: a document was opened (``pages`` to come), read a page, or is finished.

    ``file`` is where it is, the same in all of its events.
    """

    kind: str  # "opened" | "page" | "finished" | "unchanged" | "failed"
    file: str
    pages: int = 0


@dataclass(slots=True)
class IngestReport:
    """What a run did, or would do.

    ``unchanged`` documents were stored completely and not read again; ``renamed`` ones were stored
    under another path. ``pages`` are those of the other documents, some ``pages_parsed``, some
    ``pages_reused`` from the journal. Of the ``points_written``, some were ``embedded``, others
    have the vectors of the same text, as in a renamed file (``vectors_copied``). ``vanished`` names
    files whose documents are stored but which are not there any more; ``pruned`` of these were
    removed. ``mended`` names files that were read and are damaged: pages may be missing that no
    failure tells of. ``interrupted``: the store did not answer, or the run was ended by an error or
    signal, and files are left to be done.
    """

    documents: int = 0
    unchanged: int = 0
    renamed: int = 0
    pages: int = 0
    pages_parsed: int = 0
    pages_reused: int = 0
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

    def add(self, counts: Counter[str]) -> None:
        """Add to numbers, by their names."""
        for name, number in counts.items():
            setattr(self, name, getattr(self, name) + number)
