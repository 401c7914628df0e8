"""Opens files with PyMuPDF, and says what they are before a page is read.

All that a hostile file can do to who opens it happens in :func:`examine`, which therefore may
run in another process: see :class:`.guarded.DocumentExaminer`.
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

# MuPDF writes to stderr what we report ourselves.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)

_FORGET_EVERY: Final = 8  # pages; a letterhead or font that is on all is read again so often

MUPDF_ERRORS: Final = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    pymupdf.mupdf.FzErrorBase,
)
"""What PyMuPDF was seen to raise, or may, on malformed files."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a document: ``file`` as given, and ``spec`` of the PDF to read.

    For an image the PDF is yet to be made of it; else both are the same file.
    """

    file: Path
    spec: SourceSpec
    name: str
    limits: PageLimits

    @property
    def is_image(self) -> bool:
        """Whether the PDF is yet to be made."""
        return self.file != self.spec.path


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a document once it is open.

    ``labels`` are those printed in the file, one per page, or None if it has none. ``stamp`` is
    of the PDF that was looked at. ``mended``: it was damaged, and has the pages that MuPDF found.
    """

    sha256: str
    page_count: int
    title: str
    labels: tuple[str, ...] | None
    stamp: Stamp
    mended: bool = False


def examine(candidate: Candidate) -> Facts:
    """Open a document and say what it is.

    Raises:
        UnsupportedSource: neither a PDF nor an image we read.
        EncryptedDocument: the password is missing or wrong.
        DamagedDocument: it cannot be opened or has no page.
        LimitExceeded: too many pages or pixels.
        SourceChanged: it was written to meanwhile.
    """
    name, limits = candidate.name, candidate.limits
    before = stamp_of(candidate.file)
    sha256 = sha256_of(candidate.file)
    if candidate.is_image:
        pdf_of_image(candidate.file, name, limits, candidate.spec.path)
    document = _open(candidate.spec, name)
    if document.page_count > limits.pages:
        raise LimitExceeded(
            f"{name} has {document.page_count:,} pages, the limit is {limits.pages:,};"
            " split it, for example with qpdf, or raise PageLimits.pages in Python"
        )
    labels, title, mended = _labels(document), _title(document), bool(document.is_repaired)
    if stamp_of(candidate.file) != before:
        raise _changed(name)
    _remember(candidate.spec, document)
    stamp = stamp_of(candidate.spec.path)
    return Facts(sha256, document.page_count, title, labels, stamp, mended)


def _open(spec: SourceSpec, name: str) -> Any:
    try:
        document = pymupdf.open(spec.path, filetype="pdf")
        if document.needs_pass and not document.authenticate(spec.password or ""):
            what = "its password is wrong" if spec.password else "it needs a password"
            raise EncryptedDocument(f"{name} is encrypted and {what}: give password= (--password)")
        pages = document.page_count
    except MUPDF_ERRORS as error:
        if isinstance(error, OpticalRagError):
            raise
        raise DamagedDocument(f"{name} cannot be opened: {error}") from error
    if not pages:
        raise DamagedDocument(f"{name} has no pages")
    return document


def _labels(document: Any) -> tuple[str, ...] | None:
    try:
        labelled = bool(document.get_page_labels())  # else no page need be loaded
    except MUPDF_ERRORS:
        return None  # PyMuPDF reads less of them than is allowed, as no reference
    if not labelled:
        return None
    return tuple(page_label(document, index) for index in range(document.page_count))


def _title(document: Any) -> str:
    title = (document.metadata or {}).get("title")
    return _plain(title) if isinstance(title, str) else ""


def page_label(document: Any, index: int) -> str:
    """The number printed in the file for a page (0-based), or else its number."""
    try:
        label = document[index].get_label()
    except MUPDF_ERRORS:
        label = ""  # malformed label trees are no reason to lose a page
    return _plain(label) or str(index + 1)


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


# -- the last document opened in this process ----------------------------------------------

_last: tuple[SourceSpec, Stamp, Any] | None = None  # spec without its stamp


def load(spec: SourceSpec) -> Any:
    """The PyMuPDF document of a spec; consecutive pages of one file share it.

    Raises:
        DamagedDocument, EncryptedDocument: it cannot be opened any more.
        SourceChanged: its bytes are not those that were looked at first.
    """
    _forget_pictures()
    stamp = _checked_stamp(spec)
    if _last is not None and _last[:2] == (spec.unstamped, stamp):
        return _last[2]
    document = _open(spec, spec.path.name)
    _remember(spec, document)
    return document


@contextmanager
def reading(spec: SourceSpec) -> Iterator[Any]:
    """The document of :func:`load`; what was read of it counts only if its file stayed as it is.

    Raises:
        SourceError: what :func:`load` raises, also at the end.
    """
    document = load(spec)
    yield document
    _checked_stamp(spec)


def _checked_stamp(spec: SourceSpec) -> Stamp:
    stamp = stamp_of(spec.path)
    if spec.stamp not in (None, stamp):
        raise _changed(spec.path.name)
    return stamp


_loads = count(1)


def _forget_pictures() -> None:
    """Now and then have MuPDF drop what it keeps of the pages before.

    On its own it keeps 256 MiB of decoded pictures in every process, which of scans are never
    asked for again; PyMuPDF can neither set that limit nor say how much there is.
    """
    if next(_loads) % _FORGET_EVERY == 0:
        pymupdf.TOOLS.store_shrink(100)


def close_document(spec: SourceSpec) -> None:
    """Close the document if it is the one kept open."""
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
    """Time of the last change and size of a file.

    Raises:
        DamagedDocument: it is gone, or may not be looked at.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DamagedDocument(f"{path.name} can no longer be read: {error}") from error
    return stat.st_mtime_ns, stat.st_size


def _changed(name: str) -> SourceChanged:
    return SourceChanged(f"{name} was written to while it was read; ingest it again")
