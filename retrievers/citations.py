"""Where a hit stands, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..ingest.core.errors import SourceChanged
from ..ingest.core.records import Box
from .query import Hit, ranges_of

__all__ = ["Citation", "PagePlace", "cite", "markdown_slices"]

_SNIPPET = 240


@dataclass(frozen=True, slots=True)
class PagePlace:
    """Where a hit stands on one page.

    ``page`` is 1-based, ``label`` the number printed there. ``boxes`` are in fractions of the page
    as displayed, origin top left. ``ranges`` are [start, end) in characters of the page's
    Markdown (see :func:`markdown_slices`). ``link`` opens the file there in viewers that know
    ``#page=`` (RFC 8118).
    """

    page: int
    label: str
    boxes: tuple[Box, ...]
    ranges: tuple[tuple[int, int], ...]
    link: str

    def as_dict(self) -> dict[str, Any]:
        """The place as JSON values."""
        return {
            "page": self.page,
            "page_label": self.label,
            "boxes": [list(box.as_tuple()) for box in self.boxes],
            "ranges": [list(r) for r in self.ranges],
            "link": self.link,
        }


@dataclass(frozen=True, slots=True)
class Citation:
    """One hit's place.

    ``page`` is the 1-based page it starts on, ``page_label`` the number printed there;
    ``boxes`` are those on that page, ``link`` opens it. ``places`` are all pages it stands on.
    ``doubtful`` are flags that say the text may be wrong.
    """

    file: str
    page: int | None
    page_label: str
    boxes: tuple[Box, ...]
    heading_path: tuple[str, ...]
    link: str
    score: float
    snippet: str
    places: tuple[PagePlace, ...] = ()
    doubtful: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = [self.file]
        if self.page is not None:
            printed = "" if self.page_label in ("", str(self.page)) else f" ({self.page_label})"
            where.append(f"page {self.page}{printed}")
        if self.heading_path:
            where.append(" > ".join(self.heading_path))
        return f"{' · '.join(where)} [{self.score:.3f}]"

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
            "places": [place.as_dict() for place in self.places],
            "doubtful": list(self.doubtful),
        }


def cite(hit: Hit) -> Citation:
    """Say where a hit stands."""
    places = _places(hit)
    first = places[0] if places else None
    snippet = " ".join(hit.text.split())
    return Citation(
        file=hit.file_name or hit.file_path,
        page=first.page if first else None,
        page_label=first.label if first else "",
        boxes=first.boxes if first else (),
        heading_path=hit.heading_path,
        link=first.link if first else _link(hit, None),
        score=hit.score,
        snippet=snippet if len(snippet) <= _SNIPPET else snippet[: _SNIPPET - 1] + "…",
        places=places,
        doubtful=hit.doubtful,
    )


def _places(hit: Hit) -> tuple[PagePlace, ...]:
    labels = dict(zip(hit.pages, hit.page_labels, strict=False))
    ranges = ranges_of(hit.payload)
    return tuple(
        PagePlace(
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
    # Colons and slashes as they are: s3://bucket/key stays one.
    return quote(path, safe="/:") + (f"#page={page}" if page else "") if path else ""


def markdown_slices(hit: Hit, pages: Mapping[int, str]) -> dict[int, tuple[str, ...]]:
    """What a hit was made of, as it stands in the Markdown of its pages.

    The store does not keep that Markdown. It is what :class:`opticalrag.ingest.DeepSeekOCRReader`
    makes of the same file with the engine the hit names (``hit.payload["engine"]``): one Document
    a page, with the page's text.

    Args:
        hit: what was found.
        pages: Markdown by 1-based page number; pages that are not given are left out.

    Raises:
        SourceChanged: a range is not within the page: this is other Markdown.
    """
    slices: dict[int, tuple[str, ...]] = {}
    for place in _places(hit):
        text = pages.get(place.page)
        if text is None:
            continue
        if any(not 0 <= start <= end <= len(text) for start, end in place.ranges):
            raise SourceChanged(
                f"page {place.page} of {hit.file_name} has {len(text)} characters of Markdown, and"
                f" the hit lies at {place.ranges[-1]}: read the file that was ingested, with the"
                " same engine"
            )
        slices[place.page] = tuple(text[start:end] for start, end in place.ranges)
    return slices
