"""Reading order, assignment of words to regions, nesting of lists and levels of headings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.assign import (
    UNASSIGNED,
    assign,
    join_numbers,
    regions_for_rest,
)
from opticalrag.ingest.engines.layout.blocks import list_levels
from opticalrag.ingest.engines.layout.geometry import Rect
from opticalrag.ingest.engines.layout.headings import heading_level
from opticalrag.ingest.engines.layout.order import in_reading_order, reading_order
from opticalrag.ingest.engines.layout.regions import Region
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

PAGE = (0.0, 0.0, 600.0, 800.0)


def word(text: str, rect: Rect, line: int = 0, block: int = 0) -> LayoutWord:
    return LayoutWord(text, rect, 10.0, line, block)


def test_columns_are_read_one_after_the_other() -> None:
    """Also if paragraphs of two columns end at the same height."""
    title = (50, 20, 550, 60)
    left = [(50, 100, 290, 200), (50, 220, 290, 300), (50, 310, 290, 400)]
    right = [(310, 100, 550, 200), (310, 220, 550, 290), (310, 320, 550, 400)]
    wide = (50, 450, 550, 500)
    below = [(50, 520, 290, 600), (310, 520, 550, 560)]
    expected = [title, *left, *right, wide, *below]
    shuffled = expected[::-1]
    assert [shuffled[i] for i in reading_order(shuffled, 800)] == expected


THREE = [(50, 100, 205, 300), (220, 100, 375, 310), (390, 100, 545, 240)]
FOUR = [(50, 100, 160, 300), (180, 100, 290, 330), (310, 100, 420, 310), (440, 100, 550, 240)]
BELOW_COLUMNS = {
    "a text under two of three columns": (THREE, (50, 330, 375, 390), False),
    "a table under three of four columns": (FOUR, (50, 350, 420, 500), False),
    "a text under the first two of four columns": (FOUR, (50, 335, 290, 355), True),
    "a heading over the left column of the next three": (THREE, (50, 330, 190, 350), True),
    "a heading in the middle of the page": (THREE, (230, 330, 360, 350), True),
    "a heading between the middle two of four columns": (FOUR, (240, 335, 360, 355), True),
    "a text of the full width": (THREE, (50, 330, 545, 390), False),
}


@pytest.mark.parametrize(
    ("columns", "piece", "repeated"), BELOW_COLUMNS.values(), ids=BELOW_COLUMNS
)
def test_the_last_column_comes_before_a_piece_below_all(
    columns: list[Rect], piece: Rect, repeated: bool
) -> None:
    """Even if the piece leaves a gutter free. Columns may go on below."""
    again = [(x0, y0 + 260, x1, y1 + 260) for x0, y0, x1, y1 in columns] if repeated else []
    expected = [*columns, piece, *again]
    shuffled = expected[::-1]
    assert [shuffled[i] for i in reading_order(shuffled, 800)] == expected


NOT_BELOW = {
    "lines of a form that happen to leave two gutters": [
        (99, 234, 205, 241),
        (101, 245, 203, 260),
        (398, 245, 522, 252),
        (237, 268, 375, 275),
        (217, 280, 396, 287),
    ],
    "a column that is longer than the others": [*THREE[:1], (50, 330, 205, 400), *THREE[1:]],
    "a figure of two columns beside the third": [
        *THREE[:2],
        (50, 330, 375, 500),
        THREE[2],
        (390, 330, 545, 600),
    ],
    "a heading in one of three columns": [
        THREE[0],
        (50, 330, 150, 346),
        (50, 350, 205, 600),
        THREE[1],
        (220, 350, 375, 600),
        (390, 100, 545, 500),
    ],
}


@pytest.mark.parametrize("expected", NOT_BELOW.values(), ids=NOT_BELOW)
def test_a_piece_of_one_column_does_not_end_the_others(expected: list[Rect]) -> None:
    """Other columns stand beside it, or none goes on below it."""
    shuffled = expected[::-1]
    assert [shuffled[i] for i in reading_order(shuffled, 800)] == expected


UPRIGHT_MARKS = {
    "beside a line at the foot": [(18, 667, 23, 774), (25, 767, 450, 773)],
    "along the picture and the columns": [(36, 90, 42, 600)],
    "at the right edge": [(560, 200, 574, 500)],
    "between the columns": [(296, 150, 302, 390)],
}


@pytest.mark.parametrize("marks", UPRIGHT_MARKS.values(), ids=UPRIGHT_MARKS)
def test_print_that_runs_up_the_page_does_not_join_the_columns(marks: list[Rect]) -> None:
    """The columns are read as without it."""
    title = (50, 20, 550, 60)
    left = [(50, 100, 290, 220), (50, 230, 290, 410)]
    right = [(310, 100, 550, 300), (310, 305, 550, 400)]
    body = [title, *left, *right]
    rects = [*marks, *body]
    order = [rects[i] for i in reading_order(rects, 800)]
    assert sorted(order) == sorted(rects)
    assert [rect for rect in order if rect in body] == body


def test_labels_are_read_with_their_values() -> None:
    """Pairs of equal height are rows of a form, not columns."""
    rects = [(50, 100, 100, 112), (50, 120, 100, 132), (200, 100, 260, 112), (200, 120, 260, 132)]
    assert reading_order(rects, 800) == [0, 2, 1, 3]


def test_a_date_above_columns_is_read_first() -> None:
    """A short line on the right, well above the text, comes before the columns."""
    date, left, right = (450, 40, 550, 52), (50, 100, 290, 400), (310, 100, 550, 400)
    rects = [left, right, date]
    assert [rects[i] for i in reading_order(rects, 800)] == [date, left, right]


def test_right_to_left_columns_are_read_from_the_right() -> None:
    """In right-to-left text the right column comes first."""
    left, right = Region("text", (50, 100, 290, 400)), Region("text", (310, 100, 550, 400))
    assert in_reading_order([left, right], PAGE, rtl=True) == [right, left]


def test_headers_come_first_and_footers_last() -> None:
    """Wherever they are on the page."""
    footer, body, header = (
        Region("page-footer", (50, 10, 100, 20)),
        Region("text", (50, 100, 290, 400)),
        Region("page-header", (50, 780, 100, 790)),
    )
    assert in_reading_order([footer, body, header], PAGE, rtl=False) == [header, body, footer]


def test_a_background_picture_is_dropped() -> None:
    """Otherwise all text would count as inside a figure."""
    texts = [Region("text", (50, y, 550, y + 50)) for y in (100.0, 200.0, 300.0)]
    assert in_reading_order([Region("picture", PAGE), *texts], PAGE, rtl=False) == texts


RECTS = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 700), st.floats(0.1, 300), st.floats(0.1, 300)).map(
        lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
    ),
    max_size=25,
)


@settings(deadline=None)
@given(RECTS)
def test_order_is_a_permutation(rects: list[Rect]) -> None:
    """Nothing is lost or repeated."""
    assert sorted(reading_order(rects, 800)) == list(range(len(rects)))


@settings(deadline=None)
@given(RECTS, RECTS)
def test_every_word_has_exactly_one_region(boxes: list[Rect], regions: list[Rect]) -> None:
    """Words outside all regions get regions of their own."""
    words = [word("w", rect, i, i // 3) for i, rect in enumerate(boxes)]
    found = [Region("text", rect) for rect in regions]
    _, rest = assign(words, found)
    found += regions_for_rest(rest, found)
    contents, rest = assign(words, found)
    assert rest == []
    assert sorted(w.line for group in contents for w in group) == list(range(len(words)))


def test_a_bullet_outside_a_region_belongs_to_it_if_its_line_does() -> None:
    """Bullets are often outside the model's boxes."""
    words = [word("•", (40, 100, 45, 110)), word("item", (52, 100, 80, 110))]
    contents, rest = assign(words, [Region("list-item", (50, 98, 300, 112))])
    assert [p.text for p in contents[0]] == ["•", "item"]
    assert rest == []


