"""Writes reports: figures, failures and pictures of failed and doubtful pages."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..core.config import SourceConfig, WorkLimits
from ..core.errors import OpticalRagError
from ..core.records import Box, PageFailure, PageImage
from ..documents.drawing import draw_boxes
from ..documents.examiner import DocumentExaminer
from ..documents.pages import open_document
from ..documents.rendering import render_pages
from ..documents.sources import path_of
from ..system.files import replace_file
from ..system.workers import WorkerPool
from .html import PagePicture, report_html

__all__ = ["DoubtfulPages", "Findings", "NotedPage", "write_report"]

_MAX_PICTURES: Final = 30  # each of failed and of doubtful pages
_LONG_SIDE: Final = 700  # pixels: headings are legible, and a page takes 50 to 100 kB
_QUALITY: Final = 60
_MAX_SECONDS: Final = 10.0  # per picture: pages that failed may hang again, one after the other


@dataclass(frozen=True, slots=True)
class NotedPage:
    """A failed or doubtful page that a report shows.

    Attributes:
        index: number of the page, from 0.
        flags: why the page is shown.
        boxes: box and kind of each block, to be drawn on the picture.
        sha256: hash of the file when the page was read; empty: draw from the file as it is now.
    """

    file: str
    index: int
    flags: tuple[str, ...]
    boxes: tuple[tuple[Box, str], ...] = ()
    sha256: str = ""


@dataclass(slots=True)
class DoubtfulPages:
    """Pages whose text may be wrong or incomplete. Further pages are only counted."""

    pages: list[NotedPage] = field(default_factory=list)
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.pages) + self.left_out

    def add(self, page: NotedPage) -> None:
        """Add a page."""
        if len(self.pages) < _MAX_PICTURES:
            self.pages.append(page)
        else:
            self.left_out += 1


@dataclass(slots=True)
class Findings:
    """The content of a report: figures, failures, and the failed and doubtful pages to show.

    ``flags`` tells how many pages have each flag.
    """

    counts: Mapping[str, float] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    failures: list[PageFailure] = field(default_factory=list)
    failed: list[NotedPage] = field(default_factory=list)
    doubtful: DoubtfulPages = field(default_factory=DoubtfulPages)


def write_report(
    target: Path, findings: Findings, source: SourceConfig, limits: WorkLimits
) -> None:
    """Write a report that only its owner can read, because it shows pages.

    Raises:
        OSError: the file cannot be written.
    """
    failed, doubtful = findings.failed[:_MAX_PICTURES], findings.doubtful
    pictures = list(_pictures([*failed, *doubtful.pages], source, limits))
    page = report_html(
        findings.counts,
        findings.failures,
        pictures[len(failed) :],
        doubtful.left_out,
        pictures[: len(failed)],
        findings.flags,
    )
    replace_file(target, page, 0o600)


def _pictures(
    pages: Sequence[NotedPage], source: SourceConfig, limits: WorkLimits
) -> Iterator[PagePicture]:
    short = replace(limits, seconds=min(limits.seconds, _MAX_SECONDS))
    with DocumentExaminer(limits) as examiner, WorkerPool(1, short) as pool:
        for page in pages:
            jpeg = _draw(page, source, examiner, pool)
            yield PagePicture(page.file, page.index + 1, page.flags, jpeg)


def _draw(
    page: NotedPage, source: SourceConfig, examiner: DocumentExaminer, pool: WorkerPool
) -> bytes | None:
    try:
        with ExitStack() as stack:
            document = stack.enter_context(
                open_document(
                    path_of(page.file) or page.file,
                    password=source.password,
                    limits=source.limits,
                    examiner=examiner,
                )
            )
            if page.sha256 not in ("", document.ref.sha256):
                return None  # the file changed: this page may be another one now
            tasks = document.tasks(str(page.index + 1))
            (image,) = render_pages(tasks, pool, long_side=_LONG_SIDE)
    except (OpticalRagError, OSError):
        return None  # the file is gone, changed or damaged
    if not isinstance(image, PageImage):
        return None
    stream = io.BytesIO()
    draw_boxes(image, page.boxes).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
