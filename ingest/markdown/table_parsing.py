"""Tables written as HTML or pipes, read into grids. Pure, in linear time, and never raising.

The tags are found by one regular expression instead of :mod:`html.parser`: that parser takes
``a <b and c> d`` for a tag and drops the words, goes back over unclosed markup again and again,
and does so differently from one Python version to the next.
"""

from __future__ import annotations

import html as html_entities
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..core.records import TableCell, TableGrid

__all__ = [
    "PlacedTable",
    "is_pipe_rule",
    "parse_pipe_table",
    "parse_table",
    "place_pipe_table",
    "place_table",
    "strip_tags",
]

# More slots than any page holds; a table of fewer cells that needs more has a run-away span.
_MAX_SLOTS = 65_536
# Slots a cell may have room for where rows are of different lengths.
_MOST_EMPTY = 4
# What the HTML standard cuts a colspan to.
_MAX_SPAN = 1000
# A first row that reaches deeper labels groups of body rows; it is no header.
_DEEPEST_HEADER = 4

_STRUCTURE = frozenset({"table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"})
_INLINE = frozenset(
    {"b", "i", "u", "s", "em", "strong", "sup", "sub", "small", "font", "span", "a"}
)
_BREAKS = frozenset({"br", "p", "div", "center", "hr", "ul", "ol", "li", "col", "colgroup", "img"})
_TAG = re.compile(
    r"<(/?)(" + "|".join(sorted(_STRUCTURE | _INLINE | _BREAKS)) + r")\b([^<>]*)(?:>|\Z)",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*([0-9]{1,4})", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*([\"'])(.{0,500}?)\1", re.IGNORECASE | re.DOTALL)
# Bounded, because int() refuses the digits of a hostile reference.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_PIPE = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table read from a text, and where in it each cell was read.

    ``places[i]`` is the character range that gave ``grid.cells[i]``; ranges follow each other.
    """

    grid: TableGrid
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    row_span: int = 1
    col_span: int = 1
    header: bool = False
    place: tuple[int, int] = (0, 0)


_Rows = Sequence[Sequence[_Cell]]


def parse_table(html: str) -> TableGrid | None:
    """Read an HTML table as a model writes it: with tags left out, or cut short.

    Tags inside cells are reduced to text, and text outside cells becomes a cell, so that no
    word is lost. A cell that would cover a taken slot is made narrower. Header rows are those
    marked by ``thead`` or ``th``, else as many as the spans of the first row ask for.

    Returns:
        The grid, without last rows and columns in which no cell begins; or None if no cell
        has text, or if the table has more slots than a page can hold.
    """
    placed = place_table(html)
    return placed.grid if placed else None


def place_table(html: str) -> PlacedTable | None:
    """The same as :func:`parse_table`, with the place of each cell."""
    reader = _RowReader()
    for event in _events(_without_cut_tag(html)):
        reader.read(event)
    return _to_grid(reader.finish(len(html)))


def parse_pipe_table(text: str) -> TableGrid | None:
    r"""Read a Markdown table: a header row, the rule below it, and body rows.

    A pipe inside a cell is written ``\|``.

    Returns:
        The grid, or None if there is no rule in the second line, no text, or too many slots.
    """
    placed = place_pipe_table(text)
    return placed.grid if placed else None


def place_pipe_table(text: str) -> PlacedTable | None:
    """The same as :func:`parse_pipe_table`, with the place of each cell."""
    lines: list[tuple[int, str]] = []
    offset = 0
    for line in text.split("\n"):
        if line.strip():
            lines.append((offset, line))
        offset += len(line) + 1
    if len(lines) < 2 or not is_pipe_rule(lines[1][1]):
        return None
    head, *body = [_pipe_cells(line, start) for start, line in (lines[0], *lines[2:])]
    return _to_grid([[replace(cell, header=True) for cell in head], *body])


def is_pipe_rule(line: str) -> bool:
    """Whether a line is the rule below a pipe table's header, as ``|---|:-:|``."""
    return "-" in line and "|" in line and not line.strip(" \t\r|:-")


