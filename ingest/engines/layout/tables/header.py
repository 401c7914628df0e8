"""Finds the header of a table without drawn cells, its rows and its spans. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from .columns import Item
from .rules import Segments

__all__ = ["Extents", "PlacedLine", "count_header_lines", "header_breaks", "spanned"]

PlacedLine = tuple[Item, ...]
Extents = Sequence[tuple[float, float]]
"""Left and right end of the texts of each column."""

_MOST: Final = 0.5  # share of a table's lines that its header can have
_TALL: Final = 4  # lines that a header has even in a table of two rows
_WIDE: Final = 0.9
"""Share of a table's width that a rule under its header covers. Sums have shorter rules."""
_NUMBERED: Final = 2  # lines of a header of numbers, above a rule
_CENTRED: Final = 1.0  # distance of a heading's middle from that of its columns, in font sizes


def count_header_lines(lines: Sequence[PlacedLine], across: Segments, underlines: Segments) -> int:
    """Number of lines above the first row with values; -1 if no line has values.

    Lines with nothing but a label, directly above that row, belong to the body if no line is drawn
    below them. ``across`` are all rules, ``underlines`` those that are not the edge of an area.
    """
    values = [
        i for i, line in enumerate(lines) if any(x.first and x.phrase.is_amount for x in line)
    ]
    under = _lines_above_wide_rule(lines, across)
    if not values:
        return under or -1
    first = values[0]
    while first and all(item.first == 0 for item in lines[first - 1]):
        if _ends_header(lines, first, underlines):
            break
        first -= 1
    if first == 0:
        return under if under <= _NUMBERED else 0
    return first if first <= max(_TALL, _MOST * len(lines)) else max(1, under)


def _ends_header(lines: Sequence[PlacedLine], index: int, across: Segments) -> bool:
    """Whether a wide rule above a line is the first one: coloured rows have one on either side."""
    left, right = _sides(lines)
    wide = across[_length(across, left, right) >= 0.5 * (right - left), 0]
    tops = [_middle(line) for line in lines[max(0, index - 2) : index + 1]]
    between = [bool(((wide > a) & (wide < b)).any()) for a, b in pairwise(tops)]
    return between[-1] and not any(between[:-1])


def _sides(lines: Sequence[PlacedLine]) -> tuple[float, float]:
    rects = [item.phrase.rect for line in lines for item in line]
    return min(r[0] for r in rects), max(r[2] for r in rects)


def _lines_above_wide_rule(lines: Sequence[PlacedLine], across: Segments) -> int:
    """Lines above the only wide rule in the upper half of a table; 0 if there is none."""
    left, right = _sides(lines)
    wide = across[_length(across, left, right) >= _WIDE * (right - left)]
    middles = [_middle(line) for line in lines]
    counts = {sum(m < y for m in middles) for y in wide[:, 0].tolist()}
    inner = counts & set(range(1, max(2, int(_MOST * len(lines)) + 1)))
    return min(inner) if len(inner) == 1 else 0


def _length(across: Segments, left: float, right: float) -> Segments:
    return np.asarray(np.minimum(across[:, 2], right) - np.maximum(across[:, 1], left))


def header_breaks(lines: Sequence[PlacedLine], across: Segments) -> list[int]:
    """Indices of the header lines that begin a row; the first one always does.

    A row ends at a rule, and below a heading over several columns.
    """
    starts = [0]
    for i in range(1, len(lines)):
        above, below = lines[i - 1], lines[i]
        spans = {(x.first, x.last) for x in above if x.last > x.first}
        goes_on = spans <= {(x.first, x.last) for x in below}
        if _rule_between(above, below, across) or not goes_on:
            starts.append(i)
    return starts


