"""Views a table of a page's Markdown as rows, each with its source range and height. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from ..core.records import TableGrid
from ..markdown.render import BlockSpan
from ..markdown.table_parsing import LocatedTable, locate_table
from ..markdown.tables import expand

__all__ = ["TableRow", "TableView", "continues", "joined", "view_table"]

_NUMERIC: Final = re.compile(r"^[\s\d.,:%€$£¥+\-–—()/*]+$")
_ROW_END: Final = re.compile(
    r"[ \t]*\|[ \t]*(?=\r?\n)|\s*(?:</t[dh]\s*>)?\s*(?:</tr\s*>)?", re.IGNORECASE
)
_YEAR: Final = re.compile(r"\W*(?:19|20)\d\d\W*")
_SAME_EDGE: Final = 0.012
"""How far the edges of one column may be apart on two pages: 7 points on A4, less than a letter
and the padding of a cell."""
_SAME_SIDE: Final = 0.03
_RAGGED_SIDE: Final = 0.15
"""How far the sides of two parts of one table may be apart, in fractions of the page."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row: the text of every column, with spans written out.

    ``page`` is the page's position in the sequence of pages, ``start`` and ``end`` are character
    offsets into its Markdown. Together the rows cover the whole table; the first body row also
    covers the header rows, which are then in ``above``. ``cell_ranges`` has None where a cell from
    above or from the left spans the slot. ``top`` and ``bottom`` are fractions of the page's
    height; ``exact`` is False if they are interpolated. A header row may stand on the page before.
    """

    page: int
    block: BlockSpan
    cells: tuple[str, ...]
    cell_ranges: tuple[tuple[int, int] | None, ...]
    start: int
    end: int
    top: float = 0.0
    bottom: float = 0.0
    exact: bool = False
    above: tuple[TableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TableView:
    """A table on one page, or joined over several.

    ``rows`` are the body rows. ``names`` are the column names, empty without a header.
    """

    header: tuple[TableRow, ...]
    rows: tuple[TableRow, ...]
    names: tuple[str, ...]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return max((len(row.cells) for row in (*self.header, *self.rows)), default=0)


def view_table(page: int, text: str, block: BlockSpan) -> TableView | None:
    """Read the table in a block of a page's Markdown; None if its text is not a grid."""
    located = locate_table(text[block.start : block.end])
    if located is None:
        return None
    rows = tuple(_rows(page, text, block, located))
    depth = min(block.header_rows, len(rows) - 1)
    return _view(rows[:depth], rows[depth:])


def continues(before: TableView, after: TableView) -> bool:
    """Whether a table at the top of a page continues the last one of the page before.

    The second needs the same left side, the same header or none, and the same number of columns,
    or fewer whose boxes are columns of the first: an engine may miss columns without text. If the
    first row of the second table has names in columns that hold numbers in the first one, it is
    another table. The right sides may differ if the rows match, because most tables end at the
    longest text of their last column.
    """
    own_columns = after.columns
    after = _aligned(after, before)
    if before.columns != after.columns or not (before.rows and after.rows):
        return False
    left, right = _offsets(before.rows[-1].block, after.rows[0].block)
    if left > _SAME_SIDE:
        return False
    if _same_names(before, after):
        return True
    if _is_lone_header(before, after) and before.rows[0].block.col_edges:
        return _columns_overlap(before, after)
    first = (*after.header, *after.rows)[0]
    numeric = [c for c in range(before.columns) if _is_numeric_column(before.rows, c)]
    if own_columns < before.columns:  # its right side is that of the last column with text
        return all(_NUMERIC.match(first.cells[c] or "-") for c in numeric)
    if not numeric:
        return right <= _SAME_SIDE
    return right <= _RAGGED_SIDE and any(_NUMERIC.match(first.cells[c]) for c in numeric)


def joined(parts: Sequence[TableView]) -> TableView:
    """Join the parts of a table on consecutive pages under the header of the first part.

    A repeated header of a later part is left out; the next row covers its text. A first part of
    one row is the header of the others, whose first row then has it in ``above``.
    """
    first, *others = parts
    others = [_aligned(part, first) for part in others]
    lone = bool(others) and _is_lone_header(first, others[0])
    if lone:
        first = TableView(first.rows, (), _own_cells(first.rows[0]))
    rows = list(first.rows)
    for part in others:
        head, *rest = part.rows
        if part.header and not _same_names(first, part):
            # Not a repeated header: body rows that only looked like one.
            rows += part.header
            head = replace(head, start=part.header[-1].end, above=())
        rows += [head, *rest]
    if lone:
        rows[0] = replace(rows[0], above=(*first.header, *rows[0].above))
    return TableView(first.header, tuple(rows), first.names)


