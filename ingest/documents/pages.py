"""An opened document and its pages.

Coordinates are fractions of the page as displayed, origin top left.
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

from ..core.config import PageLimits
from ..core.errors import DamagedDocument, PageRangeError
from ..core.identity import document_id
from ..core.records import DocumentRef, PageImage, PageRef, PageTask, SourceSpec, Word
from ..system.closeable import Closeable
from .opening import Candidate, Facts, close_document, examine, page_label, reading
from .rendering import page_words, render_page
from .sources import check_size, is_pdf, local_copy, location_of, utf8_path

__all__ = ["Examiner", "SourceDocument", "open_document", "parse_page_range"]

Examiner = Callable[[Candidate], Facts]
"""Examines a document before it is read: :func:`.opening.examine`, here or in a process."""


class SourceDocument(Closeable):
    """An opened document. Close it, or use it in a ``with`` statement.

    Attributes:
        spec: lets any process open the document until this one closes it.
        mended: whether the file was damaged, so that pages may be missing.
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
        """Close the document and remove its temporary files."""
        close_document(self.spec)
        self._resources.close()

    @property
    def warning(self) -> str:
        """A warning for the reader of a damaged file; empty for a sound one."""
        name = self.ref.uri or self.ref.name
        return f"{name} is damaged and was mended: pages may be missing" if self.mended else ""

    def page_refs(self, pages: str | None = None) -> tuple[PageRef, ...]:
        """Return the pages of a range (see :func:`parse_page_range`); None for all."""
        count = self.ref.page_count
        indices = range(count) if pages is None else parse_page_range(pages, count)
        labels = self._labels
        return tuple(PageRef(self.ref, i, labels[i] if labels else str(i + 1)) for i in indices)

    def tasks(self, pages: str | None = None) -> Iterator[PageTask]:
        """Yield the pages of a range as tasks for an engine; see :meth:`page_refs`."""
        return (PageTask(self.spec, ref) for ref in self.page_refs(pages))

    def words(self, index: int) -> tuple[Word, ...]:
        """Return the words in the text layer of a page (0-based), including invisible ones."""
        with reading(self.spec) as document:
            return page_words(document[index])

    def render(
        self, index: int, *, long_side: int | None = None, dpi: int | None = None
    ) -> PageImage:
        """Render a page (0-based).

        Args:
            index: the page.
            long_side: pixels of the longer side. With ``dpi``, the smaller scale counts.
            dpi: pixels per inch; required without ``long_side``.

        Raises:
            LimitExceeded: the page would have more pixels than allowed.
            PageRenderFailed: the page cannot be rendered.
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
        limits: None for the defaults.
        name: file name for messages; None for the path's.
        fs: an fsspec file system with ``source`` as a path in it.
        tenant: owner of the document; part of its id.
        examiner: examines the document first, here or in another process.

    Raises:
        UnsupportedSource: the file is neither a PDF nor a supported image.
        EncryptedDocument: the password is missing or wrong.
        DamagedDocument: the file cannot be opened or has no pages.
        LimitExceeded: the file has too many bytes, pages or pixels.
        SourceChanged: the file is being written to.
    """
    limits = limits or PageLimits()
    with ExitStack() as stack:
        path, uri = _local(source, fs, limits, stack)
        shown = name or Path(uri).name or "document"
        size = path.stat().st_size
        if not size:
            raise DamagedDocument(f"{shown} is empty")
        check_size(size, shown, limits)
        path = utf8_path(path, stack)
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
    """Create a private file; the stack removes it."""
    descriptor, name = tempfile.mkstemp(prefix="opticalrag-", suffix=".pdf")  # mode 0600
    os.close(descriptor)
    stack.callback(Path(name).unlink, missing_ok=True)
    return Path(name)


def _local(
    source: str | Path | bytes | BinaryIO, fs: Any, limits: PageLimits, stack: ExitStack
) -> tuple[Path, str]:
    """Return a path on this disk and the location of the document; copy it if needed."""
    if fs is not None and isinstance(source, str | Path):
        with fs.open(str(source), "rb") as stream:
            path = local_copy(stream, limits)
        uri = fs.unstrip_protocol(str(source))
    elif isinstance(source, str | Path):
        path = Path(source).absolute()
        if not path.is_file():
            if path.is_dir():
                list(path.iterdir())  # raises the reason why a folder could not be listed
            reason = "is not a file" if path.exists() else "does not exist"
            raise DamagedDocument(f"{source} {reason}")
        return path, location_of(path)
    else:
        path = local_copy(source, limits)
        uri = ""
    stack.callback(path.unlink, missing_ok=True)
    return path, uri


def parse_page_range(text: str, page_count: int) -> tuple[int, ...]:
    """Parse a 1-based page range: ``"1-3,7"``, ``"5-"``, ``"-2"``.

    Returns:
        0-based indices, sorted, without duplicates.

    Raises:
        PageRangeError: the range is malformed, or the document lacks such a page.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{0,9})\s*(-?)\s*(\d{0,9})\s*", part)
        if not match or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise PageRangeError(
                f"invalid page range {text!r} at {part.strip()!r}: write it like 1-3,7"
            )
        first = int(match[1] or 1)
        last = int(match[3] or page_count) if match[2] else first
        if not 1 <= first <= last <= page_count:
            raise PageRangeError(
                f"the page range {part.strip()!r} is outside the document's pages 1-{page_count}"
            )
        chosen.update(range(first - 1, last))
    return tuple(sorted(chosen))
