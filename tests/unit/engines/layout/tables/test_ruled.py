"""Tables whose cells are drawn."""

from __future__ import annotations

from itertools import pairwise, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.geometry import Rect

from .drawn import Sheet, filled, rows, spans, tables

Cell = tuple[int, int, int, int]  # row, column, row span, column span


def draw(cells: dict[Cell, str], xs: list[float], ys: list[float], style: str = "frames") -> Sheet:
    """Draw cells with frames, with single lines, or as coloured areas with gaps."""
    sheet = Sheet(size=7)
    for (row, col, high, wide), text in cells.items():
        x0, y0, x1, y1 = xs[col], ys[row], xs[col + wide], ys[row + high]
        if style == "frames":
            sheet.box(x0, y0, x1, y1)
        elif style == "areas":
            sheet.area(x0 + 1, y0 + 1, x1 - 1, y1 - 1, 0xDDDDDD)
        else:
            for ends in ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)):
                sheet.line(*ends)
        lines = text.count("\n") + 1
        sheet.text((x0 + x1) / 2, (y0 + y1) / 2 - 4 * lines, text, align="centre")
    return sheet


def around(xs: list[float], ys: list[float]) -> Rect:
    return (xs[0] + 4, ys[0] + 4, xs[-1] - 4, ys[-1] - 4)


XS = [50.0, 130.0, 220.0, 300.0, 390.0, 470.0]
SEASONS: dict[Cell, str] = {
    (0, 0, 2, 1): "Species",
    (0, 1, 1, 2): "Spring",
    (0, 3, 1, 2): "Autumn",
    (1, 1, 1, 1): "Tons",
    (1, 2, 1, 1): "Price",
    (1, 3, 1, 1): "Weight",
    (1, 4, 1, 1): "Sum",
    (2, 0, 1, 1): "Cod",
    (2, 1, 1, 1): "17",
    (2, 2, 1, 1): "6.20",
    (2, 3, 1, 1): "19",
    (2, 4, 1, 1): "6.05",
}


@pytest.mark.parametrize("style", ["frames", "lines", "areas"])
def test_drawn_spans_and_header_rows_are_kept(style: str) -> None:
    """Cells are what rules enclose: a heading over two columns, a label beside two rows."""
    ys = [100.0, 124.0, 150.0, 171.0]
    (table,) = tables(draw(SEASONS, XS, ys, style), around(XS, ys))
    grid = filled(table, draw(SEASONS, XS, ys).words)
    assert (grid.rows, grid.cols, grid.header_rows) == (3, 5, 2)
    assert spans(grid) == {"Species": (2, 1), "Spring": (1, 2), "Autumn": (1, 2)}
    assert {(c.row, c.col, c.row_span, c.col_span): c.text for c in grid.cells} == SEASONS


def test_a_label_beside_several_rows_spans_them() -> None:
    """A label between two rules spans all rows between them."""
    xs, ys = XS[:4], [100.0 + 18 * i for i in range(7)]
    cells: dict[Cell, str] = {(0, i, 1, 1): t for i, t in enumerate(("Region", "Port", "Ships"))}
    cells |= {(1, 0, 3, 1): "North", (4, 0, 2, 1): "South"}
    for row in range(1, 6):
        cells |= {(row, 1, 1, 1): f"Port {row}", (row, 2, 1, 1): str(row)}
    (table,) = tables(draw(cells, xs, ys, "lines"), around(xs, ys))
    grid = filled(table, draw(cells, xs, ys).words)
    assert spans(grid) == {"North": (3, 1), "South": (2, 1)}
    assert grid.header_rows == 1


@pytest.mark.parametrize("style", ["frames", "lines"])
@pytest.mark.parametrize(
    "values", [("98 %, n=2\n\n(97 %, n=3)", "16 s\n\n(19 s)"), ("0.41\n(0.03)", "1.7\n(0.2)")]
)
def test_a_drawn_cell_with_paragraphs_is_one_cell(style: str, values: tuple[str, str]) -> None:
    """Text never splits a row that rules enclose."""
    xs, ys = XS[:4], [100.0, 120.0, 140.0, 180.0, 200.0]
    texts = [("Group", "Share", "Time"), ("Deck", "34 %", "12 s")]
    texts += [("Engine", *values), ("Galley", "95 %", "17 s")]
    cells: dict[Cell, str] = {
        (r, c, 1, 1): t for r, line in enumerate(texts) for c, t in enumerate(line)
    }
    sheet = draw(cells, xs, ys, style)
    (table,) = tables(sheet, around(xs, ys))
    expected = [[" ".join(t.split()) for t in line] for line in texts]
    assert rows(filled(table, sheet.words)) == expected


