from __future__ import annotations

import time

import pytest

from opticalrag.ingest.core.records import TableGrid
from opticalrag.ingest.markdown.table_parsing import parse_html_table, parse_pipe_table, strip_tags
from opticalrag.ingest.markdown.tables import expand


def rows(grid: TableGrid | None) -> list[list[str]]:
    assert grid is not None
    return expand(grid)


def test_a_plain_table_has_one_header_row() -> None:
    """Rows and cells are read, and the first of several rows is the header."""
    grid = parse_html_table(
        "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
    )

    assert rows(grid) == [["a", "b"], ["1", "2"]]
    assert grid is not None
    assert (grid.header_rows, grid.has_spans) == (1, False)


def test_spans_of_the_first_row_make_the_header_deeper() -> None:
    """A cell over two rows, or over two columns, needs a header of two rows."""
    grid = parse_html_table(
        '<table><tr><td rowspan="2">Mode</td><td colspan=2>AP</td></tr>'
        "<tr><td>all</td><td>small</td></tr><tr><td>Base</td><td>1</td><td>2</td></tr></table>"
    )

    assert rows(grid) == [["Mode", "AP", "AP"], ["Mode", "all", "small"], ["Base", "1", "2"]]
    assert grid is not None
    assert grid.header_rows == 2


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<tr><th>a</th></tr><tr><th>b</th></tr><tr><td>1</td></tr>", 2),
        ("<thead><tr><td>a</td></tr><tr><td>b</td></tr></thead><tr><td>1</td></tr>", 2),
        ("<tr><th>a</th><th>b</th></tr><tr><th>x</th><td>1</td></tr>", 1),
        ("<tr><td colspan=2>T</td></tr><tr><td>a</td><td>b</td></tr><tr><td>1</td></tr>", 2),
        ("<tr><td rowspan=3>g</td><td>1</td></tr><tr><td>2</td></tr><tr><td>3</td></tr>", 1),
        ("<tr><td>only</td></tr>", 0),
    ],
    ids=["th", "thead", "row-headers", "colspan", "group-label", "one-row"],
)
def test_header_rows(html: str, expected: int) -> None:
    """Marked rows are the header; otherwise the spans of the first row decide."""
    grid = parse_html_table(f"<table>{html}</table>")

    assert grid is not None
    assert grid.header_rows == expected


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2",
        "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</t",
        "<table><tr><td>a<td>b<tr><td>1<td>2</table>",
        "<tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr>",
        "<TABLE><TR><TD>a</TD><TD>b</TD></TR><TR><TD>1</TD><TD>2</TD></TR></TABLE>",
        "<table><td>a</td><td>b</td><tr><td>1</td><td>2</td><tr></table>",
    ],
    ids=["cut", "cut-tag", "no-end-tags", "no-table", "upper-case", "cells-outside-rows"],
)
def test_missing_tags_are_recovered(html: str) -> None:
    """The grid is the same, whichever end tags are missing."""
    assert rows(parse_html_table(html)) == [["a", "b"], ["1", "2"]]


def test_cells_are_plain_text() -> None:
    """Tags are dropped and entities resolved; formulas and inequalities stay."""
    grid = parse_html_table(
        r"<table><tr><td><b>p</b> a &lt; b &amp; c<br>d</td><td>\(x < y\)</td>"
        "<td>a <b and c> d</td><td>&#99999999999999; <x></td></tr></table>"
    )

    assert rows(grid) == [["p a < b & c d", r"\(x < y\)", "a <b and c> d", "&#99999999999999; <x>"]]


def test_text_outside_cells_is_kept() -> None:
    """Words between the tags get cells of their own."""
    grid = parse_html_table("<table>lost<tr>x<td>a</td>y</tr>z</table>")

    assert rows(grid) == [["lost", "", ""], ["x", "a", "y"], ["z", "", ""]]


def test_a_nested_table_becomes_text_of_its_cell() -> None:
    """The outer grid keeps its shape."""
    inner = "<table><tr><td>1</td><td>2</td></tr></table>"
    grid = parse_html_table(f"<table><tr><td>a {inner} b</td><td>c</td></tr></table>")

    assert rows(grid) == [["a 1 2 b", "c"]]


@pytest.mark.parametrize("html", ["", "<table></table>", "<tr><td> </td></tr>"])
def test_a_table_without_text_is_none(html: str) -> None:
    """A table without any text has no grid."""
    assert parse_html_table(html) is None


