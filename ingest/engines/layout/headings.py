"""Finds the level of a heading from its page and the document's outline. Pure.

The text of other pages is never used, so editing one page leaves the others as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Final

from .text_layer.words import LayoutWord

__all__ = ["OutlineEntry", "body_size", "heading_level"]

OutlineEntry = tuple[int, str]
"""Level (1-based) and title of an outline entry."""

_NUMBER = re.compile(r"^(?:[A-Z]\.)?(\d{1,2}(?:\.\d{1,2}){0,5})\.?\s+[^\W\d]")
_CHAPTER = re.compile(r"^(?:(?:chapter|part|appendix)\s+\w{1,4}\b|[IVX]{1,5}\.\s|[Ⅰ-Ⅻ]\.?\s)", re.I)
_LETTERS = re.compile(r"[^\W_]+")
_SIZES: Final = ((1.8, 1), (1.4, 2), (1.15, 3))
"""Smallest ratio of font size to body size, and the level it means. By default, HTML sets h1 to h3
at 2, 1.5 and 1.17 times the body size; printed reports use slightly smaller headings."""
_SMALLEST: Final = 4  # level of headings below all these ratios
_MIN_MATCH: Final = 0.6  # length of an outline title over that of the heading, or the reverse


def heading_level(text: str, size: float, body: float, outline: Sequence[OutlineEntry] = ()) -> int:
    """Return the 1-based level of a heading: from the outline, else its number, else its size.

    Font sizes are in points; ``body`` is that of the page's body text.
    """
    if level := _outline_level(text, outline) or _numbered_level(text):
        return level
    ratio = size / body if body else 1.0
    return next((level for bound, level in _SIZES if ratio >= bound), _SMALLEST)


def body_size(words: Sequence[LayoutWord]) -> float:
    """Return the median font size of the letters, in points; 0.0 on an empty page."""
    return median(w.size for w in words for _ in w.text) if words else 0.0


def _outline_level(text: str, outline: Sequence[OutlineEntry]) -> int:
    wanted = _key(text)
    for level, title in outline:
        shorter, longer = sorted((_key(title), wanted), key=len)
        # Outlines omit numbers, and headings wrap over two regions.
        if shorter and shorter in longer and len(shorter) >= _MIN_MATCH * len(longer):
            return level
    return 0


def _numbered_level(text: str) -> int:
    if number := _NUMBER.match(text):
        return number[1].count(".") + (2 if number.start(1) else 1)  # a letter adds a level: A.2
    return 1 if _CHAPTER.match(text) else 0


def _key(text: str) -> str:
    return "".join(_LETTERS.findall(text.casefold()))
