"""Cuts a long table by rows, then by columns, and last inside a cell. Pure.

Every piece is a complete table: it has the column names, its spans are written out, and it
begins with the key columns, which identify each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Final

from ..core.records import Box
from ..markdown.tables import pipe_lines
from .elements import Provenance
from .table_view import TableRow, TableView
from .text_cutting import SizeEstimate, cut_text, longest_fit

__all__ = ["cut_table"]

_NAME_SHARE: Final = 0.25
"""A column name longer than this share of the room is not a name: the header becomes rows."""
_HEADER_SHARE: Final = 0.5
"""A table whose header takes more than this share of the room is cut by columns first."""
_KEY_SHARE: Final = 0.15
"""Largest share of the room that repeated key columns may take."""
_MOST_KEYS: Final = 3  # columns

_Piece = tuple[str, tuple[Provenance, ...]]
"""A part of a table, written as a pipe table, and its provenance."""


def cut_table(view: TableView, size: Callable[[str], int], room: int) -> Iterator[_Piece]:
    """Cut a table into pieces of at most ``room``.

    ``size`` counts the tokens of a piece's text together with its context.
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
    own = _own_header(row)
    return (*row.above, replace(row, start=own[-1].end if own else row.start, above=()))


def _own_header(row: TableRow) -> list[TableRow]:
    """The header rows above a row that stand in its own block."""
    return [above for above in row.above if _page_and_block(above) == _page_and_block(row)]