def strip_tags(html: str) -> str:
    """The words of an HTML table, for one that is not a grid."""
    return " ".join(_unescape("".join(" " if e.tag else e.value for e in _events(html))).split())


def _pipe_cells(line: str, offset: int) -> list[_Cell]:
    edges = [m.start() for m in _PIPE.finditer(line)]
    first = len(line) - len(line.lstrip())
    if not line.startswith("|", first):
        edges.insert(0, first - 1)
    edges.append(len(line))
    cells = [_pipe_cell(line, offset, a + 1, b) for a, b in pairwise(edges)]
    if len(cells) > 1 and not cells[-1].text:
        cells.pop()
    return cells


def _pipe_cell(line: str, offset: int, start: int, end: int) -> _Cell:
    inner = line[start:end]
    text = inner.strip()
    start += len(inner) - len(inner.lstrip()) if text else 0
    place = (offset + start, offset + start + len(text))
    return _Cell(text.replace("\\|", "|"), place=place)


def _without_cut_tag(html: str) -> str:
    """Leave out a table's tag that was cut off in its name: ``…</t``."""
    at = html.rfind("<")
    tail = html[at:].lower() if at >= 0 else ""
    cut = tail and any(
        f"<{slash}{name}".startswith(tail) for name in _STRUCTURE for slash in ("", "/")
    )
    return html[:at] if cut else html


@dataclass(frozen=True, slots=True)
class _Event:
    """A tag with its attributes, or a text under the empty tag; and where it stands."""

    tag: str
    value: str
    start: int
    end: int


def _events(html: str) -> Iterator[_Event]:
    position = 0
    for match in _TAG.finditer(html):
        slash, name, attributes = match[1], match[2].lower(), match[3]
        # ``a <b and c> d`` is an inequality, ``<b class="x">`` a tag.
        if name not in _STRUCTURE and attributes.strip(" /") and "=" not in attributes:
            continue
        yield _Event("", html[position : match.start()], position, match.start())
        yield _Event(slash + name, attributes, *match.span())
        position = match.end()
    yield _Event("", html[position:], position, len(html))


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda match: html_entities.unescape(match[0]), text)


class _RowReader:
    """Sorts text into cells and cells into rows, whatever tags are missing."""

    def __init__(self) -> None:
        self._rows: list[list[_Cell]] = []
        self._row: list[_Cell] | None = None
        self._text: list[str] = []
        self._cell: _Cell | None = None
        self._start = 0  # where the text of the cell begins
        self._nested = 0
        self._in_head = False
        self._titled = False

    def read(self, event: _Event) -> None:
        """Take one tag or text."""
        tag, name = event.tag, event.tag.removeprefix("/")
        if not tag:
            self._text.append(event.value)
        elif self._nested or (tag == "table" and self._cell is not None):
            self._nest(tag)
        elif name in ("td", "th"):
            self._end_cell(event.start)
            self._cell = None if tag != name else self._begin_cell(name, event.value)
            self._start = event.end
        elif name in _STRUCTURE:
            self._end_row(tag, event.start)
            self._start = event.end
        elif name in _BREAKS:
            shown = _ALT.search(event.value) if name == "img" else None
            self._text.append(f" {shown[2]} " if shown else " ")

    def finish(self, end: int) -> list[list[_Cell]]:
        """The rows, once all is read up to ``end``."""
        self._end_row("/table", end)
        if self._titled and len(self._rows) > 1:
            self._rows[0] = [_over_all(self._rows[0], self._rows[1:])]
        return self._rows

    def _nest(self, tag: str) -> None:
        self._nested += (tag == "table") - (tag == "/table")
        self._text.append(" ")

    def _begin_cell(self, name: str, attributes: str) -> _Cell:
        spans = {m[1].lower(): int(m[2]) for m in _SPAN.finditer(attributes)}
        rows, cols = (min(max(spans.get(axis, 1), 1), _MAX_SPAN) for axis in ("row", "col"))
        return _Cell("", rows, cols, header=self._in_head or name == "th")

    def _end_cell(self, end: int) -> None:
        text = " ".join(_unescape("".join(self._text)).split())
        self._text.clear()
        # Text outside any cell gets a cell of its own.
        cell = self._cell or (_Cell("", header=self._in_head) if text else None)
        self._cell = None
        if cell is not None:
            if self._row is None:
                self._row = []
            self._row.append(replace(cell, text=text, place=(self._start, end)))

    def _end_row(self, tag: str, end: int) -> None:
        self._end_cell(end)
        if self._row is not None:
            self._titled = self._titled or (tag == "/caption" and not self._rows)
            self._rows.append(self._row)
        self._row = [] if tag == "tr" else None
        if tag.endswith(("thead", "tbody", "table")):
            self._in_head = tag == "thead"


