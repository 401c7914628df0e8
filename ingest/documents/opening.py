"""Opens files with PyMuPDF and examines them before any page is read.

A hostile file can crash or hang :func:`examine`, so it may run in a separate process: see
:class:`.examiner.DocumentExaminer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import pymupdf

from ..core.config import PageLimits
from ..core.errors import (
    DamagedDocument,
    EncryptedDocument,
    LimitExceeded,
    OpticalRagError,
    SourceChanged,
)
from ..core.records import SourceSpec, Stamp
from .images import pdf_of_image
from .sources import sha256_of

__all__ = [
    "MUPDF_ERRORS",
    "Candidate",
    "Facts",
    "close_document",
    "examine",
    "load",
    "page_label",
    "reading",
    "stamp_of",
]

# MuPDF would write to stderr the errors that this module raises.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)

_EMPTY_EVERY: Final = 8  # pages
_loads = count(1)

MUPDF_ERRORS: Final = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    pymupdf.mupdf.FzErrorBase,
)
"""The errors that PyMuPDF raised on malformed files, or may raise."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to examine.

    Attributes:
        file: the file as given.
        spec: the PDF to read: the same file, or for an image the PDF to make from it.
        name: file name for messages.
    """

    file: Path
    spec: SourceSpec
    name: str
    limits: PageLimits


@dataclass(frozen=True, slots=True)
class Facts:
    """What :func:`examine` finds out about a document.

    Attributes:
        sha256: hash of the file as given, in hexadecimal.
        title: title in the file's metadata, or empty.
        labels: page labels stored in the file, one per page; None if it has none.
        stamp: stamp of the PDF that was examined.
        mended: whether the file was damaged, so that only the pages MuPDF recovered are there.
    """

    sha256: str
    page_count: int
    title: str
    labels: tuple[str, ...] | None
    stamp: Stamp
    mended: bool = False


def examine(candidate: Candidate) -> Facts:
    """Open a document and examine it; raises the errors of :func:`.pages.open_document`."""
    name, limits = candidate.name, candidate.limits
    before = stamp_of(candidate.file)
    sha256 = sha256_of(candidate.file)
    if candidate.file != candidate.spec.path:
        pdf_of_image(candidate.file, name, limits, candidate.spec.path)
    document = _open(candidate.spec, name)
    if document.page_count > limits.pages:
        raise LimitExceeded(
            f"{name} has {document.page_count:,} pages, the limit is {limits.pages:,};"
            " split it, for example with qpdf, or raise PageLimits.pages"
        )
    title = (document.metadata or {}).get("title")
    title = _plain(title) if isinstance(title, str) else ""
    labels, mended = _labels(document), bool(document.is_repaired)
    if stamp_of(candidate.file) != before:
        raise _changed(name)
    _remember(candidate.spec, document)
    stamp = stamp_of(candidate.spec.path)
    return Facts(sha256, document.page_count, title, labels, stamp, mended)


def _open(spec: SourceSpec, name: str) -> Any:
    try:
        document = pymupdf.open(spec.path, filetype="pdf")
        if document.needs_pass and not document.authenticate(spec.password or ""):
            reason = "the password is wrong" if spec.password else "needs a password"
            raise EncryptedDocument(f"{name} is encrypted and {reason}: give its password")
        pages = document.page_count
    except MUPDF_ERRORS as error:
        if isinstance(error, OpticalRagError):
            raise
        raise DamagedDocument(f"cannot open {name}: {error}") from error
    if not pages:
        raise DamagedDocument(f"{name} has no pages")
    return document


def _labels(document: Any) -> tuple[str, ...] | None:
    try:
        if not document.get_page_labels():  # no page needs to be loaded
            return None
    except MUPDF_ERRORS:
        return None  # PyMuPDF cannot read all valid labels, for example references
    return tuple(page_label(document, index) for index in range(document.page_count))


def page_label(document: Any, index: int) -> str:
    """Return the label stored for a page (0-based), or its 1-based number without one."""
    try:
        label = document[index].get_label()
    except MUPDF_ERRORS:
        label = ""  # a malformed label must not cost the page
    return _plain(label) or str(index + 1)


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


# -- the last document opened in this process ----------------------------------------------

_last: tuple[SourceSpec, Stamp, Any] | None = None  # the spec is without its stamp


def load(spec: SourceSpec) -> Any:
    """Open the PyMuPDF document of a spec; consecutive calls for one file share it.

    Raises:
        DamagedDocument, EncryptedDocument: the file can no longer be opened.
        SourceChanged: the file has changed since it was examined.
    """
    # MuPDF's store of decoded pictures and fonts grows to 256 MiB in every process, and the
    # pictures of scanned pages are never used again. PyMuPDF can neither set that limit nor report
    # the size. Once it is empty, fonts and pictures that pages share are read again.
    if next(_loads) % _EMPTY_EVERY == 0:
        pymupdf.TOOLS.store_shrink(100)
    stamp = _checked_stamp(spec)
    if _last is not None and _last[:2] == (spec.unstamped, stamp):
        return _last[2]
    document = _open(spec, spec.path.name)
    _remember(spec, document)
    return document


@contextmanager
def reading(spec: SourceSpec) -> Iterator[Any]:
    """Load a document, and check after the body that its file has not changed."""
    document = load(spec)
    yield document
    _checked_stamp(spec)


def _checked_stamp(spec: SourceSpec) -> Stamp:
    stamp = stamp_of(spec.path)
    if spec.stamp not in (None, stamp):
        raise _changed(spec.path.name)
    return stamp


def close_document(spec: SourceSpec) -> None:
    """Close the document of a spec if this process still has it open."""
    global _last
    if _last is not None and _last[0] == spec.unstamped:
        _last[2].close()
        _last = None


def _remember(spec: SourceSpec, document: Any) -> None:
    global _last
    if _last is not None and _last[2] is not document:
        _last[2].close()
    _last = (spec.unstamped, stamp_of(spec.path), document)


def stamp_of(path: Path) -> Stamp:
    """Return the time of the last change, in ns, and the size of a file, in bytes."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DamagedDocument(f"cannot read {path.name} any more: {error}") from error
    return stat.st_mtime_ns, stat.st_size


def _changed(name: str) -> SourceChanged:
    return SourceChanged(f"{name} changed while it was read; ingest it again")
