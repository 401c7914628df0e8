"""A report of all that a journal knows: which pages of stored documents failed or are doubtful."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..assembly import open_journal
from ..core.config import SourceConfig, StoreConfig, WorkLimits
from ..core.errors import ConfigError
from ..core.flags import doubts
from ..core.records import PageFailure
from ..pipeline.journal import Journal, JournalEntry
from ..system.files import check_target
from .file import Findings, NotedPage, write_report

__all__ = ["report_journal"]


def report_journal(
    config: StoreConfig, target: Path, source: SourceConfig, limits: WorkLimits
) -> dict[str, float]:
    """Write a report of what a store's journal knows; the store itself is not opened.

    Args:
        config: of the store.
        target: the file.
        source: password of documents whose pages are drawn.
        limits: of opening and drawing them.

    Returns:
        The figures in it, by name.

    Raises:
        ConfigError: there is no journal, it cannot be read, or the file cannot be written.
    """
    check_target(target)
    found = _findings(config)
    write_report(target, found, source, limits)
    return dict(found.counts)


def _findings(config: StoreConfig) -> Findings:
    journal = open_journal(config)
    found, counted = Findings(), Counter(documents=0, pages=0)
    if journal is not None:
        with journal:
            for entry in journal.entries():
                counted["documents"] += 1
                counted["pages"] += _add(found, journal, entry)
    if journal is None or journal.gave_up:
        raise ConfigError(
            f"{config.location} has no journal of {config.collection!r} that can be read; ingest"
            " first, or say where it is (--journal, --tenant)"
        )
    found.counts = {
        **counted,
        "failed_pages": len(found.failures),
        "doubtful_pages": len(found.doubtful),
    }
    return found


def _add(found: Findings, journal: Journal, entry: JournalEntry) -> int:
    """Add what is known of a document, and say how many pages of it were read."""
    failures = journal.failures(entry.id) if entry.chunks < 0 else []
    for index, why in failures:
        code, _, message = why.partition(": ")
        found.failures.append(PageFailure(entry.path, index, code, message, entry.id))
        found.failed.append(NotedPage(entry.path, index, (code,), sha256=entry.sha256))
    pages = 0
    for index, page in journal.pages_of(entry):
        pages += 1
        if flags := doubts(page.flags):
            boxes = tuple((one.box, one.kind.value) for one in page.blocks if one.box)
            found.doubtful.add(NotedPage(entry.path, index, flags, boxes, entry.sha256))
    return pages