def _is_lone_header(before: TableView, after: TableView) -> bool:
    """Whether the only row of a table names the columns of the next one: it has no numbers."""
    if before.header or len(before.rows) != 1 or before.columns < 2:
        return False
    numbers = [c for c in before.rows[0].cells if _NUMERIC.match(c) and not _YEAR.fullmatch(c)]
    return not numbers and any(before.rows[0].cells) and bool(after.rows)


def _columns_overlap(a: TableView, b: TableView) -> bool:
    """Whether each column overlaps its counterpart: one table may be measured by its text only."""
    one, other = (view.rows[0].block.col_edges for view in (a, b))
    if len(one) != len(other):
        return not (one and other)
    pairs = zip(pairwise(one), pairwise(other), strict=True)
    return all(max(x[0], y[0]) < min(x[1], y[1]) for x, y in pairs)


def _aligned(part: TableView, first: TableView) -> TableView:
    """Give a part that has only some of the columns the others, empty, by the edges of boxes."""
    if not (part.rows and first.rows and 1 < part.columns < first.columns):
        return part
    edges, wanted = part.rows[0].block.col_edges, first.rows[0].block.col_edges
    if len(edges) != part.columns + 1 or len(wanted) != first.columns + 1:
        return part
    targets = [
        min(range(first.columns), key=lambda c: abs(wanted[c] - x)) for x in edges[: part.columns]
    ]
    near = all(abs(wanted[c] - x) <= _SAME_EDGE for c, x in zip(targets, edges, strict=False))
    if not near or len(set(targets)) < len(targets):
        return part
    sources = [targets.index(c) if c in targets else None for c in range(first.columns)]
    rows = [_spread(row, sources) for row in part.rows]
    header = tuple(_spread(row, sources) for row in part.header)
    names = tuple("" if n is None else part.names[n] for n in sources) if part.names else ()
    return TableView(header, tuple(rows), names)


def _spread(row: TableRow, sources: Sequence[int | None]) -> TableRow:
    return replace(
        row,
        cells=tuple("" if n is None else row.cells[n] for n in sources),
        cell_ranges=tuple(None if n is None else row.cell_ranges[n] for n in sources),
        above=tuple(_spread(above, sources) for above in row.above),
    )


def _view(header: tuple[TableRow, ...], rows: tuple[TableRow, ...]) -> TableView:
    columns = zip(*map(_own_cells, header), strict=True)
    # Several header cells become one name, without repetitions from spans.
    names = tuple(" / ".join(dict.fromkeys(filter(None, column))) for column in columns)
    head, *rest = rows
    if not any(names):  # an empty header: drop it, but cover its marks
        start = header[0].start if header else head.start
        return TableView((), (replace(head, start=start), *rest), ())
    return TableView(header, (replace(head, start=header[0].start, above=header), *rest), names)


def _own_cells(row: TableRow) -> tuple[str, ...]:
    """The cells of a header row; a title over all columns names only the first."""
    return row.cells if any(row.cell_ranges[1:]) else (row.cells[0], *[""] * len(row.cells[1:]))


def _rows(page: int, text: str, block: BlockSpan, located: LocatedTable) -> Iterator[TableRow]:
    grid = located.grid
    texts = expand(grid)
    ranges: list[list[tuple[int, int] | None]] = [[None] * grid.cols for _ in range(grid.rows)]
    for cell, (start, end) in zip(grid.cells, located.cell_ranges, strict=True):
        ranges[cell.row][cell.col] = (block.start + start, block.start + end)
    edges, exact = _edges(block, grid)
    ends = [max((cell[1] for cell in row if cell), default=0) for row in ranges]
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
            tuple(ranges[number]),
            start,
            end,
            edges[number],
            edges[number + 1],
            exact,
        )
        start = end + len(text[end : block.end]) - len(text[end : block.end].lstrip())


def _edges(block: BlockSpan, grid: TableGrid) -> tuple[Sequence[float], bool]:
    """Edges of the rows, and whether they are exact; equal heights if they are unknown."""
    if len(block.row_edges) == grid.rows + 1:
        return block.row_edges, True
    if block.box is None:
        return [0.0] * (grid.rows + 1), False
    height = (block.box.y1 - block.box.y0) / grid.rows
    return [block.box.y0 + height * row for row in range(grid.rows + 1)], False


def _offsets(a: BlockSpan, b: BlockSpan) -> tuple[float, float]:
    """How far the left and right sides are apart; 0 if a box is unknown."""
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
