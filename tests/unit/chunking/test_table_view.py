from __future__ import annotations

import itertools

from opticalrag.ingest.chunking.table_view import TableView, view_table
from opticalrag.ingest.markdown.parse import parse_markdown


def view(text: str) -> tuple[TableView, str]:
    page = parse_markdown(text)
    block = next(b for b in page.blocks if b.kind.value == "table")
    made = view_table(0, text, block)
    assert made is not None
    return made, text


HTML = (
    '<table><tr><td rowspan="2">Year</td><td colspan="2">Yield</td></tr>'
    "<tr><td>wet</td><td>dry</td></tr>"
    '<tr><td rowspan="2">2020</td><td>1</td><td>2 &amp; 3</td></tr><tr><td>4</td><td>5</td></tr>'
    "</table>"
)


def test_header_rows_of_spans_become_one_name_per_column() -> None:
    """The header of a table with only td tags is inferred from its spans."""
    made, _ = view(HTML)

    assert made.names == ("Year", "Yield / wet", "Yield / dry")


def test_spans_are_written_out_in_every_row() -> None:
    """A row alone has the text of the cells that span it."""
    made, _ = view(HTML)

    assert [row.cells for row in made.rows] == [("2020", "1", "2 & 3"), ("2020", "4", "5")]
    assert made.rows[1].cell_ranges[0] is None


def test_cell_ranges_are_the_source_of_the_cells() -> None:
    """Slices of the page reproduce the cells with their markup."""
    made, text = view("Before.\n\n| a | b |\n|:--|--:|\n| x y | \\| |\n|  | z |\n")
    ranges = [cells for row in made.rows for cells in row.cell_ranges]

    assert [text[a:b] for p in ranges if p for a, b in [p]] == ["x y", "\\|", "", "z"]


def test_rows_cover_the_table_and_end_with_their_line() -> None:
    """The ranges of the rows cover all of the table."""
    made, text = view("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |")

    assert [text[row.start : row.end] for row in made.rows] == [
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "| 3 | 4 |",
    ]


def test_html_rows_end_with_their_tag() -> None:
    """The slice of a row is a complete row."""
    made, text = view(HTML)

    assert text[made.rows[0].start : made.rows[0].end].endswith("2 &amp; 3</td></tr>")
    assert text[made.rows[1].start : made.rows[1].end] == "<tr><td>4</td><td>5</td></tr></table>"


def test_a_header_of_empty_cells_is_dropped() -> None:
    """A pipe table needs a first row; an empty one has no names."""
    made, _ = view("|  |  |\n|---|---|\n| 1 | 2 |")

    assert made.names == ()
    assert made.rows[-1].cells == ("1", "2")


def test_a_title_over_all_columns_is_in_one_name() -> None:
    """Otherwise a full-width first row would be in the name of every column."""
    table, _ = view(
        "<table><tr><td colspan=2>Sizes</td></tr><tr><td>a</td><td>b</td></tr>"
        "<tr><td>1</td><td>2</td></tr></table>"
    )

    assert table.names == ("Sizes / a", "b")


def test_rows_of_a_file_with_carriage_returns_do_not_overlap() -> None:
    """Rows of files with Windows line ends stop at their last bar."""
    table, _ = view("| a | b |\r\n|---|---|\r\n| 1 | 2 |\r\n| 3 | 4 |")

    assert all(x.end <= y.start for x, y in itertools.pairwise(table.rows))
