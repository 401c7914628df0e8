"""Renders tables: as pipes if the grid is plain, as HTML if cells span. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise

from ..core.records import TableCell, TableGrid

__all__ = ["col_edges", "expand", "pipe_lines", "render_table", "row_edges"]


def expand(grid: TableGrid) -> list[list[str]]:
    """Write every cell's text into all its slots. Shape: ``rows`` lists of ``cols`` strings."""
    slots = [[""] * grid.cols for _ in range(grid.rows)]
    for cell in grid.cells:
        for row in range(cell.row, min(cell.row + cell.row_span, grid.rows)):
            for col in range(cell.col, min(cell.col + cell.col_span, grid.cols)):
                slots[row][col] = cell.text
    return slots


def row_edges(grid: TableGrid) -> tuple[float, ...]:
    """The vertical edges of the rows, from the boxes of their cells, in fractions of the page.

    ``grid.rows + 1`` numbers from top to bottom; empty if a row has no box or if boxes contradict
    each other.
    """
    tops: dict[int, float] = {}
    bottoms: dict[int, float] = {}
    for cell in grid.cells:
        if cell.box is not None:
            last = min(cell.row + cell.row_span, grid.rows) - 1
            tops[cell.row] = min(tops.get(cell.row, 1.0), cell.box.y0)
            bottoms[last] = max(bottoms.get(last, 0.0), cell.box.y1)
    if not grid.rows or not all(row in tops for row in range(grid.rows)):
        return ()
    edges = [*(tops[row] for row in range(grid.rows)), bottoms.get(grid.rows - 1, 0.0)]
    return tuple(edges) if all(a < b for a, b in pairwise(edges)) else ()


def col_edges(grid: TableGrid) -> tuple[float, ...]:
    """The left edges of the columns, and the right edge of the last, from the boxes of cells.

    ``grid.cols + 1`` numbers from left to right, in fractions of the page; empty as for
    :func:`row_edges`.
    """
    lefts: dict[int, float] = {}
    right = 0.0
    for cell in grid.cells:
        if cell.box is not None:
            lefts[cell.col] = min(lefts.get(cell.col, 1.0), cell.box.x0)
            right = max(right, cell.box.x1)
    if not grid.cols or not all(col in lefts for col in range(grid.cols)):
        return ()
    edges = [*(lefts[col] for col in range(grid.cols)), right]
    return tuple(edges) if all(a < b for a, b in pairwise(edges)) else ()


def render_table(grid: TableGrid) -> str:
    """Render a grid as Markdown pipes, or as HTML if any cell spans; one line per row."""
    if grid.has_spans:
        return _render_html(grid)
    # A pipe table has exactly one header row, whatever the grid says.
    first, *body = expand(grid) or [[""]]
    return "\n".join(pipe_lines(first, body))


def pipe_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a pipe table. Without a header there is no rule either."""
    head = [_pipe_row(header), "|" + "---|" * len(header)] if header else []
    return [*head, *(_pipe_row(row) for row in rows)]


def _pipe_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"


def _render_html(grid: TableGrid) -> str:
    rows: list[list[str]] = [[] for _ in range(grid.rows)]
    for cell in sorted(grid.cells, key=lambda c: c.col):
        rows[cell.row].append(_html_cell(cell, "th" if cell.row < grid.header_rows else "td"))
    return "\n".join(["<table>", *(f"<tr>{''.join(cells)}</tr>" for cells in rows), "</table>"])


def _html_cell(cell: TableCell, tag: str) -> str:
    spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
    spans += f' colspan="{cell.col_span}"' if cell.col_span > 1 else ""
    text = html.escape(" ".join(cell.text.split()), quote=False)
    return f"<{tag}{spans}>{text}</{tag}>"
