"""Tables whose cells are not drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.core.records import TableGrid
from opticalrag.ingest.engines.layout.geometry import union
from opticalrag.ingest.engines.layout.tables.phrases import is_amount, lines_of

from .drawn import Sheet, filled, rows, spans, tables


def read(sheet: Sheet) -> TableGrid:
    """Read all words of a page as one table."""
    (table,) = tables(sheet, union(w.rect for w in sheet.words))
    return filled(table, sheet.words)


def write(
    sheet: Sheet, y: float, texts: Sequence[str], rights: Sequence[float], left: float = 50
) -> None:
    """Write a label and values that end at ``rights``."""
    for text, right in zip(texts[1:], rights, strict=True):
        sheet.text(right, y, text, align="right")
    sheet.text(left, y, texts[0])


@pytest.mark.parametrize("size", [6.0, 9.0, 12.0])
@pytest.mark.parametrize("ruled", [True, False])
def test_numbers_belong_to_the_column_at_whose_edge_they_end(size: float, ruled: bool) -> None:
    """The width of a number does not matter, nor rules after some of the rows."""
    sheet = Sheet(size)
    rights = [150 + 6.5 * size * i for i in range(1, 6)]
    widths = ("0", "14", "22,650")
    table = [
        [f"Port {r}", *(widths[(i * i + c) % 3] for c in range(5))] for i, r in enumerate("ABCDEF")
    ]
    sheet.text(50, 60, "Port")
    for right, name in zip(rights, ("One", "Two", "Three", "Four", "Five"), strict=True):
        sheet.text(right - 1.5 * size, 60, name, align="centre")
    for i, line in enumerate(table):
        write(sheet, 60 + 1.6 * size * (i + 1), line, rights)
        if ruled and i % 2:
            y = 60 + 1.6 * size * (i + 1) + 1.2 * size
            sheet.line(50, y, rights[-1], y)
    grid = read(sheet)
    assert rows(grid)[0] == ["Port", "One", "Two", "Three", "Four", "Five"]
    assert rows(grid)[1:] == table
    assert grid.header_rows == 1


@pytest.mark.parametrize("size", [6.0, 8.0, 11.0])
@pytest.mark.parametrize("long", ["12,608", "1.250,00", "-48,309"])
def test_long_numbers_a_word_space_apart_are_two(size: float, long: str) -> None:
    """Numbers of other lines end where the first one does."""
    sheet = Sheet(size)
    step = 0.5 * size * (len(long) + 1)
    rights = [150 + step * i for i in range(1, 6)]
    table = [
        [f"Gate {r}", *(long if (i + c) % 3 else str(7 * c + i) for c in range(5))]
        for i, r in enumerate("ABCDEFG")
    ]
    write(sheet, 60, ["Gate", "W1", "W2", "W3", "W4", "W5"], rights)
    for i, line in enumerate(table):
        for text, right in zip(line[1:], rights, strict=True):
            sheet.text(right, 60 + 1.6 * size * (i + 1), text, align="right")
        sheet.text(50, 60 + 1.6 * size * (i + 1), line[0])
    sheet.words = [replace(w, line=round(w.rect[1])) for w in sheet.words]  # one line in the source
    assert rows(read(sheet))[1:] == table


@pytest.mark.parametrize("values", [("1 250", "980", "2 400"), ("7 10 5", "7 20 5", "8 30 1")])
def test_a_space_within_a_number_does_not_part_it(values: tuple[str, ...]) -> None:
    """No other number ends there."""
    sheet = Sheet(9)
    for i, value in enumerate(values):
        write(sheet, 60 + 15 * i, [f"Gate {i}", value, str(i)], [200.0, 280.0])
    assert [line[1] for line in rows(read(sheet))] == list(values)


@pytest.mark.parametrize(
    ("lefts", "rights", "names"),
    [
        (
            [50, 180, 330, 480],
            [300, 450, 600],
            ("Day", "Level\nin cm", "Change\nsince then", "Sum"),
        ),
        ([50, 200, 400], [370, 580], ("Tor", "Stand", "Änderung gegen\nden Vortag")),
        ([50, 150, 260, 370, 480], [240, 350, 460, 580], ("Porte", "Mai", "Juin", "Juil.", "Août")),
    ],
)
@pytest.mark.parametrize("rule", [True, False])
def test_names_at_the_left_of_wide_columns_name_the_numbers_at_the_right(
    lefts: list[float], rights: list[float], names: tuple[str, ...], rule: bool
) -> None:
    """Each column has one name, though the next name is nearer to its numbers."""
    sheet = Sheet(9)
    for x, name in zip(lefts, names, strict=True):
        sheet.text(x, 50, name)
    body = [[f"{d}.5.", *(f"{d * 37 + c}" for c in range(len(rights)))] for d in (3, 4, 5)]
    for i, line in enumerate(body):
        write(sheet, 82 + 14 * i, line, rights)
    if rule:
        sheet.line(50, 77, rights[-1], 77)
    grid = read(sheet)
    assert rows(grid) == [[n.replace("\n", " ") for n in names], *body]


PROSE = {
    "en": "The keeper counts every ferry that leaves the basin after sunset\nand writes it down.",
    "de": "Der Wärter zählt jede Fähre, die nach Sonnenuntergang den Hafen\nverlässt, und schreibt "
    "sie in das Buch der Nacht. Kein Boot fehlt darin.",
    "fr": "Le gardien compte chaque bac qui quitte le bassin après le coucher\ndu soleil et le "
    "note dans le livre de bord que le port garde pour les\npilotes de la nuit !",
}


@pytest.mark.parametrize("above", PROSE)
@pytest.mark.parametrize("below", PROSE)
def test_paragraphs_that_the_model_took_for_rows_are_text(above: str, below: str) -> None:
    """They stand above and below the rows of the table."""
    sheet = Sheet(9)
    sheet.text(50, 50, PROSE[above])
    for i, (label, value) in enumerate((("Oil", "4"), ("Rust on the chain", "12"), ("Lock", "7"))):
        sheet.text(50, 110 + 16 * i, label)
        sheet.text(240, 110 + 16 * i, value)
    sheet.text(50, 180, PROSE[below])
    table, *texts = tables(sheet, union(w.rect for w in sheet.words))
    assert rows(filled(table, sheet.words)) == [
        ["Oil", "4"],
        ["Rust on the chain", "12"],
        ["Lock", "7"],
    ]
    assert [t.is_text for t in texts] == [True, True]


def test_a_label_of_two_lines_before_its_values_is_a_row() -> None:
    """It does not end as a sentence does."""
    sheet = Sheet(9)
    sheet.text(
        50, 50, "Income from all of the ferries that leave the old basin\nof the northern port"
    )
    sheet.text(420, 60.35, "12.4", align="right")
    for i in range(3):
        write(sheet, 76 + 14 * i, [f"Income {i}", f"{i}.5"], [420.0])
    (table,) = tables(sheet, union(w.rect for w in sheet.words))
    assert not table.is_text


@pytest.mark.parametrize("empty", [{2}, {2, 3}, {4}])
def test_a_column_without_values_is_a_column(empty: set[int]) -> None:
    """A heading without numbers under it keeps its column."""
    sheet = Sheet(8)
    rights = [180.0, 240.0, 300.0, 360.0, 420.0]
    names = ["Open", "Held", "Sold", "Lost", "Kept"]
    write(sheet, 50, ["Basin", *names], rights)
    for i in range(7):
        line = ["" if c in empty else f"{(i + 1) * (c + 3) * 7}" for c in range(5)]
        write(sheet, 64 + 12 * i, [f"Basin {i}", *line], rights)
    grid = read(sheet)
    assert rows(grid)[0] == ["Basin", *names]
    assert all((line[c + 1] == "") == (c in empty) for line in rows(grid)[1:] for c in range(5))


@pytest.mark.parametrize("rule", [True, False])
@pytest.mark.parametrize(
    "names",
    [
        ("Booked and\ninterest\ndate", "Text", "Booked balance\nin EUR"),
        ("Day", "Kind of\nmovement", "Sum\nof the\nday"),
        ("Date\nof\nentry", "Name\nof the\nclerk", "Net\namount\nin EUR"),
    ],
)
def test_headings_of_many_lines_are_one_row(names: tuple[str, ...], rule: bool) -> None:
    """Lines of a heading join, whether or not a rule ends the header."""
    sheet = Sheet(9)
    for x, name in zip((50, 150, 330), names, strict=True):
        sheet.text(x, 50, name)
    if rule or names[0].count("\n"):  # a last line with a label alone needs a rule
        sheet.line(50, 83, 420, 83)
    body = [["01/14/2031", "Transfer", "1,406,246.50"], ["02/14/2031", "Fee", "12.00"]]
    for i, line in enumerate(body):
        for x, text in zip((50, 150), line[:2], strict=True):
            sheet.text(x, 90 + 14 * i, text)
        sheet.text(400, 90 + 14 * i, line[2], align="right")
    grid = read(sheet)
    assert rows(grid) == [[" ".join(n.split()) for n in names], *body]
    assert grid.header_rows == 1


@pytest.mark.parametrize(
    "names",
    [
        ("Tor", "Höchster\nStand\nin cm", "Mittlere\nWärme", "Bemerkung"),
        ("Gate", "Greatest\nlevel\n(cm)", "Wind", "Remark of\nthe clerk"),
        ("Porte", "Niveau moyen\ndu\nmois", "Vent\nmoyen", "Note"),
    ],
)
@pytest.mark.parametrize("size", [7.0, 10.0])
def test_a_centred_heading_of_more_lines_than_the_others_is_one(
    names: tuple[str, ...], size: float
) -> None:
    """Its first line stands alone, over the middle of the columns beside it, too."""
    sheet = Sheet(size)
    for c, name in enumerate(names):
        top = 90 - 1.15 * size * name.count("\n")
        sheet.text(80 + 150 * c, top, name, align="centre")
    sheet.line(30, 95 + size, 580, 95 + size)
    body = [[f"Row {i}", f"{i + 97}", f"{i}.5", "clear"] for i in range(3)]
    for i, line in enumerate(body):
        for c, text in enumerate(line):
            sheet.text(80 + 150 * c, 105 + size + 2 * size * i, text, align="centre")
    assert rows(read(sheet)) == [[n.replace("\n", " ") for n in names], *body]


def test_signs_in_columns_of_their_own_join_their_numbers() -> None:
    """A currency sign belongs to the number after it, a percent sign to the one before it."""
    sheet = Sheet(8)
    for i, (label, a, b) in enumerate((("Sales", "74,452", "19"), ("Income", "(745)", "4"))):
        y = 50 + 14 * i
        sheet.text(50, y, label)
        sheet.text(180, y, "$")
        sheet.text(260, y, a, align="right")
        sheet.text(330, y, b, align="right")
        sheet.text(332, y, "%")
    assert rows(read(sheet)) == [["Sales", "$ 74,452", "19 %"], ["Income", "$ (745)", "4 %"]]


@pytest.mark.parametrize("align", ["left", "right"])
@pytest.mark.parametrize("rule", [True, False])
@pytest.mark.parametrize(
    "names", [("Date", "Debit", "Credit", "Balance"), ("No", "Soll", "Haben", "Saldo")]
)
def test_columns_that_no_line_fills_both_of_stay_apart(
    names: tuple[str, ...], rule: bool, align: str
) -> None:
    """A bank statement has a debit or a credit in each line. The headings name both columns."""
    sheet = Sheet(9)
    edges = (50, 220, 320, 420)
    body = [
        ("1.3.", "900.00", "", "100.00"),
        ("2.3.", "", "2,100.00", "2,200.00"),
        ("3.3.", "12.50", "", "2,187.50"),
        ("4.3.", "", "20.00", "2,207.50"),
    ]
    for i, line in enumerate([names, *body]):
        for x, text in zip(edges, line, strict=True):
            if text:
                sheet.text(x, 60 + 15 * i, text, align=align if x > 50 else "left")
    if rule:
        sheet.line(50, 73, 470, 73)
    assert rows(read(sheet)) == [list(line) for line in (names, *body)]


def test_numbers_under_a_wide_heading_stay_in_one_column() -> None:
    """A space in a heading does not divide numbers that end at the same edge."""
    sheet = Sheet(9)
    for i, line in enumerate([("Net       sales", "Tax"), ("1,900.00", "9"), ("22,100.00", "8")]):
        sheet.text(50, 60 + 15 * i, f"Row {i}")
        sheet.text(300, 60 + 15 * i, line[0], align="right")
        sheet.text(400, 60 + 15 * i, line[1], align="right")
    assert [line[-2:] for line in rows(read(sheet))[1:]] == [["1,900.00", "9"], ["22,100.00", "8"]]


@pytest.mark.parametrize("align", ["first", "last"])
def test_a_label_of_two_lines_is_one_row(align: str) -> None:
    """A label that fills its column goes on in the next line, wherever the values stand."""
    sheet = Sheet(8)
    labels = ["Net income", "Proceeds from the sale of\nland and buildings", "Dividends", "Total"]
    y = 50.0
    for i, label in enumerate(labels):
        lines = label.count("\n") + 1
        sheet.text(50, y, label)
        shown = y if align == "first" else y + 9.2 * (lines - 1)
        for right in (250, 320):
            sheet.text(right, shown, f"{(i + 2) * right}", align="right")
        y += 9.2 * lines + 5
    assert [line[0] for line in rows(read(sheet))] == [" ".join(n.split()) for n in labels]


def test_a_heading_over_rows_is_a_row() -> None:
    """A line that ends with a colon, or does not fill its column, is not part of the next label."""
    sheet = Sheet(8)
    lines = [("Revenue:", ""), ("Product sales", "120"), ("Service sales abroad", "30")]
    lines += [("Costs", ""), ("Wages", "70"), ("Rent", "20")]
    for i, (label, value) in enumerate(lines):
        write(sheet, 50 + 12 * i, [label, value], [260])
    assert [line[0] for line in rows(read(sheet))] == [label for label, _ in lines]


@pytest.mark.parametrize("rules", [True, False])
def test_a_heading_spans_the_columns_under_it(rules: bool) -> None:
    """By the rule under it, or because it stands over the middle of its columns."""
    sheet = Sheet(8)
    rights = [180.0, 250.0, 340.0, 410.0]
    sheet.text(200, 40, "Year ended December 31", align="centre")
    sheet.text(360, 40, "Change from 2015 to 2017", align="centre")
    if rules:
        sheet.line(150, 51, 252, 51)
        sheet.line(310, 51, 412, 51)
    write(sheet, 54, ["", "2016", "2017", "Sum", "Share"], rights)
    for i in range(4):
        write(sheet, 70 + 12 * i, [f"Item {i}", "120", "3,400", "17", "9"], rights)
    grid = read(sheet)
    assert spans(grid) == {"Year ended December 31": (1, 2), "Change from 2015 to 2017": (1, 2)}
    assert grid.header_rows == 2


def test_a_table_that_goes_on_has_no_header() -> None:
    """The first row of a continued table is a row of values."""
    sheet = Sheet(8)
    for i in range(5):
        write(sheet, 50 + 12 * i, [f"Item {i}", f"{i * 50}", f"{i + 9}"], [250, 320])
    assert read(sheet).header_rows == 0


@pytest.mark.parametrize("dx", [140, 170, 230])
@pytest.mark.parametrize(
    ("drawn", "sums", "size"),
    [
        ((("VAT", "Net", "Gross"), ("23 %", "121.00", "148.83")), ("Paid 0.00", "Due 148.83"), 9),
        (
            (("Satz", "Netto"), ("19 %", "200,00"), ("7 %", "50,00")),
            ("Bezahlt 9", "Offen 8", "Rest 1"),
            7,
        ),
        ((("Mois", "Jours", "Prix"), ("mai", "31", "12,00")), ("Acompte 3,00", "Solde 9,00"), 10),
    ],
)
def test_tables_beside_each_other_are_two(
    drawn: tuple[tuple[str, ...], ...], sums: tuple[str, ...], size: float, dx: float
) -> None:
    """A drawn table and sums far beside it share no column."""
    sheet = Sheet(size)
    for r, line in enumerate(drawn):
        for c, text in enumerate(line):
            sheet.box(50 + 60 * c, 100 + 20 * r, 110 + 60 * c, 120 + 20 * r)
            sheet.text(54 + 60 * c, 104 + 20 * r, text)
        label, value = sums[r].split()
        sheet.text(230 + dx, 104 + 20 * r, label)
        sheet.text(330 + dx, 104 + 20 * r, value)
    left, right = tables(sheet, union(w.rect for w in sheet.words))
    assert rows(filled(left, sheet.words)) == [list(line) for line in drawn]
    assert rows(filled(right, sheet.words)) == [text.split() for text in sums]


@pytest.mark.parametrize("turn", [1, 3])
@pytest.mark.parametrize("drawn", [True, False])
def test_a_sideways_table_is_read_in_its_own_direction(turn: int, drawn: bool) -> None:
    """Drawn, it is found without the model; its boxes lie where it stands on the page."""
    upright = Sheet(8)
    table = [["Port", "0:00", "3:00"], ["Tarn", "1.0", "1.2"], ["Brill", "1.1", "1.3"]]
    for r, line in enumerate(table):
        for c, text in enumerate(line):
            upright.text(54 + 70 * c, 104 + 20 * r, text)
            if drawn:
                upright.box(50 + 70 * c, 100 + 20 * r, 120 + 70 * c, 120 + 20 * r)
    sheet = upright.turned(turn, 400, 500 if turn == 3 else 100)
    sheet.text(50, 50, "An upright paragraph above the table")
    rect = union(w.rect for w in sheet.words if w.turn)
    (found,) = tables(sheet, *(() if drawn else (rect,)))
    grid = filled(found, sheet.words)
    assert rows(grid) == table
    assert all(c.box is not None and c.box.area > 0 for c in grid.cells)
    x0, y0, x1, y1 = found.rect
    assert 0 <= x0 < x1 <= 600
    assert 0 <= y0 < y1 <= 800


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((t, True) for t in ("1,234.5", "(241)", "$ 3", "—", "12 %", "NM", "$ (0.52)", "-2 %")),
        *((t, False) for t in ("2017", "Total", "31,", "52 weeks", "", "A1")),
    ],
)
def test_amounts(text: str, expected: bool) -> None:
    """Numbers with their signs are amounts, years and words are not."""
    assert is_amount(text) is expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(40, 520),
            st.integers(40, 400),
            st.sampled_from(["12", "1,200", "$", "%", "—", "Total", "2017", "net sales of"]),
        ),
        min_size=2,
        max_size=40,
        unique_by=lambda x: x[:2],
    ),
    st.lists(
        st.tuples(st.integers(40, 300), st.integers(40, 400), st.integers(9, 250)), max_size=9
    ),
    st.booleans(),
)
def test_each_word_is_in_exactly_one_cell(
    words: list[tuple[int, int, str]], lines: list[tuple[int, int, int]], upright: bool
) -> None:
    """Whatever stands in a region, no word is lost or repeated, and no two cells share a slot."""
    sheet = Sheet(8)
    for x, y, text in words:
        sheet.text(x, y, text)
    for x, y, length in lines:
        sheet.line(*((x, y, x, y + length) if upright else (x, y, x + length, y)))
    (table, *_) = tables(sheet, union(w.rect for w in sheet.words))
    if table.plan is None:
        return
    grid = filled(table, sheet.words)
    before = sorted("".join(w.text for w in sheet.words))
    assert sorted("".join(c.text for c in grid.cells).replace(" ", "")) == before
    slots = [
        (c.row + r, c.col + k)
        for c in grid.cells
        for r in range(c.row_span)
        for k in range(c.col_span)
    ]
    assert len(slots) == len(set(slots))
    assert all(r < grid.rows and c < grid.cols for r, c in slots)


def test_words_of_one_height_are_one_line() -> None:
    """Phrases end at wide gaps and at drawn boundaries, not at spaces."""
    sheet = Sheet(10)
    sheet.text(50, 50, "Other net income")
    sheet.text(200, 51, "12")
    (line,) = lines_of(sheet.words)
    assert [p.text for p in line.phrases] == ["Other net income", "12"]
    (line,) = lines_of(sheet.words, [77.0])
    assert [p.text for p in line.phrases] == ["Other", "net income", "12"]
