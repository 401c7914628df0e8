"""Finds Chinese and Japanese text that runs down the page, glyph by glyph. Pure.

Some programs place each glyph of vertical text on its own. The text layer then has rows of glyphs
that belong to different columns.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Final

from ....markdown.joining import is_spaceless
from ..geometry import union
from .words import LayoutWord

__all__ = ["vertical_columns"]

_FEWEST: Final = 12  # glyphs; fewer are labels or a table
_SHARE: Final = 0.8  # of the page's characters
_TIGHTER: Final = 0.85
"""Pitch down the page over pitch across it, up to which glyphs belong to those below them. In
horizontal text the lines are 1.5 glyphs apart, in vertical text the columns are."""
_SAME_COLUMN: Final = 0.5  # of the font size, between the centres of glyphs


def vertical_columns(words: Sequence[LayoutWord]) -> list[LayoutWord]:
    """Return each column as one word, from the right; none if the text is not vertical.

    The words are numbered as lines that do not stand side by side: ``turn`` is 1.
    """
    glyphs = [w for w in words if len(w.text) <= 2 and all(map(is_spaceless, w.text))]
    letters = sum(len(w.text) for w in words)
    if len(glyphs) < _FEWEST or sum(len(w.text) for w in glyphs) < _SHARE * letters:
        return []
    size = median(w.size for w in glyphs)
    columns = _columns(words, size)
    down, across = _pitch_down(columns), _pitch_across(columns)
    if len(columns) < 2 or not 0 < down < _TIGHTER * across:
        return []
    return [_joined(column, number) for number, column in enumerate(columns)]


def _columns(words: Sequence[LayoutWord], size: float) -> list[list[LayoutWord]]:
    """Group words with the same centre, from the right, each from top to bottom."""
    columns: list[list[LayoutWord]] = []
    for word in sorted(words, key=_centre, reverse=True):
        if columns and abs(_centre(columns[-1][0]) - _centre(word)) < _SAME_COLUMN * size:
            columns[-1].append(word)
        else:
            columns.append([word])
    return [sorted(column, key=lambda w: w.rect[1]) for column in columns]


def _centre(word: LayoutWord) -> float:
    return (word.rect[0] + word.rect[2]) / 2


def _pitch_down(columns: Sequence[Sequence[LayoutWord]]) -> float:
    steps = [b.rect[1] - a.rect[1] for c in columns for a, b in pairwise(c)]
    return median(steps) if steps else 0.0


def _pitch_across(columns: Sequence[Sequence[LayoutWord]]) -> float:
    centres = [_centre(column[0]) for column in columns]
    steps = [a - b for a, b in pairwise(centres)]
    return median(steps) if steps else 0.0


def _joined(column: Sequence[LayoutWord], number: int) -> LayoutWord:
    text = "".join(w.text for w in column)
    rect = union(w.rect for w in column)
    return replace(column[0], text=text, rect=rect, line=number, block=0, glued=False, turn=1)
