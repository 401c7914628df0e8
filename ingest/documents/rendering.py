"""Renders pages with PyMuPDF, in this process or in workers.

Coordinates are fractions of the page as displayed, origin top left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pymupdf

from ..core.config import PageLimits
from ..core.errors import LimitExceeded, OpticalRagError, PageRenderFailed
from ..core.records import Box, PageFailure, PageImage, PageRef, PageTask, Word
from ..system.workers import WorkerCrash, WorkerPool
from .opening import MUPDF_ERRORS, reading
from .xfa import is_xfa_placeholder

__all__ = ["page_words", "render_page", "render_pages"]


def page_words(page: Any) -> tuple[Word, ...]:
    """Return the words in the text layer of a PyMuPDF page, in its order, with invisible ones."""
    width, height = page.rect.width or 1.0, page.rect.height or 1.0
    turn = page.rotation_matrix
    words = []
    for x0, y0, x1, y1, text, *_ in page.get_text("words", sort=False):
        r = pymupdf.Rect(x0, y0, x1, y1) * turn
        box = Box.clipped(r.x0 / width, r.y0 / height, r.x1 / width, r.y1 / height)
        words.append(Word(text, box))
    return tuple(words)


def render_page(
    document: Any,
    ref: PageRef,
    *,
    long_side: int | None = None,
    dpi: int | None = None,
    limits: PageLimits | None = None,
) -> PageImage:
    """Render a page of a PyMuPDF document; see :meth:`.pages.SourceDocument.render`."""
    name = f"page {ref.number} of {ref.document.name}"
    try:
        page = document[ref.index]
        rect = page.rect
        scale = _scale(rect, long_side, dpi, name, (limits or PageLimits()).pixels)
        pixmap = page.get_pixmap(
            matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csRGB, alpha=False
        )
        words = page_words(page)
        placeholder = is_xfa_placeholder(document)
        mended = bool(document.is_repaired)  # MuPDF knows only after reading the page
    except MUPDF_ERRORS as error:
        if isinstance(error, OpticalRagError):
            raise
        raise PageRenderFailed(f"cannot render {name}: {error}") from error
    rows = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.stride)
    pixels = rows[:, : pixmap.width * 3].reshape(pixmap.height, pixmap.width, 3).copy()
    if long_side is not None and max(pixels.shape) > long_side:
        pixels = pixels[:long_side, :long_side]  # MuPDF rounds the size up
    return PageImage(ref, pixels, rect.width, rect.height, words, mended, placeholder)


def _scale(rect: Any, long_side: int | None, dpi: int | None, name: str, maximum: int) -> float:
    scales = [dpi / 72] if dpi else []
    scales += [long_side / max(rect.width, rect.height, 1e-6)] if long_side else []
    if not scales:
        raise PageRenderFailed(f"cannot render {name}: give long_side, dpi or both")
    scale = min(scales)
    width, height = rect.width * scale, rect.height * scale
    if width * height > maximum:
        raise LimitExceeded(
            f"{name} would have {width:.0f} x {height:.0f} pixels, the limit is"
            f" {maximum:,}; render it smaller or raise PageLimits.pixels"
        )
    return scale


def render_pages(
    tasks: Iterator[PageTask],
    pool: WorkerPool,
    *,
    long_side: int | None = None,
    dpi: int | None = None,
) -> Iterator[PageImage | PageFailure]:
    """Render pages in a worker pool, in order, a bounded number ahead."""
    jobs = ((task, long_side, dpi) for task in tasks)
    for result in pool.map(_render_task, jobs):
        if isinstance(result, WorkerCrash):
            ref = result.item[0].ref
            message = f"cannot render page {ref.number} of {ref.document.name}: {result.reason}"
            yield PageFailure.of(ref, result.code, message)
        else:
            yield result


def _render_task(job: tuple[PageTask, int | None, int | None]) -> PageImage | PageFailure:
    task, long_side, dpi = job
    try:
        with reading(task.source) as opened:
            return render_page(opened, task.ref, long_side=long_side, dpi=dpi)
    except OpticalRagError as error:
        return PageFailure.of(task.ref, error.code, str(error))
