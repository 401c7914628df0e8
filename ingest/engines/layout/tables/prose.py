"""Finds paragraphs that the layout model took for the first or last rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..geometry import Rect, union
from ..text_layer.words import LayoutWord
from .phrases import Line, lines_of

__all__ = ["prose_beside"]

_WIDE: Final = 0.6  # share of the table's width; a label has a column beside it
_WORDS: Final = 6  # a line of prose at the least
_ENDS: Final = (".", "!", "?", ":", "。")


def prose_beside(words: Sequence[LayoutWord]) -> list[list[LayoutWord]]:
    """Return the words of a paragraph above and of one below a table, which has rows itself.

    A paragraph has two lines or more without a gap, all but the last as wide as the table, and
    ends as sentences do: the label of a row may have many lines, too.
    """
    if not any(_ends_sentence(w) for w in words):
        return []  # most tables: lines need not be found twice
    lines = lines_of(words)
    rect = union(w.rect for w in words)
    above = _paragraph(lines, rect)
    below = _paragraph(lines[above:][::-1], rect, upwards=True)
    rows = lines[above : len(lines) - below]
    if not above + below or sum(len(line.phrases) > 1 for line in rows) < 2:
        return []
    return [_words(part) for part in (lines[:above], lines[len(lines) - below :]) if part]


def _paragraph(lines: Sequence[Line], rect: Rect, upwards: bool = False) -> int:
    """The number of lines of a paragraph with which the lines begin; ``upwards`` from its end."""
    count = 0
    while count < len(lines) and len(lines[count].phrases) == 1:
        is_short = not _is_wide(lines[count], rect)
        if is_short and not (upwards and not count):  # only a last line is short
            count += not upwards and _is_last(lines[count])
            break
        count += 1
    found = lines[:count]
    last = found[0 if upwards else -1] if found else None
    return count if count > 1 and last is not None and _is_last(last) else 0


def _is_wide(line: Line, rect: Rect) -> bool:
    x0, _, x1, _ = line.rect
    is_long = len(line.phrases[0].words) >= _WORDS
    return is_long and x1 - x0 >= _WIDE * (rect[2] - rect[0])


def _is_last(line: Line) -> bool:
    return _ends_sentence(line.phrases[0].words[-1])


def _ends_sentence(word: LayoutWord) -> bool:
    return word.text.endswith(_ENDS) and not word.text[-2:-1].isdigit()


def _words(lines: Sequence[Line]) -> list[LayoutWord]:
    return [w for line in lines for p in line.phrases for w in p.words]