class _Cutter:
    def __init__(self, view: TableView, size: Callable[[str], int], room: int) -> None:
        self.view = view
        self.size = size
        self.room = room
        self.base = size("")
        self.columns = view.columns
        rows = [own for row in view.rows for own in (*_far_header(row), row)]
        blocks = (list(same) for _, same in groupby(rows, key=_page_and_block))
        self.edges = {_page_and_block(same[0]): (same[0], same[-1]) for same in blocks}
        self.keys = self._key_columns()

    def cut(self, rows: Sequence[int], cols: Sequence[int]) -> Iterator[_Piece]:
        """Cut some rows and columns; every piece repeats the key columns."""
        if not self._says_anything(rows, cols):
            return
        text = self._text(rows, cols)
        own = [c for c in cols if c not in self.keys] or cols
        if self.size(text) <= self.room:
            yield text, self._provenance(rows, cols)
        elif len(own) > 1 and len(rows) == 1:
            yield from self._by_columns(rows, cols, own, self.room)
        elif len(own) > 1 and self._share(self._text([], cols)) > _HEADER_SHARE:
            room = self.base + int((self.room - self.base) * _HEADER_SHARE)
            yield from self._by_columns(rows, cols, own, room)
        elif len(rows) > 1:
            for start, end in self._batches(len(rows), lambda a, b: self._text(rows[a:b], cols)):
                yield from self.cut(rows[start:end], cols)
        elif self._repeats_keys(rows[0], own[0]):
            yield from self._cut_cell(rows[0], cols)
        else:
            yield from self.cut(rows, cols[:-1])
            yield from self._cut_cell(rows[0], own)

    def _by_columns(
        self, rows: Sequence[int], cols: Sequence[int], own: Sequence[int], room: int
    ) -> Iterator[_Piece]:
        """Cut by columns: as many at a time as fit with the one row, or with their names."""
        sample = rows if len(rows) == 1 else []
        lead = cols[: len(cols) - len(own)]  # part of the first piece; repeated by the others
        for start, end in self._batches(len(own), lambda a, b: self._text(sample, own[a:b]), room):
            yield from self.cut(rows, [*lead, *own[start:end]])
            lead = ()

    def _batches(
        self, length: int, text: Callable[[int, int], str], room: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Positions of consecutive batches, each of as many items as fit when written."""

        def measure(start: int, end: int) -> int:
            return self.size(text(start, end))

        start, estimate = 0, SizeEstimate(self.base)
        while start < length:
            end, estimate = longest_fit(length, start, measure, room or self.room, estimate)
            yield start, end
            start = end

    def _says_anything(self, rows: Sequence[int], cols: Sequence[int]) -> bool:
        named = any(self._header(cols)) and any(self.view.rows[row].above for row in rows)
        return named or any(any(self._shown(row, cols)) for row in rows)

    def _share(self, text: str) -> float:
        """The share of the room that a text takes."""
        return (self.size(text) - self.base) / max(self.room - self.base, 1)

    def _text(self, rows: Sequence[int], cols: Sequence[int]) -> str:
        cols = [*self._key(cols), *cols]
        return "\n".join(pipe_lines(self._header(cols), [self._shown(r, cols) for r in rows]))

    def _header(self, cols: Sequence[int]) -> list[str]:
        return [self.view.names[c] for c in cols] if self.view.names else []

    def _shown(self, row: int, cols: Sequence[int]) -> list[str]:
        return [self.view.rows[row].cells[c] for c in cols]

    def _key(self, cols: Sequence[int]) -> list[int]:
        """The key columns that are not in ``cols``."""
        return [c for c in self.keys if c not in cols]

    def _key_columns(self) -> range:
        """The fewest first columns that identify every row, or the first; none if too long."""
        rows = [row.cells for row in self.view.rows]
        for number in range(1, min(_MOST_KEYS, self.columns - 1) + 1):
            if len({cells[:number] for cells in rows}) == len(rows) and self._is_short(number):
                return range(number)
        return range(int(self.columns > 1 and self._is_short(1)))

    def _is_short(self, number: int) -> bool:
        """Whether the longest cells of the first columns take little room together."""
        longest = [max((row.cells[c] for row in self.view.rows), key=len) for c in range(number)]
        return self._share("\n".join([*self._header(range(number)), *longest])) <= _KEY_SHARE

    def _cut_cell(self, row: int, cols: Sequence[int]) -> Iterator[_Piece]:
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
            yield write(cell[start:end]), (part,)

    def _writer(self, row: int, col: int) -> Callable[[str], str]:
        """Writes a part of a cell with the key columns or its column's name, whichever fits."""
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

    def _provenance(self, rows: Sequence[int], cols: Sequence[int]) -> tuple[Provenance, ...]:
        whole = len(cols) == self.columns
        found: list[Provenance] = []
        chosen = [own for r in rows for own in (*_far_header(self.view.rows[r]), self.view.rows[r])]
        for (page, block), group in groupby(chosen, _page_and_block):
            members = list(group)
            ranges = [(members[0].start, members[-1].end)]  # whole rows are contiguous
            if not whole:
                ranges = _cell_ranges([*_own_header(members[0]), *members], cols)
            box, exact = _box(self.edges[page, block], members)
            found.append(Provenance(page, block, tuple(ranges), box, exact and whole))
        return tuple(found)


def _far_header(row: TableRow) -> list[TableRow]:
    """The header rows above a row that stand alone on the page before."""
    return [above for above in row.above if _page_and_block(above) != _page_and_block(row)]


def _page_and_block(row: TableRow) -> tuple[int, int]:
    return row.page, row.block.index


def _cell_ranges(rows: Sequence[TableRow], cols: Sequence[int]) -> list[tuple[int, int]]:
    ranges = []
    for row in rows:
        own = [cell for c in cols if (cell := row.cell_ranges[c]) is not None]
        if own:
            ranges.append((own[0][0], own[-1][1]))
    return ranges


def _box(edges: tuple[TableRow, TableRow], rows: Sequence[TableRow]) -> tuple[Box | None, bool]:
    """The box around rows of a block, and whether it is exact. ``edges`` are the block's rows.

    The first row's box includes the header above it, the last row's the rest of the block.
    """
    box = rows[0].block.box
    if box is None:
        return None, True
    first, last = rows[0] is edges[0], rows[-1] is edges[1]
    top = box.y0 if first else rows[0].top
    bottom = box.y1 if last else rows[-1].bottom
    return Box.clipped(box.x0, top, box.x1, bottom), (first and last) or rows[0].exact


def _share(source: Provenance, start: int, end: int, length: int) -> Provenance:
    """The share of a cell's provenance that some of its characters take, by their number."""
    ranges = []
    for a, b in source.ranges[-1:]:
        scale = (b - a) / max(length, 1)
        ranges.append((a + round(start * scale), a + round(end * scale)))
    if start == 0:
        ranges = [*source.ranges[:-1], *ranges]
    return replace(source, ranges=tuple(ranges), exact=source.box is None)
