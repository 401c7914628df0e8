"""What a run leaves for people to look at: its report as a page, its figures for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..core.config import SourceConfig, WorkLimits
from ..core.errors import OpticalRagError
from ..core.flags import doubts
from ..core.records import PageFailure, PageOutcome, ParsedPage
from ..pipeline.pipeline import IngestReport
from ..system.files import check_target, replace_file
from .file import DoubtfulPages, Findings, NotedPage, write_report
from .html import metrics_text

__all__ = ["RunRecord"]

_COUNTS: Final = (
    *("documents", "unchanged", "renamed", "pages", "chunks", "embedded"),
    *("points_written", "points_deleted", "pruned", "interrupted", "seconds"),
)


class RunRecord:
    """Notes doubtful pages while a run goes on; a bounded number of them is kept.

    Args:
        report: file for the report; None: none is written.
        metrics: file for the figures; None: none is written.

    Raises:
        ConfigError: there is no folder to write a file to.
    """

    def __init__(self, report: Path | None = None, metrics: Path | None = None) -> None:
        for file in (report, metrics):
            if file is not None:
                check_target(file)
        self._report = report
        self._metrics = metrics
        self._doubtful = DoubtfulPages()

    def observe(self, outcome: PageOutcome) -> None:
        """Take note of a page, if its text may be wrong."""
        flags = doubts(outcome.flags) if isinstance(outcome, ParsedPage) else ()
        if not isinstance(outcome, ParsedPage) or not flags:
            return
        document = outcome.ref.document
        boxes = tuple((block.box, block.kind.value) for block in outcome.blocks)
        noted = NotedPage(document.uri, outcome.ref.index, flags, boxes, document.sha256)
        self._doubtful.add(noted)

    @contextmanager
    def failures_noted(self, report: IngestReport) -> Iterator[None]:
        """Write figures also of a run that an error or signal ends, so that no old ones stand."""
        try:
            yield
        except BaseException as error:
            report.interrupted = True
            report.failures.append(PageFailure("", None, _code(error), str(error)))
            with suppress(OSError):  # the disk may be what the run failed with
                self._write_metrics(report)
            raise

    def write(self, report: IngestReport, source: SourceConfig, limits: WorkLimits) -> None:
        """Write what was asked for of a run; what cannot be written is one of its failures."""
        with _as_failure(self._metrics, report):
            self._write_metrics(report)
        with _as_failure(self._report, report):
            self._write_report(report, source, limits)

    def _write_report(self, report: IngestReport, source: SourceConfig, limits: WorkLimits) -> None:
        if self._report is None:
            return
        failed = [
            NotedPage(failure.file, failure.index, (failure.code,))
            for failure in report.failures
            if failure.index is not None
        ]
        found = Findings(_counts(report, self), report.failures, failed, self._doubtful)
        write_report(self._report, found, source, limits)

    def _write_metrics(self, report: IngestReport) -> None:
        if self._metrics is None:
            return
        text = metrics_text(_counts(report, self), report.failures, time.time())
        replace_file(self._metrics, text, 0o644)

    @property
    def doubtful(self) -> int:
        """Pages whose text may be wrong or incomplete."""
        return len(self._doubtful)


def _code(error: BaseException) -> str:
    if isinstance(error, OpticalRagError):
        return error.code
    if isinstance(error, KeyboardInterrupt):  # and signals that end a command as it does
        return "interrupted"
    return "io" if isinstance(error, OSError) else "internal"


@contextmanager
def _as_failure(file: Path | None, report: IngestReport) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        report.failures.append(PageFailure(str(file), None, "io", str(error)))


def _counts(report: IngestReport, record: RunRecord) -> dict[str, float]:
    return {
        **{name: getattr(report, name) for name in _COUNTS},
        "mended_files": len(report.mended),
        "doubtful_pages": record.doubtful,
    }
