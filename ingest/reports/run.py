"""The HTML report of one ingest run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..core.config import SourceConfig, WorkLimits
from ..core.flags import doubts
from ..core.records import PageFailure, PageOutcome, ParsedPage
from ..pipeline.report import IngestReport
from ..system.files import check_target
from .file import DoubtfulPages, Findings, NotedPage, write_report

__all__ = ["RunRecord"]

_COUNTS: Final = (
    "documents",
    "unchanged",
    "renamed",
    "pages",
    "chunks",
    "embedded",
    "points_written",
    "points_deleted",
    "pruned",
    "interrupted",
    "seconds",
)


class RunRecord:
    """Collects doubtful pages during a run and writes the report after it.

    Args:
        target: the report's file; None: write no report.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, target: Path | None = None) -> None:
        if target is not None:
            check_target(target)
        self._target = target
        self._doubtful = DoubtfulPages()

    @property
    def doubtful(self) -> int:
        """Number of pages whose text may be wrong or incomplete."""
        return len(self._doubtful)

    def observe(self, outcome: PageOutcome) -> None:
        """Note a page if its text may be wrong or incomplete."""
        if not isinstance(outcome, ParsedPage) or not (flags := doubts(outcome.flags)):
            return
        document = outcome.ref.document
        boxes = tuple((block.box, block.kind.value) for block in outcome.blocks)
        noted = NotedPage(document.uri, outcome.ref.index, flags, boxes, document.sha256)
        self._doubtful.add(noted)

    def write(self, report: IngestReport, source: SourceConfig, limits: WorkLimits) -> None:
        """Write the report; an error of the file system becomes a failure in ``report``."""
        if self._target is None:
            return
        failed = [
            NotedPage(failure.file, failure.index, (failure.code,))
            for failure in report.failures
            if failure.index is not None
        ]
        counts = {
            **{name: getattr(report, name) for name in _COUNTS},
            "mended_files": len(report.mended),
            "doubtful_pages": self.doubtful,
        }
        found = Findings(counts, report.flags, report.failures, failed, self._doubtful)
        try:
            write_report(self._target, found, source, limits)
        except OSError as error:
            report.failures.append(PageFailure(str(self._target), None, "io", str(error)))