def test_rows_without_rules_between_them_are_rows() -> None:
    """Under a header, one box for each column holds several rows of numbers."""
    xs, ys = XS[:4], [100.0, 120.0, 180.0]
    cells: dict[Cell, str] = {
        (0, 0, 1, 1): "Year",
        (0, 1, 1, 1): "Ships",
        (0, 2, 1, 1): "Boats",
        (1, 0, 1, 1): "1901\n1902\n1903\n1904",
        (1, 1, 1, 1): "12\n15\n19\n20",
        (1, 2, 1, 1): "1,200\n950\n12\n1",
    }
    sheet = draw(cells, xs, ys)
    (table,) = tables(sheet, around(xs, ys))
    assert rows(filled(table, sheet.words))[1:] == [
        ["1901", "12", "1,200"],
        ["1902", "15", "950"],
        ["1903", "19", "12"],
        ["1904", "20", "1"],
    ]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (("Port", "2015", "2016"), 1),
        (("Port", "Ships", "Boats"), 1),
        (("Tarn", "12", "1,200"), 0),
    ],
)
def test_a_first_row_of_years_or_names_is_a_header(first: tuple[str, ...], expected: int) -> None:
    """A first row with values is none: the table goes on from the page before."""
    xs, ys = XS[:4], [100.0, 120.0, 140.0, 160.0]
    lines = [first, ("Brill", "15", "950"), ("Merle", "19", "12")]
    cells: dict[Cell, str] = {
        (r, c, 1, 1): t for r, line in enumerate(lines) for c, t in enumerate(line)
    }
    sheet = draw(cells, xs, ys)
    (table,) = tables(sheet, around(xs, ys))
    assert filled(table, sheet.words).header_rows == expected


@pytest.mark.parametrize("empty", [1, 2, 3])
def test_empty_last_columns_are_kept(empty: int) -> None:
    """A table grows to its rules: the model sees only the columns with text."""
    ys = [100.0 + 20 * i for i in range(6)]
    cells: dict[Cell, str] = {
        (r, c, 1, 1): f"{r}.{c}" if c < 5 - empty else "" for r, c in product(range(5), range(5))
    }
    seen = (XS[0], ys[0], XS[5 - empty], ys[-1])
    (table,) = tables(draw(cells, XS, ys), seen)
    assert table.plan is not None
    assert (table.plan.rows, table.plan.cols) == (5, 5)
    assert table.rect[2] == pytest.approx(XS[-1], abs=1)


@pytest.mark.parametrize("style", ["frames", "lines", "areas"])
def test_a_drawn_table_that_the_model_missed_is_found(style: str) -> None:
    """Two by two closed cells with text are a table."""
    ys = [100.0, 124.0, 148.0]
    cells: dict[Cell, str] = {(r, c, 1, 1): f"cell {r}{c}" for r, c in product(range(2), range(3))}
    (table,) = tables(draw(cells, XS[:4], ys, style))
    assert table.plan is not None
    assert (table.plan.rows, table.plan.cols) == (2, 3)


def test_a_form_is_not_a_table() -> None:
    """Boxes of all lengths, most of them empty, are a form."""
    sheet = Sheet()
    for row, lengths in enumerate([(120, 300), (200, 220), (60, 90, 270), (310, 110), (150, 270)]):
        x = 50.0
        for i, length in enumerate(lengths):
            sheet.box(x, 100 + 30 * row, x + length, 130 + 30 * row)
            if not i:
                sheet.text(x + 3, 103 + 30 * row, f"Field {row}")
            x += length
    assert tables(sheet) == []