def test_overlapping_spans_take_free_slots_only() -> None:
    """A wide cell stops before the slot that a cell from above covers."""
    grid = parse_html_table(
        "<table><tr><td>a</td><td rowspan=2>b</td><td>c</td></tr>"
        "<tr><td colspan=3>d</td><td>e</td></tr></table>"
    )

    assert rows(grid) == [["a", "b", "c"], ["d", "b", "e"]]


def test_an_empty_row_counts_where_a_cell_covers_it() -> None:
    """A row covered from above counts; an uncovered empty row does not."""
    grid = parse_html_table(
        "<table><tr><td rowspan=2>a</td></tr><tr></tr><tr></tr><tr><td>b</td></tr></table>"
    )

    assert rows(grid) == [["a"], ["a"], ["b"]]


def test_hostile_spans_are_bounded() -> None:
    """Spans are cut to the table; with too many slots, spans are ignored."""
    one = parse_html_table("<table><tr><td colspan=1000000 rowspan=1000000>a</td></tr></table>")
    many = parse_html_table("<tr>" + "<td colspan=1000>a</td><td>b</td>" * 100 + "</tr>")

    assert one is not None
    assert (one.rows, one.cols, one.cells[0].col_span) == (1, 1, 1)
    assert many is not None
    assert (many.rows, many.cols, many.has_spans) == (1, 200, False)


def test_a_table_of_too_many_slots_is_none() -> None:
    """A wide row above many rows has no grid, but its words can be read."""
    html = "<tr>" + "<td>a" * 3000 + "<tr><td>b" * 3000

    assert parse_html_table(html) is None
    assert strip_tags(html).split() == ["a"] * 3000 + ["b"] * 3000


@pytest.mark.parametrize(
    "piece",
    ["<table>", "<td>", "<tr>", "<td rowspan=1000>a", "<tr><td rowspan=999>a", "<", "<b =", "&#9"],
)
def test_time_is_linear(piece: str) -> None:
    """200,000 characters of hostile markup are read in a moment."""
    start = time.process_time()
    parse_html_table(piece * (200_000 // len(piece)))

    assert time.process_time() - start < 5


def test_a_pipe_table() -> None:
    """The rule is dropped, an escaped pipe is text, and a short row leaves slots empty."""
    grid = parse_pipe_table("| a | b |\n|:--|---|\n| 1 \\| 2 | 3 |\n| 4 |")

    assert rows(grid) == [["a", "b"], ["1 | 2", "3"], ["4", ""]]
    assert grid is not None
    assert grid.header_rows == 1


@pytest.mark.parametrize("text", ["", "| a |", "| a |\n| b |", "| |\n|-|", "a\n---"])
def test_text_without_a_rule_or_words_is_not_a_pipe_table(text: str) -> None:
    """There is no grid."""
    assert parse_pipe_table(text) is None


@pytest.mark.parametrize("cell", ["td", "th"])
def test_a_caption_is_a_title_over_the_header(cell: str) -> None:
    """A caption is neither the only header row nor the name of the first column."""
    names = f"<tr><{cell}>a</{cell}><{cell}>b</{cell}></tr>"
    grid = parse_html_table(
        f"<table><caption>Sizes</caption>{names}<tr><td>1</td><td>2</td></tr></table>"
    )

    assert rows(grid) == [["Sizes", "Sizes"], ["a", "b"], ["1", "2"]]
    assert grid is not None
    assert grid.header_rows == 2


def test_columns_in_which_no_cell_begins_are_dropped() -> None:
    """A span over a thousand columns yields one column."""
    grid = parse_html_table(
        "<table><tr><td rowspan=900 colspan=1000>a</td></tr>" + "<tr><td>b</td></tr>" * 3
    )

    assert rows(grid) == [["a", ""], ["a", "b"], ["a", "b"], ["a", "b"]]


def test_a_long_table_is_a_grid_however_long_it_is() -> None:
    """The limit of slots applies only to spans."""
    grid = parse_pipe_table("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 40_000)

    assert grid is not None
    assert (grid.rows, grid.cols) == (40_001, 2)


def test_the_alternative_text_of_a_picture_is_text_of_its_cell() -> None:
    """The alt attribute of an img tag is kept."""
    grid = parse_html_table(
        '<table><tr><td>a</td></tr><tr><td><img alt="A pump" src="x"></td></tr></table>'
    )

    assert rows(grid) == [["a"], ["A pump"]]
