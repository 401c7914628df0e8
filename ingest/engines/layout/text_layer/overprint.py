"""Finds words that are printed over others: the same word twice, and watermarks. Pure.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from ..geometry import SAME_SPOT, Rect, overlap
from ..headings import body_size
from .words import LayoutWord

__all__ = ["watermarks", "without_doubles"]

_ROW: Final = 20.0  # points; copies of words up to 130 pt lie in the same row or the next
_LARGE: Final = 1.5  # times the body size
_HUGE: Final = 2.0
_PALE: Final = 0.45  # brightness of 0 to 1; text that is meant to be read is darker
_CROSSED: Final = 3  # words under a watermark


def without_doubles(words: Sequence[LayoutWord]) -> tuple[LayoutWord, ...]:
    """Return the words without copies of an earlier visible word at the same spot."""
    seen: dict[tuple[str, int], list[LayoutWord]] = defaultdict(list)
    kept = []
    for word in words:
        row = round(word.rect[1] / _ROW)
        if word.visible:
            near = (other for r in (row - 1, row, row + 1) for other in seen[word.text, r])
            if any(_is_copy(word, other) for other in near):
                continue
            seen[word.text, row].append(word)
        kept.append(word)
    return tuple(kept)


def watermarks(words: Sequence[LayoutWord]) -> list[int]:
    """Return the positions of words that are printed across the text, such as "CONFIDENTIAL".

    Slanted words count if they are large, or pale and over level words; level words only if they
    are huge, pale, and cross several others. Labels of a chart stand beside other words.
    """
    odd = [i for i, w in enumerate(words) if w.slanted or _brightness(w.color) > _PALE]
    if not odd:
        return []
    level = [w for w in words if not w.slanted]
    body = body_size(level)
    return [
        i
        for i in odd
        if (_is_slanted_mark if words[i].slanted else _is_level_mark)(words[i], level, body)
    ]


def _is_slanted_mark(word: LayoutWord, level: Sequence[LayoutWord], body: float) -> bool:
    if not word.visible:
        return False
    if word.size >= _LARGE * body > 0:
        return True
    over = not level or any(overlap(word.rect, w.rect) for w in level)
    return over and _brightness(word.color) > _PALE


def _is_level_mark(word: LayoutWord, level: Sequence[LayoutWord], body: float) -> bool:
    return word.size >= _HUGE * body > 0 and _crosses(word, level)


def _is_copy(word: LayoutWord, other: LayoutWord) -> bool:
    near = SAME_SPOT * min(word.size, other.size)
    return all(abs(a - b) <= near for a, b in zip(word.rect, other.rect, strict=True))


def _crosses(mark: LayoutWord, words: Iterable[LayoutWord]) -> bool:
    under = sum(w.size < mark.size and _lies_in(w.rect, mark.rect) for w in words)
    return under >= _CROSSED


def _lies_in(inner: Rect, outer: Rect) -> bool:
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    return overlap(inner, outer) > 0.5 * area > 0


def _brightness(color: int) -> float:
    red, green, blue = color >> 16 & 255, color >> 8 & 255, color & 255
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255  # ITU-R BT.601
