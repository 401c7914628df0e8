"""Reads HTML and pipe tables into grids. Pure, in linear time; never raises.

One regular expression finds the tags instead of :mod:`html.parser`. That parser takes
``a <b and c> d`` for a tag and drops the words, rescans unclosed markup again and again, and
behaves differently from one Python version to the next.
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
    "LocatedTable",
    "is_pipe_rule",
    "locate_table",
    "parse_html_table",
    "parse_pipe_table",
    "strip_tags",
]

_MAX_SLOTS = 65_536
"""More slots than any page holds. A table with fewer cells needs more only for a runaway span."""
_MOST_EMPTY = 4
"""Slots per cell that a table may take when its rows differ in length."""
_MAX_SPAN = 1000
"""The HTML standard's upper bound of ``colspan``."""
_DEEPEST_HEADER = 4
"""Rows. A first row that spans more labels a group of body rows and is not a header."""

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
# Bounded, because int() refuses very long digit strings in a hostile reference.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_PIPE = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class LocatedTable:
    """A table and the character range that each of its cells was read from.

    ``cell_ranges[i]`` belongs to ``grid.cells[i]``. The ranges ascend and do not overlap.
    """

    grid: TableGrid
    cell_ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    row_span: int = 1
    col_span: int = 1
    header: bool = False
    range: tuple[int, int] = (0, 0)


_Rows = Sequence[Sequence[_Cell]]


def parse_html_table(html: str) -> TableGrid | None:
    """Read an HTML table as models write it: some tags missing, or the end cut off.

    Tags inside cells are dropped and their text stays. Text outside cells becomes a cell, so
    no word is lost. A cell that would overlap a taken slot is made narrower. Rows marked by
    ``thead`` or ``th`` are header rows; without such marks, the spans of the first row decide.

    Returns:
        The grid, without trailing rows and without columns in which no cell begins. None if no
        cell has text, or if the table has more slots than a page can hold.
    """
    located = _locate_html(html)
    return located.grid if located else None


def parse_pipe_table(text: str) -> TableGrid | None:
    r"""Read a Markdown table: a header row, the rule below it, and body rows, with ``\|`` in cells.

    Returns:
        The grid. None if the second line is not a rule, if no cell has text, or if there are
        too many slots.
    """
    located = _locate_pipes(text)
    return located.grid if located else None


def locate_table(text: str) -> LocatedTable | None:
    """As :func:`parse_html_table` or :func:`parse_pipe_table`, with each cell's source range."""
    return _locate_html(text) if text.lstrip().startswith("<") else _locate_pipes(text)


def _locate_html(html: str) -> LocatedTable | None:
    reader = _RowReader()
    for event in _events(_without_cut_tag(html)):
        reader.read(event)
    return _to_grid(reader.finish(len(html)))


def _locate_pipes(text: str) -> LocatedTable | None:
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
    """Whether a line is the rule below a pipe table's header, such as ``|---|:-:|``."""
    return "-" in line and "|" in line and not line.strip(" \t\r|:-")


def strip_tags(html: str) -> str:
    """The words of an HTML table that does not parse as a grid."""
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
    return _Cell(text.replace("\\|", "|"), range=(offset + start, offset + start + len(text)))


def _without_cut_tag(html: str) -> str:
    """Drop a table tag whose name is cut off at the end of the text: ``…</t``."""
    at = html.rfind("<")
    tail = html[at:].lower() if at >= 0 else ""
    tags = (f"<{slash}{name}" for name in _STRUCTURE for slash in ("", "/"))
    return html[:at] if tail and any(tag.startswith(tail) for tag in tags) else html