def test_distant_words_get_a_region() -> None:
    """A word far from all regions is not lost."""
    words = [word("lost", (400, 700, 430, 710))]
    made = regions_for_rest(words, [Region("text", (50, 98, 300, 112))])
    assert made == [Region(UNASSIGNED, (400, 700, 430, 710))]


def test_a_heading_is_joined_to_its_number() -> None:
    """The model may take the number for another heading."""
    number, title = (
        Region("section-header", (50, 100, 58, 112)),
        Region("section-header", (70, 99, 200, 113)),
    )
    contents = [[word("3.1", number.rect)], [word("Results", title.rect)]]
    assert join_numbers([number, title], contents) == [Region("section-header", (50, 99, 200, 113))]


def test_list_levels_follow_indents() -> None:
    """Items nest by indent. Text between lists, or a new column, starts a new list."""
    items = [(50, True), (70, True), (70, True), (50, True), (0, False), (70, True), (320, True)]
    levels = list_levels([(indent, 10.0, is_item) for indent, is_item in items])
    assert levels == [1, 2, 2, 1, 0, 1, 1]


def test_heading_level_by_outline_number_and_size() -> None:
    """The outline decides, then the number, then the size."""
    assert heading_level("2.1 Methods", 14, 10, [(3, "Methods")]) == 3
    assert heading_level("2.1 Methods", 14, 10) == 2
    assert heading_level("B.2 Proofs", 14, 10) == 2
    assert heading_level("Chapter 4 The end", 11, 10) == 1
    by_size = [heading_level("Plain", size, 10) for size in (20, 15, 12, 10)]
    assert by_size == [1, 2, 3, 4]
    assert all(a < b for a, b in pairwise(by_size))
