"""How deep a heading lies, from what is on its page and the document's outline. Pure.

Nothing here looks at other pages' text: an edited page changes only itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Final

from .pieces import Piece

__all__ = ["OutlineEntry", "body_size", "heading_level"]

OutlineEntry = tuple[int, str]
"""Level (1-based) and title of one entry of the document's outline on this page."""

_NUMBER = re.compile(r"^(?:[A-Z]\.)?(\d{1,2}(?:\.\d{1,2}){0,5})\.?\s+[^\W\d]")
_CHAPTER = re.compile(r"^(?:(?:chapter|part|appendix)\s+\w{1,4}\b|[IVX]{1,5}\.\s|[Ⅰ-Ⅻ]\.?\s)", re.I)
_LETTERS = re.compile(r"[^\W_]+")
_SIZES: Final = ((1.8, 1), (1.4, 2), (1.15, 3))
"""Size over body size from which a heading has a level. HTML's default h1 to h3 are 2, 1.5 and
1.17 times the body; printed reports are a little tighter."""
_SMALLEST: Final = 4
_MIN_MATCH: Final = 0.6


def heading_level(text: str, size: float, body: float, outline: Sequence[OutlineEntry] = ()) -> int:
    """Depth of a heading, 1-based: by the outline, else by its number, else by its size.

    Args:
        text: the heading.
        size: font size in points.
        body: font size of running text on the page.
        outline: the document's outline entries for this page.
    """
    level = _outline_level(text, outline) or _numbered_level(text)
    if level:
        return level
    ratio = size / body if body else 1.0
    return next((level for bound, level in _SIZES if ratio >= bound), _SMALLEST)


def body_size(pieces: Sequence[Piece]) -> float:
    """Font size of most letters; 0.0 on an empty page."""
    return median(p.size for p in pieces for _ in p.text) if pieces else 0.0


def _outline_level(text: str, outline: Sequence[OutlineEntry]) -> int:
    wanted = _key(text)
    for level, title in outline:
        key = _key(title)
        if not key or not wanted:
            continue
        shorter, longer = sorted((key, wanted), key=len)
        # Outlines leave numbers out, or headings wrap over two regions.
        if shorter in longer and len(shorter) >= _MIN_MATCH * len(longer):
            return level
    return 0


def _numbered_level(text: str) -> int:
    number = _NUMBER.match(text)
    if number:
        appendix = re.match(r"^[A-Z]\.", text)
        return number[1].count(".") + (2 if appendix else 1)
    return 1 if _CHAPTER.match(text) else 0


def _key(text: str) -> str:
    return "".join(_LETTERS.findall(text.casefold()))
