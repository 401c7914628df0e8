"""Where a hit stands, for people and for programs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..ingest.types import Box
from .query import Hit

__all__ = ["Citation", "cite"]

_SNIPPET = 240


@dataclass(frozen=True, slots=True)
class Citation:
    """One hit's place.

    ``page`` is the 1-based page it starts on, ``page_label`` the number printed there;
    ``boxes`` are those on that page. ``link`` opens the file at the page in viewers that know
    ``#page=`` (RFC 8118).
    """

    file: str
    page: int | None
    page_label: str
    boxes: tuple[Box, ...]
    heading_path: tuple[str, ...]
    link: str
    score: float
    snippet: str

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
        }


def cite(hit: Hit) -> Citation:
    """Say where a hit stands."""
    page = hit.pages[0] if hit.pages else None
    path = hit.file_path or hit.file_name
    # Colons and slashes as they are: s3://bucket/key stays one.
    link = quote(path, safe="/:") + (f"#page={page}" if page else "") if path else ""
    snippet = " ".join(hit.text.split())
    return Citation(
        file=hit.file_name or path,
        page=page,
        page_label=hit.page_labels[0] if hit.page_labels else "",
        boxes=tuple(box for number, box in hit.boxes if number == page),
        heading_path=hit.heading_path,
        link=link,
        score=hit.score,
        snippet=snippet if len(snippet) <= _SNIPPET else snippet[: _SNIPPET - 1] + "…",
    )
