"""Finds words that are printed over others: the same word twice, and watermarks. Pure.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
_TILED: Final = 3  # copies of a watermark over words
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

    Slanted words count if two of these hold: they are large, pale, or across level words. A bright
    colour is not pale: a large word in orange must be across others. Level
    words count only if they are huge, pale, and cross several others. Labels of a chart are small
    and stand beside other words; a slanted headline is dark and stands beside them. A mark that is
    repeated all over the page is one between the lines, too.
    """
    odd = [i for i, w in enumerate(words) if w.slanted or _brightness(w.color) > _PALE]
    if not odd:
        return []
    level = [w for w in words if not w.slanted]
    body = body_size(level)
    found = [
        i
        for i in odd
        if (_is_slanted_mark if words[i].slanted else _is_level_mark)(words[i], level, body)
    ]
    counts = Counter(_look(words[i]) for i in found if words[i].slanted)
    tiled = {look for look, number in counts.items() if number >= _TILED}
    return sorted({*found, *(i for i in odd if _look(words[i]) in tiled)})


def _look(word: LayoutWord) -> tuple[str, float, int, bool]:
    return word.text, round(word.size, 1), word.color, word.slanted


def _is_slanted_mark(word: LayoutWord, level: Sequence[LayoutWord], body: float) -> bool:
    if not word.visible:
        return False
    is_large, is_pale = word.size >= _LARGE * body > 0, _brightness(word.color) > _PALE
    if is_large and _is_washed_out(word.color):
        return True
    if is_large:
        return any(_is_across(word, w) for w in level)
    return is_pale and (not level or any(overlap(word.rect, w.rect) for w in level))


def _is_across(slanted: LayoutWord, word: LayoutWord) -> bool:
    """Whether the middle of a word lies in a slanted one, which fills a diagonal of its box."""
    x0, y0, x1, y1 = slanted.rect
    x, y = (word.rect[0] + word.rect[2]) / 2, (word.rect[1] + word.rect[3]) / 2
    if not (x0 < x < x1 and y0 < y < y1):
        return False
    part, half = (x - x0) / (x1 - x0), slanted.size / 2
    down, up = y0 + part * (y1 - y0), y1 - part * (y1 - y0)
    return min(abs(y - down), abs(y - up)) < half


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


def _is_washed_out(color: int) -> bool:
    """Whether a colour is near white in all channels."""
    return min(color >> shift & 255 for shift in (16, 8, 0)) > _PALE * 255


def _brightness(color: int) -> float:
    red, green, blue = color >> 16 & 255, color >> 8 & 255, color & 255
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255  # ITU-R BT.601
