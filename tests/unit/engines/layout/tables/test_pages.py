"""Tables of generated PDFs, as the layout engine reads them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pymupdf
import pytest

from opticalrag.ingest.core.records import BlockKind, ParsedPage, TableGrid
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine

from .drawn import rows, spans

PARAGRAPH = (
    "The keeper of the lighthouse writes down each ship that passes the rock by day, and counts "
    "the lamps of those that pass by night. At the end of the month the list goes to the office, "
    "where the clerk adds up the numbers of every harbour and of every kind of ship."
)


def _paragraph(page: pymupdf.Page, y: float) -> None:
    page.insert_textbox((70, y, 530, y + 60), PARAGRAPH, fontsize=11)


def _cell(page: pymupdf.Page, rect: tuple[float, float, float, float], text: str) -> None:
    page.draw_rect(rect, width=0.7)
    lines = text.split("\n")
    for i, line in enumerate(lines):
        y = (rect[1] + rect[3]) / 2 + 12 * (i - (len(lines) - 1) / 2) + 3
        page.insert_text((rect[0] + 4, y), line, fontsize=9, fontname="tiro")


def _spans(page: pymupdf.Page) -> None:
    """Drawn cells: a heading over two columns, a label beside two rows, a cell of two lines."""
    _paragraph(page, 60)
    for rect, text in (
        ((80, 150, 180, 190), "Lighthouse"),
        ((180, 150, 400, 170), "Ships seen"),
        ((180, 170, 290, 190), "Sail"),
        ((290, 170, 400, 190), "Steam"),
        ((80, 190, 180, 260), "Skerry"),
        ((180, 190, 290, 210), "41"),
        ((290, 190, 400, 210), "7"),
        ((180, 210, 290, 260), "18 by day\n\n(9 at night)"),
        ((290, 210, 400, 260), "3"),
    ):
        _cell(page, rect, text)
    _paragraph(page, 300)


def _empty_columns(page: pymupdf.Page) -> None:
    """A table whose last columns are empty."""
    for row in range(7):
        for col in range(6):
            text = f"{row + 3} March" if not col else f"Ship {row}{col}" if col < 4 else ""
            _cell(page, (60 + 80 * col, 60 + 22 * row, 140 + 80 * col, 82 + 22 * row), text)
    _paragraph(page, 260)


def _sideways(page: pymupdf.Page) -> None:
    """A drawn table on its side, below upright text."""
    with pymupdf.open() as source:
        inner = source.new_page(width=500, height=260)
        for row in range(6):
            for col in range(5):
                rect = (20 + 90 * col, 30 + 24 * row, 110 + 90 * col, 54 + 24 * row)
                _cell(inner, rect, f"{row} to {col}")
        _paragraph(page, 60)
        page.show_pdf_page(pymupdf.Rect(150, 200, 410, 700), source, 0, rotate=90)


PAGES = (_spans, _empty_columns, _sideways)


@cache
def parsed() -> tuple[ParsedPage, ...]:
    """Parse a document with all pages."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "tables.pdf")
        with pymupdf.open() as made:
            for draw in PAGES:
                draw(made.new_page(width=595, height=842))
            made.save(file)
        engine = LayoutEngine(workers=1)
        try:
            with open_document(file) as document:
                pages = list(engine.parse(document.tasks()))
        finally:
            engine.close()
    return tuple(p for p in pages if isinstance(p, ParsedPage))


def table(index: int) -> TableGrid:
    """The only table of a page."""
    (grid,) = [b.table for b in parsed()[index].blocks if b.table]
    return grid


def test_spans_of_a_page() -> None:
    """The drawn cells of a PDF become the cells of the table."""
    grid = table(0)
    assert spans(grid) == {"Lighthouse": (2, 1), "Ships seen": (1, 2), "Skerry": (2, 1)}
    assert (grid.rows, grid.cols, grid.header_rows) == (4, 3, 2)
    assert rows(grid)[3][1:] == ["18 by day (9 at night)", "3"]


def test_empty_last_columns_of_a_page() -> None:
    """They belong to the table and do not become a figure."""
    assert (table(1).rows, table(1).cols) == (7, 6)
    assert BlockKind.FIGURE not in [b.kind for b in parsed()[1].blocks]


def test_a_sideways_table_of_a_page() -> None:
    """It is one table, read in its own direction; its cells lie on the page in their order."""
    grid = table(2)
    assert rows(grid) == [[f"{r} to {c}" for c in range(5)] for r in range(6)]
    boxes = [c.box for c in grid.cells if c.row == 0]
    tops = [b.y0 for b in boxes if b is not None]
    assert all(a > b for a, b in pairwise(tops))


@pytest.mark.parametrize("index", range(len(PAGES)))
def test_text_around_a_table_stays(index: int) -> None:
    """Paragraphs beside a table are blocks of their own."""
    texts = " ".join(b.text for b in parsed()[index].blocks)
    assert "every kind of ship" in texts
