"""Finds the columns of a table without drawn columns by the alignment of its phrases. Pure.

Each gap between two phrases of a line must hold a boundary. The fewest boundaries that fit into all
gaps are the columns: an empty cell only makes a gap wider. Numbers count by their right edge, so a
long number does not narrow the gap of the short ones.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from .phrases import Line, Phrase

__all__ = ["Columns", "Item", "find_columns"]

_ALIGNED: Final = 0.35  # distance of edges in one column, in font sizes
_MIN_ALIGNED: Final = 3  # left edges that agree by chance come in pairs
_LEAST_GAP: Final = 1.0  # points common to all gaps of one boundary
_MANY_LINES: Final = 6
"""From this many lines on, a column of a single phrase in the body is a wide space in a cell."""
_VALUED: Final = 0.3  # share of lines with a number in a table of numbers
_INDENT: Final = 3.0  # largest indent of a label, in font sizes
_OWN: Final = 6.0
"""Distance, in font sizes, from which a heading has an empty column of its own."""
_BESIDE: Final = 0.5  # share of the names that stand beside the texts of all columns
_TRIES: Final = 15  # positions tried for a boundary


@dataclass(frozen=True)
class Item:
    """A phrase and the columns that it covers, the last one included."""

    phrase: Phrase
    first: int
    last: int


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        cuts: inner boundaries.
        extents: left and right end of the texts of each column.
        homes: columns of the phrases that the columns were found by, by ``id``.
    """

    cuts: tuple[float, ...]
    extents: tuple[tuple[float, float], ...]
    homes: dict[int, tuple[int, int]]

    @property
    def count(self) -> int:
        """Number of columns."""
        return len(self.extents)

    def place(self, line: Line) -> tuple[Item, ...]:
        """Give each phrase of a line its columns; only the last phrase of a column covers more."""
        if id(line.phrases[0]) in self.homes:
            found = [Item(p, *self.homes[id(p)]) for p in line.phrases]
        else:
            found = _matched(line, self.extents)
        items: list[Item] = []
        for item in found:
            first = max(item.first, items[-1].first) if items else item.first
            if items and items[-1].last >= first:
                before = items[-1]
                items[-1] = Item(before.phrase, before.first, max(before.first, first - 1))
            items.append(Item(item.phrase, first, max(first, item.last)))
        return tuple(items)


def find_columns(lines: Sequence[Line], walls: Sequence[float] = ()) -> Columns:
    """Find the columns of lines. ``walls`` are positions of drawn boundaries.

    Lines with numbers tell the columns. A heading above all of them adds a column if it stands
    beside the others: the column is empty.
    """
    valued = [line for line in lines if any(p.is_amount for p in line.phrases[1:])]
    several = sum(len(line.phrases) > 1 for line in lines)
    base = valued if len(valued) >= max(2, _VALUED * several) else list(lines)
    phrases = [p for line in base for p in line.phrases]
    cores = _cores(phrases)
    gaps = [(x - _LEAST_GAP, x + _LEAST_GAP) for x in walls]
    for line in base:
        sides = [cores[id(p)] for p in line.phrases]
        gaps += [(a[1], b[0]) for a, b in pairwise(sides)]
    cuts = [_best_cut(gap, phrases) for gap in _stabbed(gaps)]
    cuts = _without_stray(cuts, base, cores, walls)
    head = lines[: lines.index(base[0])] if len(base) < len(lines) else []
    cuts = sorted({*cuts, *_cuts_below_heads(head, phrases, cuts)})
    homes = {id(p): _range(p, cores[id(p)], cuts) for p in phrases}
    extents = _extents(phrases, homes, cuts)
    columns = _with_names(Columns(tuple(cuts), tuple(extents), homes), head)
    return _with_empty(columns, head)


def _cuts_below_heads(
    head: Sequence[Line], phrases: Sequence[Phrase], cuts: Sequence[float]
) -> list[float]:
    """Find boundaries between columns that no line fills both of, such as debit and credit.

    No gap holds such a boundary. Two headings of one line name the columns, and the numbers below
    them stand apart.
    """
    numbers = sorted((p.rect[0], p.rect[2]) for p in phrases if p.is_number)
    found = []
    for line in head:
        for a, b in pairwise(line.phrases):
            left, right = a.rect[2], b.rect[0]
            if any(a.rect[0] < cut < b.rect[2] for cut in cuts):
                continue
            middle = (left + right) / 2
            before = [n for n in numbers if (n[0] + n[1]) / 2 < middle and n[1] > a.rect[0]]
            after = [n for n in numbers if (n[0] + n[1]) / 2 > middle and n[0] < b.rect[2]]
            if not before or not after:
                continue
            low, high = max(n[1] for n in before), min(n[0] for n in after)
            if high - low >= _LEAST_GAP:
                found.append((low + high) / 2)
    return found


