"""The HTML report of a journal: failed and doubtful pages of the stored documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..core.config import SourceConfig, WorkLimits
from ..core.errors import ConfigError
from ..core.flags import doubts
from ..core.records import PageFailure
from ..pipeline.journal import Journal, JournalEntry
from ..system.files import check_target
from .file import Findings, NotedPage, write_report

__all__ = ["report_journal"]


def report_journal(
    journal: Journal, target: Path, source: SourceConfig, limits: WorkLimits
) -> dict[str, Any]:
    """Write a report of a journal without opening the store; return its figures by name.

    ``flags`` is a dict: how many pages have each flag.

    Raises:
        ConfigError: the journal cannot be read, or the file cannot be written.
    """
    check_target(target)
    findings = _findings(journal)
    write_report(target, findings, source, limits)
    return {**findings.counts, "flags": findings.flags}


def _findings(journal: Journal) -> Findings:
    found, counted = Findings(), Counter(documents=0, pages=0)
    for entry in journal.entries():
        counted["documents"] += 1
        counted["pages"] += _add(found, journal, entry)
    if journal.gave_up:
        raise ConfigError("the journal cannot be read: ingest the documents again")
    found.counts = {
        **counted,
        "failed_pages": len(found.failures),
        "doubtful_pages": len(found.doubtful),
    }
    return found


def _add(found: Findings, journal: Journal, entry: JournalEntry) -> int:
    """Add a document's pages to the findings; returns how many pages were read."""
    failures = journal.failures(entry.id) if entry.chunks < 0 else []
    for index, why in failures:
        code, _, message = why.partition(": ")
        found.failures.append(PageFailure(entry.path, index, code, message, entry.id))
        found.failed.append(NotedPage(entry.path, index, (code,), sha256=entry.sha256))
    pages = 0
    for index, page in journal.pages_of(entry):
        pages += 1
        for flag in set(page.flags):
            found.flags[flag] = found.flags.get(flag, 0) + 1
        if flags := doubts(page.flags):
            boxes = tuple((one.box, one.kind.value) for one in page.blocks if one.box)
            found.doubtful.add(NotedPage(entry.path, index, flags, boxes, entry.sha256))
    return pages
