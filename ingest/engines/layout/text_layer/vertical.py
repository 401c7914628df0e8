"""Finds Chinese and Japanese text that runs down the page, glyph by glyph. Pure.

Some programs place each glyph of vertical text on its own. The text layer then has rows of glyphs
that belong to different columns.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from math import inf
from operator import attrgetter
from statistics import median
from typing import Final

from ....markdown.joining import is_spaceless
from ..geometry import union
from .words import LayoutWord

__all__ = ["vertical_paragraphs"]

_FEWEST: Final = 12  # glyphs; fewer are labels or a table
_SHARE: Final = 0.6  # of the page's characters; the rest are titles and page numbers
_TIGHTER: Final = 0.85
"""Pitch down the page over pitch across it, up to which glyphs belong to those below them. In
horizontal text the lines are 1.5 glyphs apart, in vertical text the columns are."""
_LOOSEST: Final = 1.7  # font sizes from glyph to glyph down a column; cells are farther apart
_FARTHEST: Final = 3.0  # font sizes from column to column; those of a table are farther apart
_VARIETY: Final = 10  # different glyphs; or half of them, if there are few: a table has less
_SAME_COLUMN: Final = 0.5  # of the font size, between the centres of glyphs
_WIDEST: Final = 1.5  # width of a column in font sizes: it holds two figures side by side
_TIER: Final = 1.2  # font sizes of empty space across all columns: the text goes on below it
_INDENT: Final = (0.7, 2.5)  # pitches by which the first column of a paragraph begins lower

Words = list[LayoutWord]


def vertical_paragraphs(words: Sequence[LayoutWord]) -> list[Words]:
    """Return the paragraphs of vertical text, and its horizontal lines; none if it is horizontal.

    Each column is one word, and the columns come from the right. Tiers and lines come from the top.
    Columns are numbered as lines that do not stand side by side: their ``turn`` is 1.
    """
    glyphs = [w for w in words if len(w.text) <= 2 and all(map(is_spaceless, w.text))]
    letters = sum(len(w.text) for w in words)
    if len(glyphs) < _FEWEST or sum(len(w.text) for w in glyphs) < _SHARE * letters:
        return []
    size = median(w.size for w in glyphs)
    columns = _columns(glyphs, size)
    down, across = _pitch_down(columns), _pitch_across(columns)
    if len(columns) < 2 or not 0 < down < min(_TIGHTER * across, _LOOSEST * size):
        return []
    if across > _FARTHEST * size or len({w.text for w in glyphs}) < min(_VARIETY, len(glyphs) / 2):
        return []
    wide = {w.line for w in words if w.rect[2] - w.rect[0] > _WIDEST * max(size, w.size)}
    narrow = [w for w in words if w.line not in wide]
    groups = [g for tier in _tiers(narrow, size) for g in _read(tier, size, down)]
    return sorted(
        [*groups, *_lines([w for w in words if w.line in wide])],
        key=lambda g: min(w.rect[1] for w in g),
    )


def _columns(words: Sequence[LayoutWord], size: float) -> list[Words]:
    """Group words with the same centre, from the right, each from top to bottom."""
    columns: list[Words] = []
    for word in sorted(words, key=_centre, reverse=True):
        if columns and abs(_centre(columns[-1][0]) - _centre(word)) < _SAME_COLUMN * size:
            columns[-1].append(word)
        else:
            columns.append([word])
    return [sorted(column, key=lambda w: w.rect[1]) for column in columns]


def _tiers(words: Sequence[LayoutWord], size: float) -> list[Words]:
    """Split words where a band across the page is empty, from the top."""
    tiers: list[Words] = []
    reach = -inf
    for word in sorted(words, key=lambda w: w.rect[1]):
        if tiers and word.rect[1] - reach < _TIER * size:
            tiers[-1].append(word)
        else:
            tiers.append([word])
        reach = max(reach, word.rect[3])
    return tiers


def _read(tier: Words, size: float, pitch: float) -> list[Words]:
    """Return the paragraphs of a tier; a row of glyphs is a horizontal line."""
    columns = _columns(tier, size)
    if all(len(column) == 1 for column in columns):
        return [sorted(tier, key=lambda w: w.rect[0])]
    top = median(column[0].rect[1] for column in columns)
    paragraphs: list[Words] = []
    for number, column in enumerate(columns):
        shift = (column[0].rect[1] - top) / pitch
        if not paragraphs or _INDENT[0] < shift < _INDENT[1]:
            paragraphs.append([])
        paragraphs[-1].append(_joined(column, number))
    return paragraphs


def _lines(words: Sequence[LayoutWord]) -> list[Words]:
    by_line = attrgetter("line")
    return [list(line) for _, line in groupby(sorted(words, key=by_line), key=by_line)]


def _centre(word: LayoutWord) -> float:
    return (word.rect[0] + word.rect[2]) / 2


def _pitch_down(columns: Sequence[Words]) -> float:
    steps = [b.rect[1] - a.rect[1] for c in columns for a, b in pairwise(c)]
    return median(steps) if steps else 0.0


def _pitch_across(columns: Sequence[Words]) -> float:
    centres = [_centre(column[0]) for column in columns]
    steps = [a - b for a, b in pairwise(centres)]
    return median(steps) if steps else 0.0


def _joined(column: Words, number: int) -> LayoutWord:
    text = "".join(w.text for w in column)
    rect = union(w.rect for w in column)
    return replace(column[0], text=text, rect=rect, line=number, block=0, glued=False, turn=1)
