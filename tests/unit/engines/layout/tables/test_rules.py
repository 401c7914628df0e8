from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.tables import find_rules

from .drawn import PAGE, Sheet


def test_sides_of_neighbouring_frames_are_one_rule() -> None:
    """Two frames side by side have two horizontal and three vertical rules."""
    sheet = Sheet()
    sheet.box(50, 100, 150, 130)
    sheet.box(150, 100, 260, 130)
    rules = find_rules(sheet.drawings, PAGE)
    assert np.allclose(rules.across[:, 0], [100, 130], atol=0.5)
    assert np.allclose(rules.down[:, 0], [50, 150, 260], atol=0.5)
    assert np.allclose(rules.across[:, 1:], [49.7, 260.3])


def test_pieces_of_a_line_are_one_rule() -> None:
    """Dashes and segments that touch are joined, lines far apart are not."""
    sheet = Sheet()
    for x in range(50, 150, 6):
        sheet.line(x, 200, x + 4, 200)
    sheet.line(300, 200, 400, 200)
    rules = find_rules(sheet.drawings, PAGE)
    assert len(rules.across) == 2


@pytest.mark.parametrize("color", [0xFFFFFF, 0xFEFEFE])
def test_lines_in_the_colour_of_the_paper_are_no_rules(color: int) -> None:
    """White lines do not show on white paper."""
    sheet = Sheet()
    sheet.line(50, 200, 300, 200, color)
    assert not len(find_rules(sheet.drawings, PAGE).across)


def test_white_lines_on_a_coloured_area_are_rules() -> None:
    """White lines show on a coloured area."""
    sheet = Sheet()
    sheet.area(50, 100, 300, 200, 0x336699)
    sheet.line(50, 150, 300, 150, 0xFFFFFF)
    assert np.allclose(find_rules(sheet.drawings, PAGE).across[:, 0], [100, 150, 200])


@pytest.mark.parametrize("color", [0x336699, 0xDDE4F0, 0xFFE0B0])
@pytest.mark.parametrize("edges", [(50, 120, 200), (40, 100, 160, 300)])
def test_white_frames_around_coloured_cells_are_rules(color: int, edges: tuple[int, ...]) -> None:
    """They show between cells of one colour, also in a column with one cell over two rows."""
    sheet = Sheet()
    spots = [(x0, x1, y0, y0 + 20) for x0, x1 in pairwise(edges[1:]) for y0 in (100, 120)]
    for x0, x1, y0, y1 in [(edges[0], edges[1], 100, 140), *spots]:
        sheet.area(x0, y0, x1, y1, color)
        sheet.box(x0, y0, x1, y1, 0xFFFFFF)
    rules = find_rules(sheet.drawings, PAGE)
    assert np.allclose(rules.down[:, 0], edges, atol=1)
    assert [y for y, x0, _ in rules.across.tolist() if x0 > edges[0] + 5] == [120]


def test_white_frames_on_paper_are_no_rules() -> None:
    """Nobody sees them."""
    sheet = Sheet()
    sheet.box(50, 100, 120, 140, 0xFFFFFF)
    assert not len(find_rules(sheet.drawings, PAGE).across)


def test_no_edge_shows_between_areas_of_one_colour() -> None:
    """A coloured row painted cell by cell has four sides; they are not underlines."""
    sheet = Sheet()
    for x in range(50, 350, 50):
        sheet.area(x, 100, x + 50, 120, 0xCCEEFF)
    rules = find_rules(sheet.drawings, PAGE)
    assert np.allclose(rules.down[:, 0], [50, 350])
    assert np.allclose(rules.across[:, 0], [100, 120])
    assert not len(rules.underlines)


def test_a_coloured_page_is_paper() -> None:
    """Lines in the colour of the page's background do not show, white ones do."""
    sheet = Sheet()
    sheet.area(*PAGE, 0xFFF0D0)
    sheet.line(50, 100, 300, 100, 0xFFF0D0)
    sheet.line(50, 200, 300, 200, 0xFFFFFF)
    assert np.allclose(find_rules(sheet.drawings, PAGE).across[:, 0], [200])


_BOXES = st.tuples(*(st.floats(0, 500) for _ in range(2)), *(st.floats(5, 90) for _ in range(2)))


@settings(max_examples=40, deadline=None)
@given(st.lists(_BOXES, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_drawings_does_not_matter(
    boxes: list[tuple[float, float, float, float]], random: Random
) -> None:
    """Permuting the drawings changes no rule."""
    sheet = Sheet()
    for x, y, width, height in boxes:
        sheet.box(x, y, x + width, y + height)
        sheet.area(x, y, x + width / 2, y + height, 0xCCEEFF)
    before = find_rules(sheet.drawings, PAGE)
    random.shuffle(sheet.drawings)
    after = find_rules(sheet.drawings, PAGE)
    assert np.allclose(before.across, after.across)
    assert np.allclose(before.down, after.down)