def _over_all(title: Sequence[_Cell], rows: _Rows) -> _Cell:
    """A caption as a header cell over all columns, for a grid has no other place for it."""
    width = max(sum(cell.col_span for cell in row) for row in rows)
    return replace(title[0], col_span=width, header=all(cell.header for cell in rows[0]))


def _to_grid(rows: _Rows) -> PlacedTable | None:
    if not any(cell.text for row in rows for cell in row):
        return None
    # With spans that would need more slots than a page can hold, as if there were none.
    cells = sum(map(len, rows))
    return _place(rows, max(_MAX_SLOTS, cells)) or _place(
        [[replace(cell, row_span=1, col_span=1) for cell in row] for row in rows],
        max(_MAX_SLOTS, _MOST_EMPTY * cells),
    )


def _place(rows: _Rows, most: int) -> PlacedTable | None:
    """Give each cell the next free slot of its row; None if there are too many slots."""
    cells: list[TableCell] = []
    places: list[tuple[int, int]] = []
    free_from: list[int] = []  # by column: the first row that no cell from above covers
    covered = number = marked = 0
    for row in rows:
        if not row and covered <= number:
            continue
        col = 0
        for cell in row:
            start, col = _next_slots(free_from, number, col, cell.col_span)
            if (number + 1) * max(col, len(free_from)) > most:
                return None
            free_from.extend([0] * (col - len(free_from)))
            free_from[start:col] = [number + cell.row_span] * (col - start)
            cells.append(TableCell(number, start, cell.text, cell.row_span, col - start))
            places.append(cell.place)
        covered = max([covered, *(number + cell.row_span for cell in row)])
        # Rows are marked as header rows from the top, without a gap.
        marked += marked == number and all(cell.header for cell in row)
        number += 1
    return PlacedTable(_trim(cells, marked), tuple(places))


def _next_slots(free_from: Sequence[int], row: int, col: int, span: int) -> tuple[int, int]:
    """The free columns from ``col`` on, at most ``span`` of them: first and behind the last."""
    while col < len(free_from) and free_from[col] > row:
        col += 1
    end = col + 1
    while end < col + span and (end >= len(free_from) or free_from[end] <= row):
        end += 1
    return col, end


def _trim(cells: Sequence[TableCell], marked: int) -> TableGrid:
    """Leave out the last rows, and all columns, in which no cell begins."""
    rows = max(cell.row for cell in cells) + 1
    cols = sorted({cell.col for cell in cells})
    cut = []
    for cell in cells:
        col, behind = (bisect_left(cols, place) for place in (cell.col, cell.col + cell.col_span))
        below = min(cell.row + cell.row_span, rows)
        cut.append(TableCell(cell.row, col, cell.text, below - cell.row, behind - col))
    return TableGrid(rows, len(cols), tuple(cut), _header_rows(cut, rows, marked))


def _header_rows(cells: Sequence[TableCell], rows: int, marked: int) -> int:
    if rows < 2:
        return 0
    first = [cell for cell in cells if cell.row == 0]
    depth = marked
    if not 0 < marked < rows:
        # A heading over several columns has their names below it.
        below = 2 if any(cell.col_span > 1 for cell in first) else 1
        depth = max(below, *(cell.row_span for cell in first))
        depth = depth if depth < rows and depth <= _DEEPEST_HEADER else 1
    # No span may reach from the header into the body.
    reach = max(cell.row + cell.row_span for cell in cells if cell.row < depth)
    return reach if reach < rows and reach <= _DEEPEST_HEADER else depth
