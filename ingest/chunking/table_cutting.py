"""A table too long for a chunk, cut by rows, then by columns, at last inside a cell. Pure.

Every piece is a table of its own: column names above, spans written out, and in front the first
columns, which say what a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final

from ..core.records import Box
from ..markdown.tables import pipe_lines
from .table_view import TableRow, TableView
from .text_cutting import Line, longest_fit, split_text

__all__ = ["Place", "TablePiece", "cut_table"]

_NAME_SHARE: Final = 0.25
"""A column name longer than this share of the room is no name: it becomes text of a row."""
_HEADER_SHARE: Final = 0.5
"""A header longer than this share of the room is cut by columns before any row is."""
_KEY_SHARE: Final = 0.15
"""What the columns that say which row it is may take of the room where they are repeated."""
_MOST_KEYS: Final = 3  # columns


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
        self.columns = view.columns
        self.edges = _edges(view.rows)
        self.keys = self._key_columns()

    def cut(self, rows: Sequence[int], cols: Sequence[int]) -> Iterator[TablePiece]:
        """Pieces of some rows and columns; key columns that come with others are repeated."""
        if not self._says_anything(rows, cols):
            return
        text = self._text(rows, cols)
        own = [c for c in cols if c not in self.keys] or cols
        if self.size(text) <= self.room:
            yield TablePiece(text, self._places(rows, cols))
        elif len(own) > 1 and len(rows) == 1:
            yield from self._by_columns(rows, cols, own, self.room)
        elif len(own) > 1 and self._share("\n".join(self._lines([], cols))) > _HEADER_SHARE:
            room = self.base + int((self.room - self.base) * _HEADER_SHARE)
            yield from self._by_columns(rows, cols, own, room)
        elif len(rows) > 1:
            for start, end in self._stretches(len(rows), partial(self._rows_size, rows, cols)):
                yield from self.cut(rows[start:end], cols)
        elif self._repeats_keys(rows[0], own[0]):
            yield from self._cut_cell(rows[0], cols)
        else:
            yield from self.cut(rows, cols[:-1])
            yield from self._cut_cell(rows[0], own)

    def _by_columns(
        self, rows: Sequence[int], cols: Sequence[int], own: Sequence[int], room: int
    ) -> Iterator[TablePiece]:
        """As many columns at a time as fit with a row, or with none but their names."""
        sample = rows if len(rows) == 1 else []

        def measure(start: int, end: int) -> int:
            return self.size(self._text(sample, own[start:end]))

        lead = cols[: len(cols) - len(own)]  # they stand in the first piece; others repeat them
        for start, end in self._stretches(len(own), measure, room):
            yield from self.cut(rows, [*lead, *own[start:end]])
            lead = ()

    def _stretches(
        self, length: int, measure: Callable[[int, int], int], room: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """As many at a time as fit."""
        start, line = 0, Line(self.base)
        while start < length:
            end, line = longest_fit(length, start, measure, room or self.room, line)
            yield start, end
            start = end

    def _rows_size(self, rows: Sequence[int], cols: Sequence[int], start: int, end: int) -> int:
        return self.size(self._text(rows[start:end], cols))

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
        """The columns that tell rows apart, but for those among ``cols``."""
        return [c for c in self.keys if c not in cols]

    def _key_columns(self) -> range:
        """The first columns that tell all rows apart, else the first; none if they are long."""
        rows = [row.cells for row in self.view.rows]
        for number in range(1, min(_MOST_KEYS, self.columns - 1) + 1):
            if len({cells[:number] for cells in rows}) == len(rows) and self._is_short(number):
                return range(number)
        return range(int(self.columns > 1 and self._is_short(1)))

    def _is_short(self, number: int) -> bool:
        """Whether the first columns take little room, the longest cells of each together."""
        longest = [max((row.cells[c] for row in self.view.rows), key=len) for c in range(number)]
        return self._share("\n".join([*self._header(range(number)), *longest])) <= _KEY_SHARE

    def _cut_cell(self, row: int, cols: Sequence[int]) -> Iterator[TablePiece]:
        """The last of some cells in parts; those before it stand in front of every part."""
        cell = self.view.rows[row].cells[cols[-1]]
        write = self._writer(row, cols[-1])

        def measure(start: int, end: int) -> int:
            return self.size(write(cell[start:end]))

        (place,) = self._places([row], cols[-1:])
        for before in self._places([row], cols[:-1]) if len(cols) > 1 else ():
            place = replace(place, ranges=tuple(sorted(before.ranges + place.ranges)))
        cuts = list(split_text(cell, measure, lambda _: self.room)) or [(0, 0)]
        for number, (start, end) in enumerate(cuts):
            first = start if number else 0
            behind = cuts[number + 1][0] if number + 1 < len(cuts) else len(cell)
            whole = (first, behind) == (0, len(cell))
            part = place if whole else _share(place, first, behind, len(cell))
            yield TablePiece(write(cell[start:end]), (part,))

    def _writer(self, row: int, col: int) -> Callable[[str], str]:
        """Writes a part of a cell, with as much around it as leaves half of the room."""
        if self._repeats_keys(row, col):
            return partial(self._beside, row, [*self._key([col]), col])
        if self._share(self._beside(row, [col], "")) <= 1 / 2:
            return partial(self._beside, row, [col])
        name = "".join(self._header([col]))
        return lambda part: f"{name}: {part}" if name else part

    def _repeats_keys(self, row: int, col: int) -> bool:
        """Whether the key columns leave room for a cell that is cut."""
        return self._share(self._beside(row, [*self._key([col]), col], "")) <= 1 / 2

    def _beside(self, row: int, cols: Sequence[int], part: str) -> str:
        """A row with a part of a cell as its last."""
        line = [*self._shown(row, cols[:-1]), part]
        return "\n".join(pipe_lines(self._header(cols), [line]))

    # -- places ----------------------------------------------------------------------------

    def _places(self, rows: Sequence[int], cols: Sequence[int]) -> tuple[Place, ...]:
        whole = len(cols) == self.columns
        places: list[Place] = []
        for _, group in groupby((self.view.rows[r] for r in rows), key=_where):
            members = list(group)
            ranges: list[tuple[int, int]] = []
            if not whole:
                ranges += _cell_ranges(members[0].above, cols)
            ranges += _row_ranges(members) if whole else _cell_ranges(members, cols)
            first = members[0]
            box, exact = _box(self.edges, members)
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


def _edges(rows: Sequence[TableRow]) -> dict[tuple[int, int], tuple[TableRow, TableRow]]:
    """The first and last row on each page."""
    edges: dict[tuple[int, int], tuple[TableRow, TableRow]] = {}
    for row in rows:
        first, _ = edges.get(_where(row), (row, row))
        edges[_where(row)] = (first, row)
    return edges


def _box(
    edges: dict[tuple[int, int], tuple[TableRow, TableRow]], rows: Sequence[TableRow]
) -> tuple[Box | None, bool]:
    """Around rows of one page. The first takes the header above it, the last what is below."""
    block = rows[0].block
    if block.box is None:
        return None, True
    top_row, bottom_row = edges[_where(rows[0])]
    first, last = rows[0] is top_row, rows[-1] is bottom_row
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
