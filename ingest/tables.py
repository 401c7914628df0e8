"""Tables as text: pipes where a grid is plain, HTML where cells span. Pure.

Every row is one line, so that a range of rows is a slice of the text.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from .types import TableCell, TableGrid

__all__ = ["TableText", "expand", "render_table"]


@dataclass(frozen=True, slots=True)
class TableText:
    """A rendered table.

    ``text[:header_end]`` is what every piece of the table must repeat (header rows, and in
    pipes the rule below them); ``rows`` are the character ranges of the body rows. In HTML,
    what follows the last row closes the table.
    """

    text: str
    header_end: int
    rows: tuple[tuple[int, int], ...]


def expand(grid: TableGrid) -> list[list[str]]:
    """Write every cell's text into every slot it covers.

    Shape: ``grid.rows`` lists of ``grid.cols`` strings.
    """
    slots = [[""] * grid.cols for _ in range(grid.rows)]
    for cell in grid.cells:
        for row in range(cell.row, min(cell.row + cell.row_span, grid.rows)):
            for col in range(cell.col, min(cell.col + cell.col_span, grid.cols)):
                slots[row][col] = cell.text
    return slots


def render_table(grid: TableGrid) -> TableText:
    """Render a grid as Markdown pipes, or as HTML if any cell spans."""
    return _render_html(grid) if grid.has_spans else _render_pipes(grid)


def _render_pipes(grid: TableGrid) -> TableText:
    lines = [_pipe_row(row) for row in expand(grid)]
    # A pipe table has exactly one header row; further ones become its first body rows.
    header = lines[0] if lines else ""
    rule = "|" + "---|" * max(grid.cols, 1)
    return _assemble([header, rule], lines[1:])


def _pipe_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_pipe_cell(cell) for cell in cells) + " |"


def _pipe_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _render_html(grid: TableGrid) -> TableText:
    by_row: list[list[TableCell]] = [[] for _ in range(grid.rows)]
    for cell in sorted(grid.cells, key=lambda c: (c.row, c.col)):
        by_row[cell.row].append(cell)
    lines = [
        _html_row(cells, "th" if row < grid.header_rows else "td")
        for row, cells in enumerate(by_row)
    ]
    head = ["<table>", *lines[: grid.header_rows]]
    body = _assemble(head, lines[grid.header_rows :])
    return TableText(body.text + "\n</table>", body.header_end, body.rows)


def _html_row(cells: Sequence[TableCell], tag: str) -> str:
    return "<tr>" + "".join(_html_cell(cell, tag) for cell in cells) + "</tr>"


def _html_cell(cell: TableCell, tag: str) -> str:
    spans = "".join(
        f' {name}="{value}"'
        for name, value in (("rowspan", cell.row_span), ("colspan", cell.col_span))
        if value > 1
    )
    text = html.escape(" ".join(cell.text.split()), quote=False)
    return f"<{tag}{spans}>{text}</{tag}>"


def _assemble(head: Sequence[str], body: Sequence[str]) -> TableText:
    text = "\n".join(head)
    header_end = len(text)
    rows: list[tuple[int, int]] = []
    for line in body:
        start = len(text) + 1
        text += "\n" + line
        rows.append((start, len(text)))
    return TableText(text, header_end, tuple(rows))
