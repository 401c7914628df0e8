"""A table of the page's Markdown as rows that can be taken out of it one by one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..core.records import TableGrid
from ..markdown.render import BlockSpan
from ..markdown.table_parsing import PlacedTable, place_pipe_table, place_table
from ..markdown.tables import expand

__all__ = ["TableRow", "TableView", "continues", "joined", "read_table"]

_NUMERIC: Final = re.compile(r"^[\s\d.,:%€$£¥+\-–—()/*]+$")
_ROW_END: Final = re.compile(
    r"[ \t]*\|[ \t]*(?=\r?\n)|\s*(?:</t[dh]\s*>)?\s*(?:</tr\s*>)?", re.IGNORECASE
)
_SAME_SIDE: Final = 0.03
_RAGGED_SIDE: Final = 0.15
"""Fractions of the page by which the sides of two parts of one table may differ."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row: the text of every column, with spans written out.

    ``start`` and ``end`` are character offsets into the Markdown of page ``page`` (its place in
    the sequence of pages); the rows of a table cover all of it, the first the header, too.
    ``places`` are the ranges of the cells by column, None where a cell from above or from the
    left reaches in. ``top`` and ``bottom`` are fractions of the page's height, ``exact`` if they
    were not interpolated. ``above`` are the header rows right above it, whose text its range
    covers.
    """

    page: int
    block: BlockSpan
    cells: tuple[str, ...]
    places: tuple[tuple[int, int] | None, ...]
    start: int
    end: int
    top: float = 0.0
    bottom: float = 0.0
    exact: bool = False
    above: tuple[TableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TableView:
    """A table, of one page or joined over several: header rows, then the others."""

    header: tuple[TableRow, ...]
    rows: tuple[TableRow, ...]
    names: tuple[str, ...]  # of the columns: all header rows in one; empty without a header

    @property
    def columns(self) -> int:
        """How many there are."""
        return max((len(row.cells) for row in (*self.header, *self.rows)), default=0)


def read_table(page: int, text: str, block: BlockSpan) -> TableView | None:
    """Read the table that a block of a page holds; None if its text is no grid.

    Args:
        page: place of the page in the sequence of pages.
        text: the page's Markdown.
        block: the table.
    """
    body = text[block.start : block.end]
    placed = place_table(body) if body.lstrip().startswith("<") else place_pipe_table(body)
    if placed is None:
        return None
    rows = tuple(_rows(page, text, block, placed))
    depth = min(block.header_rows, len(rows) - 1)
    return _view(rows[:depth], rows[depth:])


def continues(before: TableView, after: TableView) -> bool:
    """Whether a table at the top of a page goes on from the one at the end of the last.

    Same columns at the same place, and its header is the same, or is none at all: a first row
    that names columns under which the first table had numbers begins another table. The right
    side may differ where rows speak for it: mostly the last column ends with its longest text.
    """
    if before.columns != after.columns or not (before.rows and after.rows):
        return False
    left, right = _offsets(before.rows[-1].block, after.rows[0].block)
    if left > _SAME_SIDE:
        return False
    if _same_names(before, after):
        return True
    first = (*after.header, *after.rows)[0]
    numeric = [c for c in range(before.columns) if _is_numeric_column(before.rows, c)]
    if not numeric:
        return right <= _SAME_SIDE
    return right <= _RAGGED_SIDE and any(_NUMERIC.match(first.cells[c]) for c in numeric)


def joined(parts: Sequence[TableView]) -> TableView:
    """One table of the parts that follow each other over pages, under the header of the first.

    A header repeated by a later part is no row of the table; the row behind it covers its text.
    """
    first, *others = parts
    rows = list(first.rows)
    for part in others:
        head, *rest = part.rows
        if part.header and not _same_names(first, part):
            # Rows of the body that only looked like a header.
            rows += part.header
            head = replace(head, start=part.header[-1].end, above=())
        rows += [head, *rest]
    return TableView(first.header, tuple(rows), first.names)


def _view(header: tuple[TableRow, ...], rows: tuple[TableRow, ...]) -> TableView:
    named = (_own_cells(row) for row in header)
    names = tuple(_name(column) for column in zip(*named, strict=True))
    head, *rest = rows
    if not any(names):  # an empty header names nothing, but its marks are part of the table
        start = header[0].start if header else head.start
        return TableView((), (replace(head, start=start), *rest), ())
    return TableView(header, (replace(head, start=header[0].start, above=header), *rest), names)


def _own_cells(row: TableRow) -> tuple[str, ...]:
    """The cells of a header row; a title over all columns names the first only."""
    if any(row.places[1:]):
        return row.cells
    return (*row.cells[:1], *("" for _ in row.cells[1:]))


def _name(column: Sequence[str]) -> str:
    """The header cells of a column as one, without what spans repeat."""
    return " / ".join(dict.fromkeys(cell for cell in column if cell))


def _rows(page: int, text: str, block: BlockSpan, placed: PlacedTable) -> Iterator[TableRow]:
    grid = placed.grid
    texts = expand(grid)
    places: list[list[tuple[int, int] | None]] = [[None] * grid.cols for _ in range(grid.rows)]
    for cell, (start, end) in zip(grid.cells, placed.places, strict=True):
        places[cell.row][cell.col] = (block.start + start, block.start + end)
    edges, exact = _edges(block, grid)
    ends = [max((p[1] for p in row if p), default=0) for row in places]
    start = block.start
    for number in range(grid.rows):
        end = block.end
        if number < grid.rows - 1:
            tail = _ROW_END.match(text, max(ends[number], start))
            end = tail.end() if tail else max(ends[number], start)
        yield TableRow(
            page,
            block,
            tuple(texts[number]),
            tuple(places[number]),
            start,
            end,
            edges[number],
            edges[number + 1],
            exact,
        )
        start = end + len(text[end : block.end]) - len(text[end : block.end].lstrip())


def _edges(block: BlockSpan, grid: TableGrid) -> tuple[Sequence[float], bool]:
    """Heights of the rows; equal ones where they are not known."""
    if len(block.row_edges) == grid.rows + 1:
        return block.row_edges, True
    if block.box is None:
        return [0.0] * (grid.rows + 1), False
    height = (block.box.y1 - block.box.y0) / grid.rows
    return [block.box.y0 + height * row for row in range(grid.rows + 1)], False


def _offsets(a: BlockSpan, b: BlockSpan) -> tuple[float, float]:
    """How far the left and right sides are apart; not at all where they are not known."""
    if a.box is None or b.box is None:
        return 0.0, 0.0
    return abs(a.box.x0 - b.box.x0), abs(a.box.x1 - b.box.x1)


def _same_names(a: TableView, b: TableView) -> bool:
    return bool(a.names) and [_plain(n) for n in a.names] == [_plain(n) for n in b.names]


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def _is_numeric_column(rows: Sequence[TableRow], column: int) -> bool:
    filled = [row.cells[column] for row in rows if row.cells[column]]
    return bool(filled) and sum(bool(_NUMERIC.match(c)) for c in filled) > 0.6 * len(filled)