def test_the_grid_of_a_chart_is_not_a_table() -> None:
    """Lines without text between them do not make a table."""
    sheet = Sheet()
    for i in range(6):
        sheet.line(100, 100 + 30 * i, 350, 100 + 30 * i)
        sheet.line(100 + 50 * i, 100, 100 + 50 * i, 250)
        sheet.text(95, 95 + 30 * i, str(50 - 10 * i), align="right")
    assert tables(sheet) == []


@pytest.mark.parametrize("wide", [60, 80, 110])
@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (
            ["Ropes Ltd", "Offices:", "Sails Co", "One office"],
            (("City", "Phone"), ("Tarn", "11-20")),
        ),
        (
            ["Amont", "Relevés :", "Aval", "aucun"],
            (("Mois", "Niveau"), ("mai", "1,20"), ("juin", "1,35")),
        ),
        (["Tor 1", "", "Tor 2", "Siehe Tor 1"], (("Tag", "Stand"), ("3.5.", "112"))),
    ],
)
def test_a_table_in_a_cell_is_the_text_of_the_cell(
    outer: list[str], inner: tuple[tuple[str, str], ...], wide: int
) -> None:
    """The inner table is read row by row."""
    sheet = Sheet()
    foot = 150 + 24 * len(inner)
    for x0, y0, x1, y1 in ((50, 100, 150, foot), (150, 100, 450, foot), (50, foot, 150, foot + 30)):
        sheet.box(x0, y0, x1, y1)
    sheet.box(150, foot, 450, foot + 30)
    spots = ((54, 104), (154, 104), (54, foot + 4), (154, foot + 4))
    for (x, y), text in zip(spots, outer, strict=True):
        sheet.text(x, y, text)
    for (r, line), c in product(enumerate(inner), range(2)):
        sheet.box(170 + wide * c, 130 + 24 * r, 170 + wide * (c + 1), 154 + 24 * r)
        sheet.text(174 + wide * c, 134 + 24 * r, line[c])
    (table,) = tables(sheet, (52, 102, 440, foot + 28))
    held = " ".join(filter(None, (outer[1], *(" ".join(line) for line in inner))))
    assert rows(filled(table, sheet.words)) == [[outer[0], held], outer[2:]]


@st.composite
def grids(draw_from: st.DrawFn) -> tuple[dict[Cell, str], list[float], list[float]]:
    """Cells that tile a grid, some of them over several rows or columns."""
    count = draw_from(st.tuples(st.integers(2, 5), st.integers(2, 5)))
    xs, ys = (
        [50.0 + sum(steps[:i]) for i in range(len(steps) + 1)]
        for steps in (
            draw_from(st.lists(st.integers(34, 80), min_size=n, max_size=n)) for n in count
        )
    )
    free = set(product(range(count[1]), range(count[0])))
    cells: dict[Cell, str] = {}
    while free:
        row, col = min(free)
        high, wide = draw_from(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        spots = set(product(range(row, row + high), range(col, col + wide)))
        if not spots <= free:
            high = wide = 1
            spots = {(row, col)}
        cells[(row, col, high, wide)] = f"{row}x{col}"
        free -= spots
    return cells, xs, ys


@settings(max_examples=60, deadline=None)
@given(grids(), st.sampled_from(["frames", "lines"]), st.randoms(use_true_random=False))
def test_the_spans_of_any_drawn_grid_are_found(
    grid: tuple[dict[Cell, str], list[float], list[float]], style: str, random: Random
) -> None:
    """The plan has the cells that were drawn, in whatever order, and loses no line in use."""
    cells, xs, ys = grid
    sheet = draw(cells, xs, ys, style)
    random.shuffle(sheet.drawings)
    used_x = sorted({v for _, c, _, w in cells for v in (c, c + w)})
    used_y = sorted({v for r, _, h, _ in cells for v in (r, r + h)})
    if len(used_x) < 3:
        return  # a table has at least two columns
    (table,) = tables(sheet, around(xs, ys))
    expected = {
        (
            used_y.index(r),
            used_x.index(c),
            used_y.index(r + h) - used_y.index(r),
            used_x.index(c + w) - used_x.index(c),
        ): text
        for (r, c, h, w), text in cells.items()
    }
    found = filled(table, sheet.words).cells
    assert {(c.row, c.col, c.row_span, c.col_span): c.text for c in found} == expected
    assert all(a < b for a, b in pairwise(used_x))
