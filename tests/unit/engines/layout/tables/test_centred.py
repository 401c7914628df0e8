"""Cells that are centred beside a cell of several lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from opticalrag.ingest.core.records import TableGrid
from opticalrag.ingest.engines.layout.geometry import union

from .drawn import Sheet, filled, rows, tables

Cells = Sequence[Sequence[str]]
"""Lines of each cell of a row."""

TABLES: dict[str, list[Cells]] = {
    "numbers": [
        (["Measure"], ["Description"], ["Cost"]),
        (["Walls"], ["Walls and roof get a new", "layer of wool that keeps", "heat in"], ["1,200"]),
        (["Windows"], ["Triple glazing in all of", "the rooms to the north"], ["8,150"]),
        (["Heating"], ["A pump replaces the old", "boiler of the house"], ["900"]),
    ],
    "texts": [
        (["Risk"], ["Cause"], ["Owner"]),
        (["Delay"], ["The plant is closed for", "repairs until May"], ["Buying"]),
        (
            ["Shortage"],
            ["Three engineers leave in", "the spring, and hiring", "is slow"],
            ["Staff"],
        ),
        (["Fraud"], ["Weak controls in the", "smaller branches"], ["Audit"]),
    ],
    "a label of two lines": [
        (["Step"], ["Work"], ["Days"]),
        (
            ["Survey of", "the site"],
            ["Measure the walls and", "floors, take", "notes", "too"],
            ["4"],
        ),
        (["Plan"], ["Draw the new rooms"], ["10"]),
        (["Permit"], ["Send the plan to the", "office and wait"], ["60"]),
    ],
}
APART: dict[str, list[Cells]] = {
    "a group of rows beside its name": [
        (["Country"], ["City"], ["Port"]),
        (["France"], ["Lyon", "Nice", "Brest"], ["None", "Old", "New"]),
        (["Spain"], ["Madrid", "Sevilla", "Bilbao"], ["None", "Old", "New"]),
    ],
    "numbers in each line": [
        (["Country"], ["City"], ["Ships"]),
        (["France"], ["Lyon", "Nice", "Brest"], ["2", "34", "67"]),
        (["Spain"], ["Madrid", "Sevilla", "Bilbao"], ["1", "31", "62"]),
    ],
}


def draw(table: Sequence[Cells], size: float, gap: float, ruled: bool = False) -> TableGrid:
    """Draw a table whose cells are centred, with a gap between rows in font sizes; read it."""
    sheet, y, pitch = Sheet(size), 60.0, 1.2 * size
    for row in table:
        lines = max(map(len, row))
        for x, cell in zip((50, 50 + 12 * size, 50 + 32 * size), row, strict=True):
            for i, text in enumerate(cell):
                sheet.text(x, y + pitch * ((lines - len(cell)) / 2 + i), text)
        if ruled:
            for i in range(1, lines):
                sheet.line(50, y + pitch * i, 50 + 40 * size, y + pitch * i)
        y += pitch * lines + gap * size
    (table_found,) = tables(sheet, union(w.rect for w in sheet.words))
    return filled(table_found, sheet.words)


@pytest.mark.parametrize(("size", "gap"), [(8.0, 0.9), (10.0, 1.0), (12.0, 1.5)])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_centred_cells_are_one_row(table: list[Cells], size: float, gap: float) -> None:
    """Neither the first line of a tall cell nor the label beside its middle begins a row."""
    wanted = [[" ".join(cell) for cell in row] for row in table]
    assert rows(draw(table, size, gap)) == wanted


@pytest.mark.parametrize("table", APART.values(), ids=APART)
def test_lines_of_several_full_columns_stay_rows(table: list[Cells]) -> None:
    """A name beside the middle of its rows is not the label of one."""
    assert draw(table, 10.0, 1.0).rows > len(table)


def test_rules_between_lines_part_rows() -> None:
    """Whatever the spaces between the lines."""
    grid = draw(TABLES["texts"], 10.0, 1.0, ruled=True)
    assert grid.rows > len(TABLES["texts"])
