"""A table too long for a chunk, cut by rows, then by columns, at last inside a cell. Pure.

Every piece is a table of its own: column names above, spans written out, and the first column in
front where it says what a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final

from .splitting import Line, longest_fit, split_text
from .table_view import TableRow, TableView
from .tables import pipe_lines
from .types import Box

__all__ = ["Place", "TablePiece", "cut_table"]

_NAME_SHARE: Final = 0.25
"""A column name longer than this share of the room is no name: it becomes text of a row."""
_HEADER_SHARE: Final = 0.5
"""A header longer than this share of the room is cut by columns before any row is."""
_KEY_SHARE: Final = 0.15
"""What the first column may take of the room where it is repeated."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece stands on one page: offsets into its Markdown, and the box around it.

    ``page`` is the page's place in the sequence of pages, ``block`` the block's index on it.
    """

    page: int
    block: int
    ranges: tuple[tuple[int, int], ...]
    box: Box | None
    exact: bool


@dataclass(frozen=True, slots=True)
class TablePiece:
    """A table cut out of a larger one, as pipes."""

    text: str
    places: tuple[Place, ...]


def cut_table(view: TableView, size: Callable[[str], int], room: int) -> Iterator[TablePiece]:
    """Cut a table into pieces.

    Args:
        view: the table.
        size: tokens of a piece's text together with what stands around it.
        room: the most that may be.
    """
    base = size("")
    if any(size(name) - base > _NAME_SHARE * (room - base) for name in view.names):
        rows = [own for row in view.rows for own in _with_header(row)]
        view = TableView((), tuple(rows), ())
    yield from _Cutter(view, size, room).cut(range(len(view.rows)), range(view.columns))


def _with_header(row: TableRow) -> tuple[TableRow, ...]:
    """A row and the header right above it, as rows that cover their own text only."""
    if not row.above:
        return (row,)
    return (*row.above, replace(row, start=row.above[-1].end, above=()))


class _Cutter:
    def __init__(self, view: TableView, size: Callable[[str], int], room: int) -> None:
        self.view = view
        self.size = size
        self.room = room
        self.base = size("")
        self.keyed = self._share(self._key_text()) <= _KEY_SHARE

    def cut(self, rows: Sequence[int], cols: Sequence[int]) -> Iterator[TablePiece]:
        if not self._says_anything(rows, cols):
            return
        text = self._text(rows, cols)
        if self.size(text) <= self.room:
            yield TablePiece(text, self._places(rows, cols))
        elif len(cols) > 1 and len(rows) == 1:
            yield from self._by_columns(rows, cols, self.room)
        elif len(cols) > 1 and self._share("\n".join(self._lines([], cols))) > _HEADER_SHARE:
            room = self.base + int((self.room - self.base) * _HEADER_SHARE)
            yield from self._by_columns(rows, cols, room)
        elif len(rows) > 1:
            yield from self._by_rows(rows, cols)
        else:
            yield from self._cut_cell(rows[0], cols[0])

    def _by_rows(self, rows: Sequence[int], cols: Sequence[int]) -> Iterator[TablePiece]:
        def measure(start: int, end: int) -> int:
            return self.size(self._text(rows[start:end], cols))

        start, line = 0, Line(measure(0, 0))
        while start < len(rows):
            end, line = longest_fit(len(rows), start, measure, self.room, line)
            yield from self.cut(rows[start:end], cols)
            start = end

    def _by_columns(
        self, rows: Sequence[int], cols: Sequence[int], room: int
    ) -> Iterator[TablePiece]:
        """As many columns at a time as fit with a row, or with none but their names."""
        sample = rows if len(rows) == 1 else []

        def measure(start: int, end: int) -> int:
            return self.size(self._text(sample, cols[start:end]))

        start, line = 0, Line(self.base)
        while start < len(cols):
            end, line = longest_fit(len(cols), start, measure, room, line)
            yield from self.cut(rows, cols[start:end])
            start = end

    def _says_anything(self, rows: Sequence[int], cols: Sequence[int]) -> bool:
        named = any(self._header(cols)) and any(self.view.rows[row].above for row in rows)
        return named or any(any(self._shown(row, cols)) for row in rows)

    def _share(self, text: str) -> float:
        """Of the room for tables that a text takes."""
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
        """The first column, where it is not among ``cols`` and short enough to repeat."""
        return [0] if self.keyed and 0 not in cols else []

    def _key_text(self) -> str:
        cells = [row.cells[0] for row in self.view.rows]
        return "\n".join([*self._header([0]), max(cells, key=len, default="")])

    def _cut_cell(self, row: int, col: int) -> Iterator[TablePiece]:
        cell = self.view.rows[row].cells[col]
        write = self._writer(row, col)

        def measure(start: int, end: int) -> int:
            return self.size(write(cell[start:end]))

        places = self._places([row], [col])
        cuts = list(split_text(cell, measure, lambda _: self.room)) or [(0, 0)]
        for number, (start, end) in enumerate(cuts):
            first = start if number else 0
            behind = cuts[number + 1][0] if number + 1 < len(cuts) else len(cell)
            whole = (first, behind) == (0, len(cell))
            parts = places if whole else tuple(_share(p, first, behind, len(cell)) for p in places)
            yield TablePiece(write(cell[start:end]), parts)

    def _writer(self, row: int, col: int) -> Callable[[str], str]:
        """Writes a part of a cell, with as much around it as leaves half of the room."""

        def table(cols: Sequence[int], part: str) -> str:
            line = [*self._shown(row, cols[:-1]), part]
            return "\n".join(pipe_lines(self._header(cols), [line]))

        for cols in ([*self._key([col]), col], [col]):
            if self._share(table(cols, "")) <= 1 / 2:
                return partial(table, cols)
        name = "".join(self._header([col]))
        return lambda part: f"{name}: {part}" if name else part

    # -- places ----------------------------------------------------------------------------

    def _places(self, rows: Sequence[int], cols: Sequence[int]) -> tuple[Place, ...]:
        whole = len(cols) == self.view.columns
        places: list[Place] = []
        for _, group in groupby((self.view.rows[r] for r in rows), key=_where):
            members = list(group)
            ranges: list[tuple[int, int]] = []
            if not whole:
                ranges += _cell_ranges(members[0].above, cols)
            ranges += _row_ranges(members) if whole else _cell_ranges(members, cols)
            first = members[0]
            box, exact = _box(self.view, members)
            places.append(Place(first.page, first.block.index, tuple(ranges), box, exact and whole))
        return tuple(places)


def _where(row: TableRow) -> tuple[int, int]:
    return row.page, row.block.index


def _row_ranges(rows: Sequence[TableRow]) -> list[tuple[int, int]]:
    """One range: rows taken whole follow each other."""
    return [(rows[0].start, rows[-1].end)]


def _cell_ranges(rows: Sequence[TableRow], cols: Sequence[int]) -> list[tuple[int, int]]:
    ranges = []
    for row in rows:
        own = [place for c in cols if (place := row.places[c]) is not None]
        if own:
            ranges.append((own[0][0], own[-1][1]))
    return ranges


def _box(view: TableView, rows: Sequence[TableRow]) -> tuple[Box | None, bool]:
    """Around rows of one page. The first takes the header above it, the last what is below."""
    block = rows[0].block
    if block.box is None:
        return None, True
    same = [row for row in view.rows if _where(row) == _where(rows[0])]
    first, last = rows[0] is same[0], rows[-1] is same[-1]
    top = block.box.y0 if first else rows[0].top
    bottom = block.box.y1 if last else rows[-1].bottom
    box = Box.clipped(block.box.x0, top, block.box.x1, bottom)
    return box, (first and last) or rows[0].exact


def _share(place: Place, start: int, end: int, length: int) -> Place:
    """The part of a cell's place that some of its characters take, by their number."""
    ranges = []
    for a, b in place.ranges[-1:]:
        scale = (b - a) / max(length, 1)
        ranges.append((a + round(start * scale), a + round(end * scale)))
    if start == 0:
        ranges = [*place.ranges[:-1], *ranges]
    return replace(place, ranges=tuple(ranges), exact=place.box is None)
