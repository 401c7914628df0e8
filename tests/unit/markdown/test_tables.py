from __future__ import annotations

from opticalrag.ingest.core.records import Box, TableCell, TableGrid
from opticalrag.ingest.markdown.tables import expand, pipe_lines, render_table, row_edges

from ...builders import grid


def test_a_plain_grid_becomes_pipes_with_a_rule_under_its_first_row() -> None:
    """A grid without spans is rendered as a Markdown pipe table."""
    table = render_table(grid(["Name", "Value"], ["a", "1"], ["b", "2"]))

    assert table == "| Name | Value |\n|---|---|\n| a | 1 |\n| b | 2 |"


def test_a_spanning_cell_makes_it_html_with_one_row_per_line() -> None:
    """A grid with spans is rendered as HTML that keeps them."""
    cells = (
        TableCell(0, 0, "Both", col_span=2),
        TableCell(1, 0, "a"),
        TableCell(1, 1, "<1>"),
    )

    assert render_table(TableGrid(2, 2, cells, header_rows=1)) == (
        '<table>\n<tr><th colspan="2">Both</th></tr>\n'
        "<tr><td>a</td><td>&lt;1&gt;</td></tr>\n</table>"
    )


def test_pipes_and_line_breaks_in_a_cell_cannot_break_the_table() -> None:
    """Characters that are syntax in pipe tables are escaped."""
    assert render_table(grid(["a|b", "c\nd"])).split("\n")[0] == "| a\\|b | c d |"


def test_a_table_without_a_header_has_no_rule() -> None:
    """Only the rows are written."""
    assert pipe_lines([], [["a", "b"]]) == ["| a | b |"]


def test_row_edges_are_the_boxes_of_the_cells() -> None:
    """A row begins at its highest cell; the last row ends at its lowest cell."""
    cells = (
        TableCell(0, 0, "a", box=Box(0.1, 0.2, 0.5, 0.3)),
        TableCell(1, 0, "b", box=Box(0.1, 0.32, 0.5, 0.4)),
    )

    assert row_edges(TableGrid(2, 1, cells)) == (0.2, 0.32, 0.4)


def test_row_edges_are_not_guessed() -> None:
    """A row without a box, or boxes out of order, yield no edges."""
    high, low = Box(0, 0.1, 1, 0.2), Box(0, 0.5, 1, 0.6)

    assert row_edges(TableGrid(2, 1, (TableCell(0, 0, "a", box=high), TableCell(1, 0, "b")))) == ()
    turned = (TableCell(0, 0, "a", box=low), TableCell(1, 0, "b", box=high))
    assert row_edges(TableGrid(2, 1, turned)) == ()


def test_expanding_writes_a_spanning_cell_into_every_slot_it_covers() -> None:
    """Row and column spans are repeated; a span beyond the grid is cut."""
    cells = (TableCell(0, 0, "x", row_span=2), TableCell(0, 1, "y", col_span=9))

    assert expand(TableGrid(2, 3, cells)) == [["x", "y", "y"], ["x", "", ""]]


def test_an_empty_grid_is_still_text() -> None:
    """A grid without cells renders without an error."""
    assert render_table(TableGrid(0, 0, ())) == "|  |\n|---|"
