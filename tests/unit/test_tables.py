from __future__ import annotations

from opticalrag.ingest.tables import expand, render_table
from opticalrag.ingest.types import TableCell, TableGrid

from ..builders import grid


def test_a_plain_grid_becomes_pipes_with_a_rule_under_its_first_row() -> None:
    """A grid without spans is rendered as a Markdown pipe table."""
    table = render_table(grid(["Name", "Value"], ["a", "1"], ["b", "2"]))

    assert table == "| Name | Value |\n|---|---|\n| a | 1 |\n| b | 2 |"
    assert table.text[: table.header_end] == "| Name | Value |\n|---|---|"
    assert [table.text[a:b] for a, b in table.rows] == ["| a | 1 |", "| b | 2 |"]


def test_a_spanning_cell_makes_it_html_with_one_row_per_line() -> None:
    """A grid with spans is rendered as HTML that keeps them."""
    cells = (
        TableCell(0, 0, "Both", col_span=2),
        TableCell(1, 0, "a"),
        TableCell(1, 1, "<1>"),
    )
    table = render_table(TableGrid(2, 2, cells, header_rows=1))

    assert table.text == (
        '<table>\n<tr><th colspan="2">Both</th></tr>\n'
        "<tr><td>a</td><td>&lt;1&gt;</td></tr>\n</table>"
    )
    assert [table.text[a:b] for a, b in table.rows] == ["<tr><td>a</td><td>&lt;1&gt;</td></tr>"]


def test_pipes_and_line_breaks_in_a_cell_cannot_break_the_table() -> None:
    """Characters with a meaning in pipe tables are made harmless."""
    table = render_table(grid(["a|b", "c\nd"]))

    assert table.text.split("\n")[0] == "| a\\|b | c d |"


def test_expanding_writes_a_spanning_cell_into_every_slot_it_covers() -> None:
    """Row and column spans are repeated; a span beyond the grid is cut."""
    cells = (TableCell(0, 0, "x", row_span=2), TableCell(0, 1, "y", col_span=9))

    assert expand(TableGrid(2, 3, cells)) == [["x", "y", "y"], ["x", "", ""]]


def test_an_empty_grid_is_still_text() -> None:
    """A grid without cells renders without raising."""
    assert render_table(TableGrid(0, 0, ())).rows == ()
