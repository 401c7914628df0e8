"""Cuts a long table by rows, then by columns, and last inside a cell. Pure.

Every piece is a complete table: it has the column names, its spans are written out, and it
begins with the key columns, which identify each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final

from ..core.records import Box
from ..markdown.tables import pipe_lines
from .elements import Provenance
from .table_view import TableRow, TableView
from .text_cutting import SizeEstimate, cut_text, longest_fit

__all__ = ["TablePiece", "cut_table"]

_NAME_SHARE: Final = 0.25
"""A column name longer than this share of the room is not a name: the header becomes rows."""
_HEADER_SHARE: Final = 0.5
"""A table whose header takes more than this share of the room is cut by columns first."""
_KEY_SHARE: Final = 0.15
"""Largest share of the room that repeated key columns may take."""
_MOST_KEYS: Final = 3  # columns


@dataclass(frozen=True, slots=True)
class TablePiece:
    """A part of a table, written as a pipe table."""

    text: str
    provenance: tuple[Provenance, ...]


def cut_table(view: TableView, size: Callable[[str], int], room: int) -> Iterator[TablePiece]:
    """Cut a table into pieces.

    Args:
        view: the table.
        size: counts the tokens of a piece's text together with its context.
        room: the largest size of a piece.
    """
    base = size("")
    if any(size(name) - base > _NAME_SHARE * (room - base) for name in view.names):
        rows = [own for row in view.rows for own in _with_header(row)]
        view = TableView((), tuple(rows), ())
    yield from _Cutter(view, size, room).cut(range(len(view.rows)), range(view.columns))


def _with_header(row: TableRow) -> tuple[TableRow, ...]:
    """A row and the header rows right above it, each covering only its own text."""
    if not row.above:
        return (row,)
    return (*row.above, replace(row, start=row.above[-1].end, above=()))


class _Cutter:
    def __init__(self, view: TableView, size: Callable[[str], int], room: int) -> None:
        self.view = view
        self.size = size
        self.room = room
        self.base = size("")
        self.columns = view.columns
        self.edges = _edges(view.rows)
        self.keys = self._key_columns()

    def cut(self, rows: Sequence[int], cols: Sequence[int]) -> Iterator[TablePiece]:
        """Cut some rows and columns; every piece repeats the key columns."""
        if not self._says_anything(rows, cols):
            return
        text = self._text(rows, cols)
        own = [c for c in cols if c not in self.keys] or cols
        if self.size(text) <= self.room:
            yield TablePiece(text, self._provenance(rows, cols))
        elif len(own) > 1 and len(rows) == 1:
            yield from self._by_columns(rows, cols, own, self.room)
        elif len(own) > 1 and self._share("\n".join(self._lines([], cols))) > _HEADER_SHARE:
            room = self.base + int((self.room - self.base) * _HEADER_SHARE)
            yield from self._by_columns(rows, cols, own, room)
        elif len(rows) > 1:
            for start, end in self._batches(len(rows), partial(self._rows_size, rows, cols)):
                yield from self.cut(rows[start:end], cols)
        elif self._repeats_keys(rows[0], own[0]):
            yield from self._cut_cell(rows[0], cols)
        else:
            yield from self.cut(rows, cols[:-1])
            yield from self._cut_cell(rows[0], own)

    def _by_columns(
        self, rows: Sequence[int], cols: Sequence[int], own: Sequence[int], room: int
    ) -> Iterator[TablePiece]:
        """Cut by columns: as many at a time as fit with the one row, or with their names."""
        sample = rows if len(rows) == 1 else []

        def measure(start: int, end: int) -> int:
            return self.size(self._text(sample, own[start:end]))

        lead = cols[: len(cols) - len(own)]  # part of the first piece; repeated by the others
        for start, end in self._batches(len(own), measure, room):
            yield from self.cut(rows, [*lead, *own[start:end]])
            lead = ()

    def _batches(
        self, length: int, measure: Callable[[int, int], int], room: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Positions of consecutive batches, each of as many items as fit."""
        start, estimate = 0, SizeEstimate(self.base)
        while start < length:
            end, estimate = longest_fit(length, start, measure, room or self.room, estimate)
            yield start, end
            start = end

    def _rows_size(self, rows: Sequence[int], cols: Sequence[int], start: int, end: int) -> int:
        return self.size(self._text(rows[start:end], cols))

    def _says_anything(self, rows: Sequence[int], cols: Sequence[int]) -> bool:
        named = any(self._header(cols)) and any(self.view.rows[row].above for row in rows)
        return named or any(any(self._shown(row, cols)) for row in rows)

    def _share(self, text: str) -> float:
        """The share of the room that a text takes."""
        return (self.size(text) - self.base) / max(self.room - self.base, 1)

    # -- writing ---------------------------------------------------------------------------

    def _text(self, rows: Sequence[int], cols: Sequence[int]) -> str:
        return "\n".join(self._lines(rows, cols))

    def _lines(self, rows: Sequence[int], cols: Sequence[int]) -> list[str]:
        key = self._key(cols)
        header = self._header([*key, *cols])
        return pipe_lines(header, [self._shown(r, [*key, *cols]) for r in rows])

    def _header(self, cols: Sequence[int]) -> list[str]:
        return [self.view.names[c] for c in cols] if self.view.names else []

    def _shown(self, row: int, cols: Sequence[int]) -> list[str]:
        return [self.view.rows[row].cells[c] for c in cols]

    def _key(self, cols: Sequence[int]) -> list[int]:
        """The key columns that are not in ``cols``."""
        return [c for c in self.keys if c not in cols]

    def _key_columns(self) -> range:
        """The fewest first columns that identify every row.

        If none do, the first column. No column if they would take too much room.
        """
        rows = [row.cells for row in self.view.rows]
        for number in range(1, min(_MOST_KEYS, self.columns - 1) + 1):
            if len({cells[:number] for cells in rows}) == len(rows) and self._is_short(number):
                return range(number)
        return range(int(self.columns > 1 and self._is_short(1)))

    def _is_short(self, number: int) -> bool:
        """Whether the longest cells of the first columns take little room together."""
        longest = [max((row.cells[c] for row in self.view.rows), key=len) for c in range(number)]
        return self._share("\n".join([*self._header(range(number)), *longest])) <= _KEY_SHARE

    def _cut_cell(self, row: int, cols: Sequence[int]) -> Iterator[TablePiece]:
        """Cut the last of some cells into parts; every part repeats the cells before it."""
        cell = self.view.rows[row].cells[cols[-1]]
        write = self._writer(row, cols[-1])

        def measure(start: int, end: int) -> int:
            return self.size(write(cell[start:end]))

        (source,) = self._provenance([row], cols[-1:])
        for before in self._provenance([row], cols[:-1]) if len(cols) > 1 else ():
            source = replace(source, ranges=tuple(sorted(before.ranges + source.ranges)))
        cuts = list(cut_text(cell, measure, lambda _: self.room)) or [(0, 0)]
        for number, (start, end) in enumerate(cuts):
            first = start if number else 0
            stop = cuts[number + 1][0] if number + 1 < len(cuts) else len(cell)
            whole = (first, stop) == (0, len(cell))
            part = source if whole else _share(source, first, stop, len(cell))
            yield TablePiece(write(cell[start:end]), (part,))

    def _writer(self, row: int, col: int) -> Callable[[str], str]:
        """A function that writes a part of a cell.

        It adds the key columns, or only the column's name, if they leave half of the room.
        """
        if self._repeats_keys(row, col):
            return partial(self._beside, row, [*self._key([col]), col])
        if self._share(self._beside(row, [col], "")) <= 1 / 2:
            return partial(self._beside, row, [col])
        name = "".join(self._header([col]))
        return lambda part: f"{name}: {part}" if name else part

    def _repeats_keys(self, row: int, col: int) -> bool:
        """Whether the key columns leave half of the room for a part of a cell."""
        return self._share(self._beside(row, [*self._key([col]), col], "")) <= 1 / 2

    def _beside(self, row: int, cols: Sequence[int], part: str) -> str:
        """A table of one row whose last cell is a part of a cell."""
        line = [*self._shown(row, cols[:-1]), part]
        return "\n".join(pipe_lines(self._header(cols), [line]))

    # -- provenance ------------------------------------------------------------------------

    def _provenance(self, rows: Sequence[int], cols: Sequence[int]) -> tuple[Provenance, ...]:
        whole = len(cols) == self.columns
        found: list[Provenance] = []
        for _, group in groupby((self.view.rows[r] for r in rows), key=_page_and_block):
            members = list(group)
            ranges: list[tuple[int, int]] = []
            if not whole:
                ranges += _cell_ranges(members[0].above, cols)
            ranges += _row_ranges(members) if whole else _cell_ranges(members, cols)
            page, block = _page_and_block(members[0])
            box, exact = _box(self.edges, members)
            found.append(Provenance(page, block, tuple(ranges), box, exact and whole))
        return tuple(found)


