"""Documents opened with PyMuPDF: their pages, words and pictures.

Coordinates that leave here are fractions of the page as displayed.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pymupdf

from ..system.closeable import Closeable
from ..core.config import PageLimits
from ..core.errors import (
    DamagedDocument,
    LimitExceeded,
    OpticalRagError,
    PageRangeError,
    PageRenderFailed,
)
from ..core.identity import document_id
from .opening import (
    MUPDF_ERRORS,
    Candidate,
    Facts,
    close_document,
    examine,
    page_label,
    reading,
)
from .sources import check_bytes, is_pdf, local_copy, nameable, location_of
from ..core.records import (
    Box,
    DocumentRef,
    PageFailure,
    PageImage,
    PageRef,
    PageTask,
    SourceSpec,
    Word,
)
from ..system.workers import WorkerCrash, WorkerPool

__all__ = [
    "Examiner",
    "SourceDocument",
    "open_document",
    "page_words",
    "parse_page_range",
    "reading",
    "render_page",
    "render_pages",
]

Examiner = Callable[[Candidate], Facts]
"""Looks at a document before it is read: :func:`.opening.examine`, or the same elsewhere."""


class SourceDocument(Closeable):
    """An opened document. Close it, or use it in a ``with`` statement.

    ``ref`` identifies it; ``spec`` lets any process open it while this one keeps it open;
    ``mended`` says that the file was damaged, and pages of it may be missing.
    """

    def __init__(
        self,
        ref: DocumentRef,
        spec: SourceSpec,
        facts: Facts,
        limits: PageLimits,
        resources: ExitStack,
    ) -> None:
        self.ref = ref
        self.spec = spec
        self.limits = limits
        self.mended = facts.mended
        self._labels = facts.labels
        self._resources = resources

    def close(self) -> None:
        """Remove temporary files; the document cannot be used any more."""
        close_document(self.spec)
        self._resources.close()

    @property
    def warning(self) -> str:
        """What whoever reads it should know of the file; empty if there is nothing."""
        if not self.mended:
            return ""
        return f"{self.ref.uri or self.ref.name} is damaged and was mended: pages may be missing"

    def page_refs(self, pages: str | None = None) -> tuple[PageRef, ...]:
        """The pages chosen by a 1-based range such as ``"1-3,7"``; None for all.

        Raises:
            PageRangeError: the range is malformed or names no page.
        """
        indices = (
            range(self.ref.page_count)
            if pages is None
            else parse_page_range(pages, self.ref.page_count)
        )
        return tuple(
            PageRef(self.ref, i, self._labels[i] if self._labels else str(i + 1)) for i in indices
        )

    def tasks(self, pages: str | None = None) -> Iterator[PageTask]:
        """The chosen pages as tasks for an engine."""
        return (PageTask(self.spec, ref) for ref in self.page_refs(pages))

    def words(self, index: int) -> tuple[Word, ...]:
        """Words of the text layer of a page (0-based), invisible ones included."""
        with reading(self.spec) as document:
            return page_words(document[index])

    def render(
        self, index: int, *, long_side: int | None = None, dpi: int | None = None
    ) -> PageImage:
        """Draw a page (0-based) so that its longer side has ``long_side`` pixels, or at ``dpi``.

        With both, at ``dpi`` but with no more than ``long_side`` pixels.

        Raises:
            LimitExceeded: more pixels than allowed.
            PageRenderFailed: the page cannot be drawn.
        """
        with reading(self.spec) as document:
            ref = PageRef(self.ref, index, page_label(document, index))
            return render_page(document, ref, long_side=long_side, dpi=dpi, limits=self.limits)


def open_document(  # noqa: PLR0913  all but the source have a default
    source: str | Path | bytes | BinaryIO,
    *,
    password: str | None = None,
    limits: PageLimits | None = None,
    name: str | None = None,
    fs: Any = None,
    tenant: str | None = None,
    examiner: Examiner = examine,
) -> SourceDocument:
    """Open a PDF or an image.

    Args:
        source: a path, the bytes, or a binary file object.
        password: user or owner password of an encrypted PDF.
        limits: what the document may cost.
        name: file name to show; by default the path's.
        fs: an fsspec file system that ``source`` is a path of.
        tenant: whose document it is, where several keep the same file.
        examiner: looks at it first, here or in another process.

    Raises:
        UnsupportedSource: neither a PDF nor an image we read.
        EncryptedDocument: the password is missing or wrong.
        DamagedDocument: it cannot be opened or has no page.
        LimitExceeded: too many bytes, pages or pixels.
        SourceChanged: it is being written to.
    """
    limits = limits or PageLimits()
    with ExitStack() as stack:
        path, uri = _local(source, fs, limits, stack)
        shown = name or Path(uri).name or "document"
        size = path.stat().st_size
        if not size:
            raise DamagedDocument(f"{shown} is empty")
        check_bytes(size, shown, limits)
        path = nameable(path, stack)
        pdf = is_pdf(path)
        spec = SourceSpec(path if pdf else _temporary(stack), password)
        facts = examiner(Candidate(path, spec, shown, limits))
        ref = DocumentRef(
            id=document_id(uri, facts.sha256, tenant),
            sha256=facts.sha256,
            name=shown,
            uri=uri,
            page_count=facts.page_count,
            media_type="application/pdf" if pdf else "image",
            title=facts.title,
        )
        spec = replace(spec, stamp=facts.stamp)
        return SourceDocument(ref, spec, facts, limits, stack.pop_all())


def _temporary(stack: ExitStack) -> Path:
    """A private file that is removed with the document."""
    descriptor, name = tempfile.mkstemp(prefix="opticalrag-", suffix=".pdf")  # mode 0600
    os.close(descriptor)
    path = Path(name)
    stack.callback(path.unlink, missing_ok=True)
    return path


def _local(
    source: str | Path | bytes | BinaryIO, fs: Any, limits: PageLimits, stack: ExitStack
) -> tuple[Path, str]:
    """A path on this disk, and where the document came from."""
    if fs is not None and isinstance(source, str | Path):
        with fs.open(str(source), "rb") as stream:
            path = local_copy(stream, limits)
        uri = fs.unstrip_protocol(str(source))
    elif isinstance(source, str | Path):
        path = Path(source).absolute()
        if not path.is_file():
            if path.is_dir():
                list(path.iterdir())  # why it could not be searched is an error of its own
            what = "is no file" if path.exists() else "does not exist"
            raise DamagedDocument(f"{source} {what}")
        return path, location_of(path)
    else:
        path = local_copy(source, limits)
        uri = ""
    stack.callback(path.unlink, missing_ok=True)
    return path, uri


# -- pages -----------------------------------------------------------------------------------


def page_words(page: Any) -> tuple[Word, ...]:
    """Words of a PyMuPDF page's text layer in its own order, invisible ones included."""
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
    """Draw a page of a PyMuPDF document; see :meth:`SourceDocument.render`."""
    where = f"page {ref.number} of {ref.document.name}"
    try:
        page = document[ref.index]
        rect = page.rect
        scale = _scale(max(rect.width, rect.height, 1e-6), long_side, dpi, where)
        _check_pixels(rect.width * scale, rect.height * scale, where, limits or PageLimits())
        pixmap = page.get_pixmap(
            matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csRGB, alpha=False
        )
        words = page_words(page)
        mended = bool(document.is_repaired)  # known when the page is read, not before
    except MUPDF_ERRORS as error:
        if isinstance(error, OpticalRagError):
            raise
        raise PageRenderFailed(f"{where} cannot be drawn: {error}") from error
    rows = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.stride)
    pixels = rows[:, : pixmap.width * 3].reshape(pixmap.height, pixmap.width, 3).copy()
    if long_side is not None and max(pixels.shape) > long_side:
        pixels = pixels[:long_side, :long_side]  # MuPDF rounds the box outwards
    return PageImage(ref, pixels, rect.width, rect.height, words, mended)


