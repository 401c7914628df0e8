"""What a run leaves for people to look at: its report as a page, its figures for Prometheus."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .config import SourceConfig, WorkLimits
from .errors import OpticalRagError
from .guarded import DocumentExaminer
from .pages import open_document, render_pages
from .pictures import draw_boxes
from .pipeline import IngestReport
from .quality import doubts
from .report_page import PagePicture, metrics_text, report_html
from .sources import path_of
from .types import Box, PageImage, PageOutcome, ParsedPage
from .workers import WorkerPool

__all__ = ["RunRecord"]

_MOST_PICTURES: Final = 30
_LONG_SIDE: Final = 700  # pixels: a heading can be read, and a page takes 50 to 100 kB
_QUALITY: Final = 60
_COUNTS: Final = (
    *("documents", "unchanged", "pages", "chunks", "embedded"),
    *("points_written", "points_deleted", "seconds"),
)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A page to be drawn: where its blocks were found, and what speaks against it."""

    file: str
    index: int
    flags: tuple[str, ...]
    boxes: tuple[tuple[Box, str], ...]


class RunRecord:
    """Notes doubtful pages while a run goes on; a bounded number of them is kept."""

    def __init__(self) -> None:
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

    def write_report(
        self, path: Path, report: IngestReport, source: SourceConfig, limits: WorkLimits
    ) -> None:
        """Write the page; it shows documents, so nobody else may read it."""
        shown = [PagePicture(d.file, d.index + 1, d.flags, None) for d in self._doubts]
        if shown:
            shown = list(self._pictures(source, limits))
        page = report_html(_counts(report, self), report.failures, shown, self._left_out)
        _replace(path, page, 0o600)

    def write_metrics(self, path: Path, report: IngestReport) -> None:
        """Write the figures, at once and whole: a collector may read at any time."""
        _replace(path, metrics_text(_counts(report, self), report.failures, time.time()), 0o644)

    @property
    def doubtful(self) -> int:
        """Pages whose text may be wrong or incomplete."""
        return len(self._doubts) + self._left_out

    def _pictures(self, source: SourceConfig, limits: WorkLimits) -> Iterator[PagePicture]:
        with DocumentExaminer(limits) as examiner, WorkerPool(1, limits) as pool:
            for doubt in self._doubts:
                jpeg = _draw(doubt, source, examiner, pool)
                yield PagePicture(doubt.file, doubt.index + 1, doubt.flags, jpeg)


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