def _range(phrase: Phrase, core: tuple[float, float], cuts: Sequence[float]) -> tuple[int, int]:
    if phrase.is_number:
        column = bisect(cuts, sum(core) / 2)
        return column, column
    slack = min(0.5 * phrase.size, 0.3 * (phrase.rect[2] - phrase.rect[0]))
    first = bisect(cuts, phrase.rect[0] + slack)
    return first, max(first, bisect(cuts, phrase.rect[2] - slack))


def _extents(
    phrases: Sequence[Phrase], homes: dict[int, tuple[int, int]], cuts: Sequence[float]
) -> list[tuple[float, float]]:
    sides: list[list[tuple[float, float]]] = [[] for _ in range(len(cuts) + 1)]
    for phrase in phrases:
        first, last = homes[id(phrase)]
        if first == last:
            sides[first].append((phrase.rect[0], phrase.rect[2]))
    ends = (
        [(a, b) for a, b in pairwise([cuts[0] - 1, *cuts, cuts[-1] + 1])] if cuts else [(0.0, 0.0)]
    )
    return [
        (min(a for a, _ in found), max(b for _, b in found)) if found else end
        for found, end in zip(sides, ends, strict=True)
    ]


def _matched(line: Line, extents: Sequence[tuple[float, float]]) -> list[Item]:
    """Match the phrases of a line with the columns that they stand over, or else with free ones."""
    ranges = [_covered(p, extents) for p in line.phrases]
    if None in ranges:
        aligned = _in_order(line, extents)
        nearest = [_nearest(p, extents) for p in line.phrases]
        free = [near if c is None else c for c, near in zip(aligned, nearest, strict=True)]
        ranges = [r or (c, c) for r, c in zip(ranges, free, strict=True)]
    return [Item(p, *r) for p, r in zip(line.phrases, ranges, strict=True) if r is not None]


def _in_order(line: Line, extents: Sequence[tuple[float, float]]) -> list[int | None]:
    """Give phrases columns in order with the least distance; None is a column of its own."""
    size, count = line.size, len(extents)
    costs = [[i * _OWN * size for i in range(len(line.phrases) + 1)]]  # of the first i phrases
    for low, high in extents:
        row, before = [0.0], costs[-1]
        for i, phrase in enumerate(line.phrases):
            apart = max(0.0, low - phrase.rect[2], phrase.rect[0] - high)
            row.append(min(before[i + 1], before[i] + apart, row[i] + _OWN * size))
        costs.append(row)
    found: list[int | None] = [None] * len(line.phrases)
    i, c = len(line.phrases), count
    while i and c:
        if costs[c][i] == costs[c - 1][i]:
            c -= 1
        elif costs[c][i] == costs[c][i - 1] + _OWN * size:
            i -= 1
        else:
            i, c = i - 1, c - 1
            found[i] = c
    return found


def _covered(phrase: Phrase, extents: Sequence[tuple[float, float]]) -> tuple[int, int] | None:
    x0, _, x1, _ = phrase.rect
    size = phrase.size
    if x0 <= extents[0][0] + _INDENT * size and x0 < extents[0][1]:
        return 0, 0  # a label, however long
    found = []
    for c, (low, high) in enumerate(extents):
        common = min(x1, high) - max(x0, low)
        if common > 0 and common >= min(0.5 * size, 0.5 * (high - low), 0.5 * (x1 - x0)):
            found.append(c)
    found = [c for c in found if c] or found
    return (found[0], found[-1]) if found else None


def _nearest(phrase: Phrase, extents: Sequence[tuple[float, float]]) -> int:
    x0, _, x1, _ = phrase.rect
    gaps = [max(low - x1, x0 - high) for low, high in extents]
    return gaps.index(min(gaps))


def _with_names(columns: Columns, head: Sequence[Line]) -> Columns:
    """Widen the columns to their names, if a heading has one for each and they stand beside them.

    Names at the left side of wide columns look like this, with numbers at the right side.
    """
    for line in head:
        if len(line.phrases) != columns.count:
            continue
        free = sum(_covered(p, columns.extents) is None for p in line.phrases)
        sides = [(p.rect[0], p.rect[2]) for p in line.phrases]
        wide = [
            (min(a, c), max(b, d)) for (a, b), (c, d) in zip(sides, columns.extents, strict=True)
        ]
        if free >= _BESIDE * columns.count and all(a[1] < b[0] for a, b in pairwise(wide)):
            cuts = tuple(_between(a, b, columns.cuts) for a, b in pairwise(wide))
            return Columns(cuts, tuple(wide), columns.homes)
    return columns