@dataclass(frozen=True, slots=True)
class _Event:
    """A tag with its attributes, or text (``tag`` is empty), and its character range."""

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
    """Collects text into cells and cells into rows, even if tags are missing."""

    def __init__(self) -> None:
        self._rows: list[list[_Cell]] = []
        self._row: list[_Cell] | None = None
        self._text: list[str] = []
        self._cell: _Cell | None = None
        self._start = 0  # offset at which the cell's text begins
        self._nested = 0
        self._in_head = False
        self._titled = False

    def read(self, event: _Event) -> None:
        """Take the next tag or text."""
        tag, name = event.tag, event.tag.removeprefix("/")
        if not tag:
            self._text.append(event.value)
        elif self._nested or (tag == "table" and self._cell is not None):
            self._nested += (tag == "table") - (tag == "/table")
            self._text.append(" ")
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
        """The rows, after everything up to offset ``end`` was read."""
        self._end_row("/table", end)
        if self._titled and len(self._rows) > 1:
            self._rows[0] = [_over_all(self._rows[0], self._rows[1:])]
        return self._rows

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
            self._row = self._row or []
            self._row.append(replace(cell, text=text, range=(self._start, end)))

    def _end_row(self, tag: str, end: int) -> None:
        self._end_cell(end)
        if self._row is not None:
            self._titled = self._titled or (tag == "/caption" and not self._rows)
            self._rows.append(self._row)
        self._row = [] if tag == "tr" else None
        if tag.endswith(("thead", "tbody", "table")):
            self._in_head = tag == "thead"


def _over_all(title: Sequence[_Cell], rows: _Rows) -> _Cell:
    """Make a caption a header cell over all columns: a grid has no field for captions."""
    width = max(sum(cell.col_span for cell in row) for row in rows)
    return replace(title[0], col_span=width, header=all(cell.header for cell in rows[0]))


def _to_grid(rows: _Rows) -> LocatedTable | None:
    if not any(cell.text for row in rows for cell in row):
        return None
    # If the spans need more slots than a page can hold, ignore them.
    cells = sum(map(len, rows))
    return _assign_slots(rows, max(_MAX_SLOTS, cells)) or _assign_slots(
        [[replace(cell, row_span=1, col_span=1) for cell in row] for row in rows],
        max(_MAX_SLOTS, _MOST_EMPTY * cells),
    )


def _assign_slots(rows: _Rows, most: int) -> LocatedTable | None:
    """Give each cell the next free slot of its row; None if that takes too many slots."""
    cells: list[TableCell] = []
    ranges: list[tuple[int, int]] = []
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
            ranges.append(cell.range)
        covered = max([covered, *(number + cell.row_span for cell in row)])
        # Rows are marked as header rows from the top, without a gap.
        marked += marked == number and all(cell.header for cell in row)
        number += 1
    return LocatedTable(_trim(cells, marked), tuple(ranges))


def _next_slots(free_from: Sequence[int], row: int, col: int, span: int) -> tuple[int, int]:
    """The first run of free columns from ``col`` on, at most ``span`` wide: start and end."""
    while col < len(free_from) and free_from[col] > row:
        col += 1
    end = col + 1
    while end < col + span and (end >= len(free_from) or free_from[end] <= row):
        end += 1
    return col, end


def _trim(cells: Sequence[TableCell], marked: int) -> TableGrid:
    """Drop trailing rows, and all columns, in which no cell begins."""
    rows = max(cell.row for cell in cells) + 1
    cols = sorted({cell.col for cell in cells})
    trimmed = []
    for cell in cells:
        left = bisect_left(cols, cell.col)
        right = bisect_left(cols, cell.col + cell.col_span)
        below = min(cell.row + cell.row_span, rows)
        trimmed.append(TableCell(cell.row, left, cell.text, below - cell.row, right - left))
    return TableGrid(rows, len(cols), tuple(trimmed), _header_rows(trimmed, rows, marked))


def _header_rows(cells: Sequence[TableCell], rows: int, marked: int) -> int:
    if rows < 2:
        return 0
    first = [cell for cell in cells if cell.row == 0]
    depth = marked
    if not 0 < marked < rows:
        # A heading over several columns has the column names below it.
        below = 2 if any(cell.col_span > 1 for cell in first) else 1
        depth = max(below, *(cell.row_span for cell in first))
        depth = depth if depth < rows and depth <= _DEEPEST_HEADER else 1
    # No span may reach from the header into the body.
    reach = max(cell.row + cell.row_span for cell in cells if cell.row < depth)
    return reach if reach < rows and reach <= _DEEPEST_HEADER else depth