def spanned(
    line: PlacedLine, below: Sequence[PlacedLine], extents: Extents, across: Segments
) -> PlacedLine:
    """Widen headings to the columns that the rule under them covers, or over which they stand.

    Args:
        line: a header line.
        below: the other lines of the header under it.
        extents: the ends of each column's texts.
        across: the rules of the table.
    """
    found: list[Item] = []
    for i, item in enumerate(line):
        low = found[-1].last + 1 if found else 0
        high = line[i + 1].first - 1 if i + 1 < len(line) else len(extents) - 1
        alone = _is_stacked(item, below, extents) and not _has_group(line, below, extents, across)
        found.append(_widened(item, (low, high), below, extents, across, alone))
    return tuple(found)


def _has_group(
    line: PlacedLine, below: Sequence[PlacedLine], extents: Extents, across: Segments
) -> bool:
    """Whether a heading of the line stands over several columns without a rule under it."""
    wide = (item for item in line if item.last > item.first)
    return any(_rule_under(item, below, extents, across) is None for item in wide)


def _widened(
    item: Item,
    free: tuple[int, int],
    below: Sequence[PlacedLine],
    extents: Extents,
    across: Segments,
    alone: bool,
) -> Item:
    rule = _rule_under(item, below, extents, across)
    if rule is not None:
        under = [
            c for c in range(free[0], free[1] + 1) if rule[0] <= sum(extents[c]) / 2 <= rule[1]
        ]
        if under and under[0] <= item.last and item.first <= under[-1]:
            return Item(item.phrase, under[0], under[-1])
        return item
    if alone:
        return item
    named = {x.first for line in below for x in line}
    middle = (item.phrase.rect[0] + item.phrase.rect[2]) / 2
    best = item
    for first in range(item.first, free[0] - 1, -1):
        for last in range(item.last, free[1] + 1):
            off = abs((extents[first][0] + extents[last][1]) / 2 - middle)
            if first == 0 < item.first and last < len(extents) - 1:
                continue  # the labels of the rows are in no group
            wider = last - first > best.last - best.first
            if wider and off <= _CENTRED * item.phrase.size and {first, last} <= named:
                best = Item(item.phrase, first, last)
    return best


def _is_stacked(item: Item, below: Sequence[PlacedLine], extents: Extents) -> bool:
    """Whether a heading stands within its own column: a heading of many lines begins like this."""
    if item.first != item.last:
        return False
    sides = [extents[item.first]]
    sides += [
        (x.phrase.rect[0], x.phrase.rect[2])
        for line in below
        for x in line
        if x.first == item.first == x.last
    ]
    x0, _, x1, _ = item.phrase.rect
    slack = _CENTRED * item.phrase.size
    return min(a for a, _ in sides) - slack <= x0 and x1 <= max(b for _, b in sides) + slack


def _rule_under(
    item: Item, below: Sequence[PlacedLine], extents: Extents, across: Segments
) -> tuple[float, float] | None:
    """The ends of the rule between a heading and the next line; not of one under all columns."""
    x0, y0, x1, y1 = item.phrase.rect
    foot = max(min((_middle(line) for line in below), default=y1 + item.phrase.size), y1)
    middle = (x0 + x1) / 2
    labels = sum(extents[0]) / 2
    for y, start, end in across.tolist():
        is_under = (y0 + y1) / 2 < y < foot and start <= middle <= end
        if is_under and not _underlines_text(item, y, start, end):
            return None if item.first and start < labels < end else (start, end)
    return None


def _underlines_text(item: Item, y: float, start: float, end: float) -> bool:
    x0, _, x1, y1 = item.phrase.rect
    return y < y1 + 1 and start > x0 - 1 and end < x1 + 1


def _rule_between(above: PlacedLine, below: PlacedLine, across: Segments) -> bool:
    top, bottom = _middle(above), _middle(below)
    for y, start, end in across.tolist():
        over = (x for x in above if start < x.phrase.rect[2] and x.phrase.rect[0] < end)
        if top < y < bottom and any(not _underlines_text(x, y, start, end) for x in over):
            return True
    return False


def _middle(line: PlacedLine) -> float:
    return sum(item.phrase.rect[1] + item.phrase.rect[3] for item in line) / (2 * len(line))
