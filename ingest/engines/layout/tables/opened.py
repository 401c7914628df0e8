"""Plans the cells of a table whose cells are not drawn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ..geometry import Rect
from ..text_layer.words import LayoutWord
from .centred import with_centred_rows
from .columns import Columns, Item, find_columns
from .header import PlacedLine, count_header_lines, header_breaks, spanned
from .phrases import lines_of, numbers_apart
from .records import CellSlot, GridPlan
from .rows import row_starts
from .rules import Rules, Segments

__all__ = ["plan_open"]

_WALL: Final = 0.5  # share of a table's height that a drawn boundary of columns covers


def plan_open(rect: Rect, rules: Rules, words: Sequence[LayoutWord]) -> GridPlan | None:
    """Plan the cells by the alignment of words; None if there is a single column.

    Only headings span columns. A long text in the body keeps its column and gets a wider box.

    Args:
        rect: the table.
        rules: those that touch it. Vertical ones divide columns, horizontal ones rows.
        words: those of the table.
    """
    walls = _walls(rect, rules.down, words)
    lines = numbers_apart(lines_of(words, walls))
    columns = find_columns(lines, walls)
    if columns.count < 2:
        return None
    placed = with_centred_rows([columns.place(line) for line in lines], rules.across)
    rows, header_rows = _rows(placed, columns, rules)
    slots = [slot for i in range(len(rows)) for slot in _slots(i, rows, columns, rect)]
    slots = [s if s.row < header_rows else replace(s, col_span=1) for s in slots]
    return GridPlan(len(rows), columns.count, tuple(slots), header_rows)


def _walls(rect: Rect, down: Segments, words: Sequence[LayoutWord]) -> list[float]:
    """Positions of the rules that divide the words of a table."""
    centres = sorted((w.rect[0] + w.rect[2]) / 2 for w in words)
    walls: dict[float, float] = {}
    for x, y0, y1 in down.tolist():
        if centres[0] < x < centres[-1]:
            walls[x] = walls.get(x, 0.0) + min(y1, rect[3]) - max(y0, rect[1])
    return sorted(x for x, length in walls.items() if length >= _WALL * (rect[3] - rect[1]))


def _rows(
    placed: Sequence[PlacedLine], columns: Columns, rules: Rules
) -> tuple[list[list[PlacedLine]], int]:
    """Group lines into rows, the header first. Returns the rows and how many are the header."""
    count = count_header_lines(placed, rules.across, rules.underlines)
    head = list(placed[: max(0, count)])
    body = list(placed[max(0, count) :])
    for i in reversed(range(len(head))):
        head[i] = spanned(head[i], head[i + 1 :], columns.extents, rules.underlines)
    top = _grouped(head, header_breaks(head, rules.underlines)) if head else []
    rows = [*top, *_grouped(body, row_starts(body, rules.across))]
    return rows, len(top) if count >= 0 else -1


def _grouped(lines: Sequence[PlacedLine], starts: Sequence[int]) -> list[list[PlacedLine]]:
    return [list(lines[a:b]) for a, b in pairwise([*starts, len(lines)])]


def _slots(
    index: int, rows: Sequence[Sequence[PlacedLine]], columns: Columns, rect: Rect
) -> list[CellSlot]:
    """The cells of a row."""
    top, bottom = _band(index, rows, rect)
    cells = _cells(rows[index])
    ends = _edges(cells, columns, rect)
    return [
        CellSlot(index, item.first, 1, item.last - item.first + 1, (left, top, right, bottom))
        for (item, _, _), (left, right) in zip(cells, ends, strict=True)
    ]


def _band(index: int, rows: Sequence[Sequence[PlacedLine]], rect: Rect) -> tuple[float, float]:
    def edge(above: int) -> float:
        return (_foot(rows[above]) + _top(rows[above + 1])) / 2

    top = edge(index - 1) if index else min(rect[1], _top(rows[0]))
    last = len(rows) - 1
    bottom = edge(index) if index < last else max(rect[3], _foot(rows[last]))
    return top, bottom


def _top(row: Sequence[PlacedLine]) -> float:
    return min(item.phrase.rect[1] for line in row for item in line)


def _foot(row: Sequence[PlacedLine]) -> float:
    return max(item.phrase.rect[3] for line in row for item in line)


def _cells(row: Sequence[PlacedLine]) -> list[tuple[Item, float, float]]:
    """The cells of a row, with the left and right end of their text. No two share a column."""
    cells: list[tuple[Item, float, float]] = []
    for item in sorted((x for line in row for x in line), key=lambda x: (x.first, -x.last)):
        x0, _, x1, _ = item.phrase.rect
        if cells and cells[-1][0].first == item.first:
            widest, low, high = cells[-1]
            cells[-1] = (widest, min(low, x0), max(high, x1))
            continue
        if cells and cells[-1][0].last >= item.first:
            wide, low, high = cells[-1]
            cells[-1] = (Item(wide.phrase, wide.first, item.first - 1), low, high)
        cells.append((item, x0, x1))
    return cells


def _edges(
    cells: Sequence[tuple[Item, float, float]], columns: Columns, rect: Rect
) -> list[tuple[float, float]]:
    """Left and right side of each cell; no two overlap, and none cuts a text of its own line."""
    bounds = [rect[0], *columns.cuts, rect[2]]
    lefts = [min(bounds[item.first], low) for item, low, _ in cells]
    rights = [max(bounds[item.last + 1], high) for item, _, high in cells]
    for i in range(len(cells) - 1):
        if rights[i] > lefts[i + 1]:
            low, high = cells[i][2], cells[i + 1][1]
            cut = bounds[cells[i + 1][0].first]
            middle = cut if low <= cut <= high else (low + high) / 2
            rights[i] = lefts[i + 1] = middle
    return list(zip(lefts, rights, strict=True))
