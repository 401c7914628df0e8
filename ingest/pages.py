"""Documents opened with PyMuPDF: their pages, words and pictures.

Coordinates that leave here are fractions of the page as displayed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pymupdf

from .closing import Closeable
from .config import PageLimits
from .errors import (
    DamagedDocument,
    EncryptedDocument,
    LimitExceeded,
    OpticalRagError,
    PageRangeError,
    PageRenderFailed,
)
from .identity import document_id
from .sources import check_bytes, is_pdf, local_copy, pdf_of_image, sha256_of
from .types import (
    Box,
    DocumentRef,
    PageFailure,
    PageImage,
    PageRef,
    PageTask,
    SourceSpec,
    Word,
)
from .workers import WorkerCrash, WorkerPool

__all__ = [
    "SourceDocument",
    "load",
    "open_document",
    "page_words",
    "parse_page_range",
    "render_page",
    "render_pages",
]

_log = logging.getLogger(__name__)

# MuPDF writes to stderr what we report ourselves.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)


class SourceDocument(Closeable):
    """An opened document. Close it, or use it in a ``with`` statement.

    ``ref`` identifies it; ``spec`` lets any process open it while this one keeps it open.
    """

    def __init__(
        self, ref: DocumentRef, spec: SourceSpec, limits: PageLimits, resources: ExitStack
    ) -> None:
        self.ref = ref
        self.spec = spec
        self.limits = limits
        self._resources = resources

    def close(self) -> None:
        """Remove temporary files; the document cannot be used any more."""
        _forget(self.spec)
        self._resources.close()

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
        document = load(self.spec)
        labelled = bool(document.get_page_labels())  # else no page need be loaded
        return tuple(
            PageRef(self.ref, i, _label(document, i) if labelled else str(i + 1)) for i in indices
        )

    def tasks(self, pages: str | None = None) -> Iterator[PageTask]:
        """The chosen pages as tasks for an engine."""
        return (PageTask(self.spec, ref) for ref in self.page_refs(pages))

    def words(self, index: int) -> tuple[Word, ...]:
        """Words of the text layer of a page (0-based), invisible ones included."""
        return page_words(load(self.spec)[index])

    def render(
        self, index: int, *, long_side: int | None = None, dpi: int | None = None
    ) -> PageImage:
        """Draw a page (0-based) so that its longer side has ``long_side`` pixels, or at ``dpi``.

        With both, at ``dpi`` but with no more than ``long_side`` pixels.

        Raises:
            LimitExceeded: more pixels than allowed.
            PageRenderFailed: the page cannot be drawn.
        """
        document = load(self.spec)
        ref = PageRef(self.ref, index, _label(document, index))
        return render_page(document, ref, long_side=long_side, dpi=dpi, limits=self.limits)


def open_document(
    source: str | Path | bytes | BinaryIO,
    *,
    password: str | None = None,
    limits: PageLimits | None = None,
    name: str | None = None,
    fs: Any = None,
    tenant: str | None = None,
) -> SourceDocument:
    """Open a PDF or an image.

    Args:
        source: a path, the bytes, or a binary file object.
        password: user or owner password of an encrypted PDF.
        limits: what the document may cost.
        name: file name to show; by default the path's.
        fs: an fsspec file system that ``source`` is a path of.
        tenant: whose document it is, where several keep the same file.

    Raises:
        UnsupportedSource: neither a PDF nor an image we read.
        EncryptedDocument: the password is missing or wrong.
        DamagedDocument: it cannot be opened or has no page.
        LimitExceeded: too many bytes, pages or pixels.
    """
    limits = limits or PageLimits()
    with ExitStack() as stack:
        path, uri = _local(source, fs, limits, stack)
        shown = name or Path(uri).name or "document"
        size = path.stat().st_size
        if not size:
            raise DamagedDocument(f"{shown} is empty")
        check_bytes(size, shown, limits)
        sha256 = sha256_of(path)
        pdf = is_pdf(path)
        if not pdf:
            path = pdf_of_image(path, shown, limits)
            stack.callback(path.unlink, missing_ok=True)
        spec = SourceSpec(path, password)
        document = _open(spec, shown)
        if document.page_count > limits.pages:
            raise LimitExceeded(
                f"{shown} has {document.page_count:,} pages, the limit is {limits.pages:,};"
                " raise PageLimits.pages to read it"
            )
        ref = DocumentRef(
            id=document_id(uri, sha256, tenant),
            sha256=sha256,
            name=shown,
            uri=uri,
            page_count=document.page_count,
            media_type="application/pdf" if pdf else "image",
            title=_plain((document.metadata or {}).get("title") or ""),
        )
        _remember(spec, document)
        return SourceDocument(ref, spec, limits, stack.pop_all())


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
            what = "is no file" if path.exists() else "does not exist"
            raise DamagedDocument(f"{source} {what}")
        return path, str(path)
    else:
        path = local_copy(source, limits)
        uri = ""
    stack.callback(path.unlink, missing_ok=True)
    return path, uri


def _open(spec: SourceSpec, name: str) -> Any:
    try:
        document = pymupdf.open(spec.path, filetype="pdf")
        if document.needs_pass and not document.authenticate(spec.password or ""):
            what = "its password is wrong" if spec.password else "it needs a password"
            raise EncryptedDocument(f"{name} is encrypted and {what}: give password= (--password)")
        pages = document.page_count
    except (RuntimeError, ValueError) as error:
        if isinstance(error, OpticalRagError):
            raise
        raise DamagedDocument(f"{name} cannot be opened: {error}") from error
    if not pages:
        raise DamagedDocument(f"{name} has no pages")
    return document


# -- the last document opened in this process ----------------------------------------------

_Stamp = tuple[SourceSpec, int, int]
_last: tuple[_Stamp, Any] | None = None


def load(spec: SourceSpec) -> Any:
    """The PyMuPDF document of a spec; consecutive pages of one file share it.

    A file that changed on disk is opened anew.

    Raises:
        DamagedDocument, EncryptedDocument: it cannot be opened any more.
    """
    if _last is not None and _last[0] == _stamp(spec):
        return _last[1]
    document = _open(spec, spec.path.name)
    _remember(spec, document)
    return document


def _stamp(spec: SourceSpec) -> _Stamp:
    try:
        stat = spec.path.stat()
    except OSError as error:
        raise DamagedDocument(f"{spec.path.name} can no longer be read: {error}") from error
    return spec, stat.st_mtime_ns, stat.st_size


def _remember(spec: SourceSpec, document: Any) -> None:
    global _last
    if _last is not None and _last[1] is not document:
        _last[1].close()
    _last = (_stamp(spec), document)


def _forget(spec: SourceSpec) -> None:
    global _last
    if _last is not None and _last[0][0] == spec:
        _last[1].close()
        _last = None


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
    except (RuntimeError, ValueError, IndexError) as error:
        if isinstance(error, OpticalRagError):
            raise
        raise PageRenderFailed(f"{where} cannot be drawn: {error}") from error
    rows = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.stride)
    pixels = rows[:, : pixmap.width * 3].reshape(pixmap.height, pixmap.width, 3).copy()
    if long_side is not None and max(pixels.shape) > long_side:
        pixels = pixels[:long_side, :long_side]  # MuPDF rounds the box outwards
    return PageImage(ref, pixels, rect.width, rect.height, words)


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


def _label(document: Any, index: int) -> str:
    try:
        label = document[index].get_label()
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError):
        label = ""  # malformed label trees are no reason to lose a page
    return _plain(label) or str(index + 1)


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


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
            yield PageFailure(
                ref.document.uri or ref.document.name,
                ref.index,
                result.code,
                message,
                ref.document.id,
            )
        else:
            yield result


def _render_task(job: tuple[PageTask, int | None, int | None]) -> PageImage | PageFailure:
    task, long_side, dpi = job
    document = task.ref.document
    try:
        return render_page(load(task.source), task.ref, long_side=long_side, dpi=dpi)
    except OpticalRagError as error:
        return PageFailure(
            document.uri or document.name, task.ref.index, error.code, str(error), document.id
        )
