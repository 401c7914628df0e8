"""What a run leaves for people to look at: its report as a page, its figures for Prometheus."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .config import ConfigError, SourceConfig, WorkLimits
from .errors import OpticalRagError
from .guarded import DocumentExaminer
from .pages import open_document, render_pages
from .pictures import draw_boxes
from .pipeline import IngestReport
from .quality import doubts
from .report_page import PagePicture, metrics_text, report_html
from .sources import path_of
from .types import Box, PageFailure, PageImage, PageOutcome, ParsedPage
from .workers import WorkerPool

__all__ = ["RunRecord"]

_MOST_PICTURES: Final = 30
_LONG_SIDE: Final = 700  # pixels: a heading can be read, and a page takes 50 to 100 kB
_QUALITY: Final = 60
_COUNTS: Final = (
    *("documents", "unchanged", "renamed", "pages", "chunks", "embedded"),
    *("points_written", "points_deleted", "pruned", "interrupted", "seconds"),
)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A page to be drawn: where its blocks were found, and what speaks against it."""

    file: str
    index: int
    flags: tuple[str, ...]
    boxes: tuple[tuple[Box, str], ...]


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
            if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
                raise ConfigError(f"{file} cannot be written; name a file in a folder of yours")
        self._report = report
        self._metrics = metrics
        self._doubts: list[_Doubt] = []
        self._left_out = 0

    def observe(self, outcome: PageOutcome) -> None:
        """Take note of a page, if its text may be wrong."""
        flags = doubts(outcome.flags) if isinstance(outcome, ParsedPage) else ()
        if not isinstance(outcome, ParsedPage) or not flags:
            return
        if len(self._doubts) == _MOST_PICTURES:
            self._left_out += 1
            return
        document = outcome.ref.document
        boxes = tuple((block.box, block.kind.value) for block in outcome.blocks)
        self._doubts.append(_Doubt(document.uri, outcome.ref.index, flags, boxes))

    @contextmanager
    def failures_noted(self) -> Iterator[None]:
        """Write figures also of a run that one of our errors ends, so that no old ones stand."""
        try:
            yield
        except OpticalRagError as error:
            failure = PageFailure("", None, error.code, str(error))
            self._write_metrics(IngestReport(interrupted=True, failures=[failure]))
            raise

    def write(self, report: IngestReport, source: SourceConfig, limits: WorkLimits) -> None:
        """Write what was asked for of a run; what cannot be written is one of its failures."""
        with _as_failure(self._metrics, report):
            self._write_metrics(report)
        with _as_failure(self._report, report):
            self._write_report(report, source, limits)

    def _write_report(self, report: IngestReport, source: SourceConfig, limits: WorkLimits) -> None:
        # It shows documents, so nobody else may read it.
        if self._report is None:
            return
        shown = [PagePicture(d.file, d.index + 1, d.flags, None) for d in self._doubts]
        if shown:
            shown = list(self._pictures(source, limits))
        page = report_html(_counts(report, self), report.failures, shown, self._left_out)
        _replace(self._report, page, 0o600)

    def _write_metrics(self, report: IngestReport) -> None:
        # At once and whole: a collector may read at any time.
        if self._metrics is None:
            return
        text = metrics_text(_counts(report, self), report.failures, time.time())
        _replace(self._metrics, text, 0o644)

    @property
    def doubtful(self) -> int:
        """Pages whose text may be wrong or incomplete."""
        return len(self._doubts) + self._left_out

    def _pictures(self, source: SourceConfig, limits: WorkLimits) -> Iterator[PagePicture]:
        with DocumentExaminer(limits) as examiner, WorkerPool(1, limits) as pool:
            for doubt in self._doubts:
                jpeg = _draw(doubt, source, examiner, pool)
                yield PagePicture(doubt.file, doubt.index + 1, doubt.flags, jpeg)


@contextmanager
def _as_failure(file: Path | None, report: IngestReport) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        report.failures.append(PageFailure(str(file), None, "io", str(error)))


def _draw(
    doubt: _Doubt, source: SourceConfig, examiner: DocumentExaminer, pool: WorkerPool
) -> bytes | None:
    try:
        with ExitStack() as stack:
            document = stack.enter_context(
                open_document(
                    path_of(doubt.file) or doubt.file,
                    password=source.password,
                    limits=source.limits,
                    examiner=examiner,
                )
            )
            tasks = document.tasks(str(doubt.index + 1))
            (image,) = render_pages(tasks, pool, long_side=_LONG_SIDE)
    except (OpticalRagError, OSError):
        return None  # it was read, but is gone or changed by now
    if not isinstance(image, PageImage):
        return None
    stream = io.BytesIO()
    draw_boxes(image, doubt.boxes).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _counts(report: IngestReport, record: RunRecord) -> dict[str, float]:
    return {
        **{name: getattr(report, name) for name in _COUNTS},
        "doubtful_pages": record.doubtful,
    }


def _replace(path: Path, text: str, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
