"""Scans that were laid in askew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from opticalrag.ingest.core.records import PageTask, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.engines.layout.geometry import Rect, moved_around
from opticalrag.ingest.engines.layout.ocr.skew import rotated, skew_of
from opticalrag.ingest.engines.layout.upright import box_maker, straightened

PAGE: Rect = (0.0, 0.0, 595.0, 842.0)
MIDDLE = (297.5, 421.0)


def corners(degrees: float, lines: int = 8, width: float = 400) -> NDArray[np.float32]:
    """Corners of lines of text below each other, turned clockwise around the page's centre."""
    straight = [
        [(90, y), (90 + width, y), (90 + width, y + 20), (90, y + 20)]
        for y in range(100, 100 + 30 * lines, 30)
    ]
    return rotated(np.array(straight, np.float32), degrees, MIDDLE)


@pytest.mark.parametrize("degrees", [-3, -1.2, 0.6, 2, 5])
@pytest.mark.parametrize("first", range(4))
def test_the_skew_is_that_of_the_lines(degrees: float, first: int) -> None:
    """Whichever corner comes first, as after a turn of the page."""
    found = skew_of(np.roll(corners(degrees), first, axis=1))
    assert found == pytest.approx(degrees, abs=0.05)


def test_short_lines_and_a_few_others_do_not_matter() -> None:
    """Boxes of single letters stand at any angle, and so does a stamp."""
    lines = np.concatenate([corners(2), corners(40, 3, 20), corners(-8, 1, 300), corners(9, 4, 25)])
    assert skew_of(lines) == pytest.approx(2, abs=0.05)


UNSKEWED = {
    "no lines": np.zeros((0, 4, 2), np.float32),
    "straight lines": corners(0),
    "a pixel askew": corners(0.15),
    "lines at all angles": np.concatenate([corners(a, 1) for a in (-9, -6, -3, 0, 3, 6, 9)]),
    "text set aslant": corners(30),
    "text that runs up": corners(90),
}


@pytest.mark.parametrize("lines", UNSKEWED.values(), ids=UNSKEWED)
def test_other_pages_stay_as_they_are(lines: NDArray[np.float32]) -> None:
    """A skew must be large enough to matter, and most of the text must agree on it."""
    assert skew_of(lines) == 0.0


@given(st.floats(-10, 10), st.floats(0, 500), st.floats(0, 800))
def test_a_box_that_moves_there_and_back_stays(degrees: float, x: float, y: float) -> None:
    """Its sides keep their length."""
    rect = (x, y, x + 50, y + 12)
    moved = moved_around(rect, degrees, PAGE)
    assert moved[2] - moved[0] == pytest.approx(50)
    assert moved_around(moved, -degrees, PAGE) == pytest.approx(rect)


@pytest.mark.parametrize("degrees", [-3, 1, 2.5])
@pytest.mark.parametrize("margin", [0, 40])
def test_a_page_is_set_straight(degrees: float, margin: float) -> None:
    """Its lines run level afterwards, and boxes go back to where they were."""
    page = pymupdf.open().new_page(width=595 + margin, height=842 + 2 * margin)
    page.set_cropbox(pymupdf.Rect(margin, margin, 595 + margin, 842 + margin))
    level = np.array([[100, 200], [500, 200]], np.float32)
    askew = rotated(level, degrees, MIDDLE).tolist()
    page.draw_line(*askew)
    straight = straightened(page, degrees)
    drawn = straight.get_drawings()[0]["rect"]
    assert tuple(drawn) == pytest.approx((100, 200, 500, 200), abs=0.1)
    box = box_maker(PAGE, 0, degrees)((290, 190, 310, 210))
    middle = np.mean(askew, axis=0)
    assert (box.x0 + box.x1) / 2 * 595 == pytest.approx(middle[0], abs=0.1)
    assert (box.y0 + box.y1) / 2 * 842 == pytest.approx(middle[1], abs=0.1)


NAMES = ("Northern", "Southern", "Eastern", "Western", "Central", "Coastal", "Alpine", "Total")
ROWS = [
    ("Region", "2018", "2019", "2020", "2021"),
    *((name, *(f"{130 + 37 * i + 113 * j}" for j in range(4))) for i, name in enumerate(NAMES)),
]
FLOW = "The committee met in the spring and agreed on the plan that the members had proposed. " * 5


def scan(path: Path, degrees: float, turn: int) -> Path:
    """Write a picture of a page with a table and two columns, askew and turned."""
    drawn = pymupdf.open()
    page = drawn.new_page(width=595, height=842)
    for i, row in enumerate(ROWS):
        for x, text in zip((60, 240, 340, 440, 510), row, strict=True):
            page.insert_text((x, 170 + 15 * i), text, fontsize=11)
    page.insert_textbox((60, 60, 545, 140), FLOW, fontsize=10)
    page.insert_textbox((60, 330, 280, 700), f"First begins. {FLOW} First ends.", fontsize=11)
    page.insert_textbox((310, 330, 540, 700), f"Second begins. {FLOW} Second ends.", fontsize=11)
    picture = straightened(page, -degrees).get_pixmap(dpi=150)
    scanned = pymupdf.open()
    sheet = scanned.new_page(width=595, height=842)
    sheet.insert_image(sheet.rect, pixmap=picture)
    sheet.set_rotation(turn)
    scanned.save(path)
    return path


@pytest.mark.parametrize(("degrees", "turn"), [(2, 0), (-3, 0), (1, 90)])
def test_tables_and_columns_of_a_skewed_scan_keep_their_order(
    tmp_path: Path, degrees: float, turn: int
) -> None:
    """Cells stay in their rows, and the left column comes before the right one."""
    pytest.importorskip("rapidocr")
    with open_document(scan(tmp_path / "scan.pdf", degrees, turn)) as document:
        tasks: list[PageTask] = list(document.tasks())
        (page,) = LayoutEngine().parse(tasks)
    assert isinstance(page, ParsedPage)
    table = next(b.table for b in page.blocks if b.table is not None)
    assert (table.rows, table.cols) == (len(ROWS), 5)
    right = sum(ROWS[c.row][c.col] == c.text for c in table.cells)
    assert right >= len(ROWS) * 5 - 2  # OCR misses a number or two
    text = " ".join(b.text for b in page.blocks)
    marks = ("First begins", "First ends", "Second begins", "Second ends")
    positions = [text.index(mark) for mark in marks]
    assert positions == sorted(positions)
