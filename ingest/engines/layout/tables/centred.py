"""Joins the lines of rows whose cells are centred beside a cell of several lines. Pure.

The first line of such a row has no label: read line by line, it would be a row of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .columns import Item
from .header import PlacedLine
from .rules import Segments

__all__ = ["with_centred_rows"]

_LEADING: Final = 0.6  # largest space between the lines of a cell, in font sizes
_WIDER: Final = 0.35  # font sizes by which the space between rows is greater than within cells
_CENTRED: Final = 0.35
"""Distance of the middles of two cells of a row, in font sizes. Boxes of words with and without
descenders differ by 0.1."""


def with_centred_rows(lines: Sequence[PlacedLine], across: Segments) -> list[PlacedLine]:
    """Make one line of each row with centred cells, if rows stand apart. Others stay.

    Args:
        lines: those of a table, from the top.
        across: rules; none runs through a row.
    """
    joined: list[PlacedLine] = []
    for band in _bands(lines):
        if _is_row(band) and not _is_ruled(band, across):
            items = (item for line in band for item in line)
            joined.append(tuple(sorted(items, key=lambda x: (x.first, x.phrase.rect[1]))))
        else:
            joined += band
    return joined


def _bands(lines: Sequence[PlacedLine]) -> list[list[PlacedLine]]:
    """Group lines by the spaces between them, if some are clearly wider than others."""
    spaces, reach = [0.0], 0.0
    for above, below in pairwise(lines):
        reach = max(reach, _foot(above))
        spaces.append(max(0.0, _top(below) - reach))
    size = max((item.phrase.size for line in lines for item in line), default=0.0)
    wider = [
        (b - a, a, b)
        for a, b in pairwise(sorted(spaces[1:]))
        if a <= _LEADING * size and b - a >= _WIDER * size
    ]
    if not wider:
        return [[line] for line in lines]
    limit = max(wider)[2]
    bands: list[list[PlacedLine]] = []
    for line, space in zip(lines, spaces, strict=True):
        if bands and space < limit:
            bands[-1].append(line)
        else:
            bands.append([line])
    return bands


def _is_row(band: Sequence[PlacedLine]) -> bool:
    """Whether the cells of a band are centred beside a taller one, with the label among them.

    Several tall cells are texts that go on; else each of their lines would be a row.
    """
    columns: dict[int, list[Item]] = defaultdict(list)
    for line in band:
        for item in line:
            columns[item.first].append(item)
    if len(band) < 2 or 0 not in columns or any(item.first == 0 for item in band[0]):
        return False
    if any(sum(x.phrase.is_number for x in items) > 1 for items in columns.values()):
        return False
    middle, size = (_top_of(band) + _foot_of(band)) / 2, band[0][0].phrase.size
    off = [abs(_middle(items) - middle) for items in columns.values()]
    most = max(map(len, columns.values()))
    tall = [items for items in columns.values() if len(items) == most]
    goes_on = all(any(x.phrase.text[0].islower() for x in items[1:]) for items in tall)
    return max(off) <= _CENTRED * size and (len(tall) == 1 or goes_on)


def _is_ruled(band: Sequence[PlacedLine], across: Segments) -> bool:
    top, bottom = _foot(band[0]), _top(band[-1])
    return bool(((across[:, 0] > top - 1) & (across[:, 0] < bottom + 1)).any())


def _middle(items: Sequence[Item]) -> float:
    top = min(x.phrase.rect[1] for x in items)
    return (top + max(x.phrase.rect[3] for x in items)) / 2


def _top_of(band: Sequence[PlacedLine]) -> float:
    return min(map(_top, band))


def _foot_of(band: Sequence[PlacedLine]) -> float:
    return max(map(_foot, band))


def _top(line: PlacedLine) -> float:
    return min(item.phrase.rect[1] for item in line)


def _foot(line: PlacedLine) -> float:
    return max(item.phrase.rect[3] for item in line)
