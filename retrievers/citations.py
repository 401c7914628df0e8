"""Citations of hits: file, pages, boxes and links. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..ingest.core.errors import SourceChanged
from ..ingest.core.records import Box
from .query import Hit, markdown_ranges

__all__ = ["Citation", "CitedPage", "cite", "markdown_slices"]

_SNIPPET_CHARS = 240


@dataclass(frozen=True, slots=True)
class CitedPage:
    """One page of a hit.

    ``page`` is 1-based and ``label`` is the printed page number. ``boxes`` are fractions of the
    page as displayed, origin top left. ``ranges`` are [start, end) in characters of the page's
    Markdown (see :func:`markdown_slices`). ``link`` opens the file at this page in viewers that
    support ``#page=`` (RFC 8118).
    """

    page: int
    label: str
    boxes: tuple[Box, ...]
    ranges: tuple[tuple[int, int], ...]
    link: str

    def as_dict(self) -> dict[str, Any]:
        """The page as JSON values."""
        return {
            "page": self.page,
            "page_label": self.label,
            "boxes": [list(box.as_tuple()) for box in self.boxes],
            "ranges": [list(r) for r in self.ranges],
            "link": self.link,
        }


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of one hit.

    ``page``, ``page_label``, ``boxes`` and ``link`` are those of its first page (see
    :class:`CitedPage`). ``doubtful`` lists flags that say the text may be wrong.
    """

    file: str
    page: int | None
    page_label: str
    boxes: tuple[Box, ...]
    heading_path: tuple[str, ...]
    link: str
    score: float
    snippet: str
    cited_pages: tuple[CitedPage, ...] = ()
    doubtful: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.file]
        if self.page is not None:
            printed = "" if self.page_label in ("", str(self.page)) else f" ({self.page_label})"
            parts.append(f"page {self.page}{printed}")
        if self.heading_path:
            parts.append(" > ".join(self.heading_path))
        return f"{' · '.join(parts)} [{self.score:.3f}]"

    def as_dict(self) -> dict[str, Any]:
        """The citation as JSON values."""
        return {
            "file": self.file,
            "page": self.page,
            "page_label": self.page_label,
            "boxes": [list(box.as_tuple()) for box in self.boxes],
            "heading_path": list(self.heading_path),
            "link": self.link,
            "score": self.score,
            "snippet": self.snippet,
            "cited_pages": [page.as_dict() for page in self.cited_pages],
            "doubtful": list(self.doubtful),
        }


def cite(hit: Hit) -> Citation:
    """Make the citation of a hit."""
    pages = _cited_pages(hit)
    first = pages[0] if pages else None
    snippet = " ".join(hit.text.split())
    if len(snippet) > _SNIPPET_CHARS:
        snippet = snippet[: _SNIPPET_CHARS - 1] + "…"
    return Citation(
        file=hit.file_name or hit.file_path,
        page=first.page if first else None,
        page_label=first.label if first else "",
        boxes=first.boxes if first else (),
        heading_path=hit.heading_path,
        link=first.link if first else _link(hit, None),
        score=hit.score,
        snippet=snippet,
        cited_pages=pages,
        doubtful=hit.doubtful,
    )


def _cited_pages(hit: Hit) -> tuple[CitedPage, ...]:
    labels = dict(zip(hit.pages, hit.page_labels, strict=False))
    ranges = markdown_ranges(hit.payload)
    return tuple(
        CitedPage(
            page=page,
            label=labels.get(page, ""),
            boxes=tuple(box for number, box in hit.boxes if number == page),
            ranges=ranges.get(page, ()),
            link=_link(hit, page),
        )
        for page in hit.pages
    )


def _link(hit: Hit, page: int | None) -> str:
    path = hit.file_path or hit.file_name
    # Leave colons and slashes unquoted, so that s3://bucket/key stays a URL.
    return quote(path, safe="/:") + (f"#page={page}" if page else "") if path else ""


def markdown_slices(hit: Hit, pages: Mapping[int, str]) -> dict[int, tuple[str, ...]]:
    """Cut the text of a hit out of the Markdown of its pages.

    The store does not hold that Markdown. :class:`opticalrag.ingest.DeepSeekOCRReader` makes it
    again from the same file with the engine that the hit names (``hit.payload["engine"]``): one
    Document per page, whose text is the Markdown.

    Args:
        hit: the hit.
        pages: Markdown by 1-based page number; without some pages, so is the result.

    Raises:
        SourceChanged: a range ends after the Markdown, so that comes from another file or engine.
    """
    slices: dict[int, tuple[str, ...]] = {}
    for cited in _cited_pages(hit):
        text = pages.get(cited.page)
        if text is None:
            continue
        if any(not 0 <= start <= end <= len(text) for start, end in cited.ranges):
            raise SourceChanged(
                f"page {cited.page} of {hit.file_name} has {len(text)} characters of Markdown,"
                f" but the hit spans {cited.ranges[-1]}: read the file that was ingested, with"
                " the same engine"
            )
        slices[cited.page] = tuple(text[start:end] for start, end in cited.ranges)
    return slices