def _page_and_block(row: TableRow) -> tuple[int, int]:
    return row.page, row.block.index


def _row_ranges(rows: Sequence[TableRow]) -> list[tuple[int, int]]:
    """One range: whole rows are contiguous."""
    return [(rows[0].start, rows[-1].end)]


def _cell_ranges(rows: Sequence[TableRow], cols: Sequence[int]) -> list[tuple[int, int]]:
    ranges = []
    for row in rows:
        own = [cell for c in cols if (cell := row.cell_ranges[c]) is not None]
        if own:
            ranges.append((own[0][0], own[-1][1]))
    return ranges


def _edges(rows: Sequence[TableRow]) -> dict[tuple[int, int], tuple[TableRow, TableRow]]:
    """The first and last row on each page."""
    edges: dict[tuple[int, int], tuple[TableRow, TableRow]] = {}
    for row in rows:
        first, _ = edges.get(_page_and_block(row), (row, row))
        edges[_page_and_block(row)] = (first, row)
    return edges


def _box(
    edges: dict[tuple[int, int], tuple[TableRow, TableRow]], rows: Sequence[TableRow]
) -> tuple[Box | None, bool]:
    """The box around rows of one page, and whether it is exact.

    The first row's box includes the header above it, the last row's the rest of the block.
    """
    block = rows[0].block
    if block.box is None:
        return None, True
    top_row, bottom_row = edges[_page_and_block(rows[0])]
    first, last = rows[0] is top_row, rows[-1] is bottom_row
    top = block.box.y0 if first else rows[0].top
    bottom = block.box.y1 if last else rows[-1].bottom
    box = Box.clipped(block.box.x0, top, block.box.x1, bottom)
    return box, (first and last) or rows[0].exact


def _share(source: Provenance, start: int, end: int, length: int) -> Provenance:
    """The share of a cell's provenance that some of its characters take, by their number."""
    ranges = []
    for a, b in source.ranges[-1:]:
        scale = (b - a) / max(length, 1)
        ranges.append((a + round(start * scale), a + round(end * scale)))
    if start == 0:
        ranges = [*source.ranges[:-1], *ranges]
    return replace(source, ranges=tuple(ranges), exact=source.box is None)