def _scale(points: float, long_side: int | None, dpi: int | None, where: str) -> float:
    scales = [dpi / 72] if dpi else []
    scales += [long_side / points] if long_side else []
    if not scales:
        raise PageRenderFailed(f"{where}: give long_side, dpi or both")
    return min(scales)


def _check_pixels(width: float, height: float, where: str, limits: PageLimits) -> None:
    if width * height > limits.pixels:
        raise LimitExceeded(
            f"{where} would have {width:.0f} x {height:.0f} pixels, the limit is"
            f" {limits.pixels:,}; draw it smaller or raise PageLimits.pixels"
        )


def parse_page_range(text: str, page_count: int) -> tuple[int, ...]:
    """Read a 1-based page choice: ``"1-3,7"``, ``"5-"``, ``"-2"``.

    Returns:
        0-based indices, sorted, without duplicates.

    Raises:
        PageRangeError: malformed, or a page that the document does not have.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{0,9})\s*(-?)\s*(\d{0,9})\s*", part)
        if not match or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise PageRangeError(f"page choice {text!r} is not like 1-3,7 (at {part.strip()!r})")
        first = int(match[1] or 1)
        last = int(match[3] or page_count) if match[2] else first
        if not 1 <= first <= last <= page_count:
            raise PageRangeError(
                f"page choice {part.strip()!r} is outside the document's pages 1-{page_count}"
            )
        chosen.update(range(first - 1, last))
    return tuple(sorted(chosen))


# -- drawing in worker processes ---------------------------------------------------------------


def render_pages(
    tasks: Iterator[PageTask],
    pool: WorkerPool,
    *,
    long_side: int | None = None,
    dpi: int | None = None,
) -> Iterator[PageImage | PageFailure]:
    """Draw pages in a pool's processes, in order, a bounded number ahead."""
    jobs = ((task, long_side, dpi) for task in tasks)
    for result in pool.map(_render_task, jobs):
        if isinstance(result, WorkerCrash):
            ref = result.item[0].ref
            message = f"page {ref.number} of {ref.document.name} cannot be drawn: {result.reason}"
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