def _with_empty(columns: Columns, head: Sequence[Line]) -> Columns:
    """Add the columns that only a heading names."""
    extents = list(columns.extents)
    for line in head:
        free = [_covered(p, extents) is None for p in line.phrases]
        if sum(free) < 1 or len(line.phrases) <= 2:
            continue
        aligned = _in_order(line, extents)
        alone = [p for p, f, c in zip(line.phrases, free, aligned, strict=True) if f and c is None]
        extents = sorted([*extents, *((p.rect[0], p.rect[2]) for p in alone)])
    if len(extents) == columns.count:
        return columns
    moved = {old: extents.index(e) for old, e in enumerate(columns.extents)}
    cuts = tuple(_between(a, b, columns.cuts) for a, b in pairwise(extents))
    homes = {key: (moved[a], moved[b]) for key, (a, b) in columns.homes.items()}
    return Columns(cuts, tuple(extents), homes)


def _between(left: tuple[float, float], right: tuple[float, float], cuts: Sequence[float]) -> float:
    low, high = sorted((left[1], right[0]))
    return next((x for x in cuts if low <= x <= high), (low + high) / 2)


def _cores(phrases: Sequence[Phrase]) -> dict[int, tuple[float, float]]:
    """Narrow numbers to the part under their column's right edge, texts to their left edge."""
    cores = {id(p): (p.rect[0], p.rect[2]) for p in phrases}
    for group in _aligned([p for p in phrases if p.is_number], lambda p: p.digit_edge):
        if len(group) > 1:
            start = max(p.rect[0] for p in group)
            cores |= {id(p): (max(p.rect[0], min(start, p.rect[2] - 1)), p.rect[2]) for p in group}
    for group in _aligned([p for p in phrases if not p.is_number], lambda p: p.rect[0]):
        if len(group) >= _MIN_ALIGNED:
            width = min(p.rect[2] - p.rect[0] for p in group)
            cores |= {id(p): (p.rect[0], p.rect[0] + width) for p in group}
    return cores


def _aligned(phrases: Sequence[Phrase], edge: Callable[[Phrase], float]) -> list[list[Phrase]]:
    groups: list[list[Phrase]] = []
    for phrase in sorted(phrases, key=lambda p: (edge(p), p.rect)):
        if groups and edge(phrase) - edge(groups[-1][-1]) <= _ALIGNED * phrase.size:
            groups[-1].append(phrase)
        else:
            groups.append([phrase])
    return groups


def _stabbed(gaps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The intersections of the gaps that the fewest boundaries, from the left, lie in."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(gaps, key=lambda gap: (gap[1], gap[0])):
        if found and max(low, found[-1][0]) + _LEAST_GAP <= found[-1][1]:
            found[-1] = (max(low, found[-1][0]), found[-1][1])
        elif not found or low + _LEAST_GAP > found[-1][1]:
            found.append((low, high))
    return found


def _best_cut(gap: tuple[float, float], phrases: Sequence[Phrase]) -> float:
    """The position in a gap that crosses the fewest phrases, and then is nearest to its middle."""
    tries = np.linspace(*gap, _TRIES + 2)[1:-1]
    starts = np.sort([p.rect[0] for p in phrases])
    ends = np.sort([p.rect[2] for p in phrases])
    crossed = np.searchsorted(starts, tries) - np.searchsorted(ends, tries)
    best = np.flatnonzero(crossed == crossed.min())
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=len)
    return float(tries[widest].mean())


def _without_stray(
    cuts: Sequence[float],
    lines: Sequence[Line],
    cores: dict[int, tuple[float, float]],
    walls: Sequence[float],
) -> list[float]:
    """Drop columns that a single wide space made."""
    if len(lines) < _MANY_LINES or not cuts:
        return list(cuts)
    used: Counter[int] = Counter()
    for i, line in enumerate(lines):
        for phrase in line.phrases:
            used[_range(phrase, cores[id(phrase)], cuts)[0]] += 2 if i == 0 else 1
    gone = {max(0, c - 1) for c in range(len(cuts) + 1) if used[c] < 2}
    drawn = {i for i, x in enumerate(cuts) if any(abs(x - w) <= 2 * _LEAST_GAP for w in walls)}
    return [x for i, x in enumerate(cuts) if i not in gone or i in drawn]
