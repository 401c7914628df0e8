"""Words that nobody sees are left out and flagged; words that somebody sees stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.engines.layout.geometry import centre_inside
from opticalrag.ingest.engines.layout.text_layer.extract import Drawing
from opticalrag.ingest.engines.layout.text_layer.visibility import (
    is_blank,
    is_seen,
    out_of_sight,
    suspects,
)
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

from ..test_engine import everything, parsed

BODY = "Every keeper writes the height of the tide into the book before the lamp is lit."
Draw = Callable[[pymupdf.Page], None]


def page_with(tmp_path: Path, draw: Draw, turn: int = 0) -> Path:
    """Save a page of plain text and whatever ``draw`` adds, turned clockwise by degrees."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    for i in range(6):
        page.insert_text((60, 90 + 16 * i), BODY, fontsize=11)
    draw(page)
    page.set_rotation(turn)
    document.save(tmp_path / "made.pdf")
    return tmp_path / "made.pdf"


def box(page: pymupdf.Page, color: tuple[float, float, float], y: float = 300) -> None:
    page.draw_rect((50, y, 420, y + 30), color=color, fill=color)


def line(page: pymupdf.Page, text: str, y: float = 320, **options: object) -> None:
    page.insert_text((60, y), text, **({"fontsize": 11} | options))


def white_on_white(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", color=(1, 1, 1))


def nearly_white_on_white(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", color=(0.985, 0.985, 0.985), fontname="tiro")


def green_on_green(page: pymupdf.Page) -> None:
    box(page, (0, 0.4, 0.2))
    line(page, "Forgotten berth", color=(0, 0.4, 0.2))


def under_a_box(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", fontsize=14)
    box(page, (0.2, 0.2, 0.2))


def under_white(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", fontname="cour")
    box(page, (1, 1, 1))


def tiny(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", fontsize=0.4)


def below_the_page(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", y=900)


def beside_the_page(page: pymupdf.Page) -> None:
    page.insert_text((-300, 400), "Forgotten berth", fontsize=11)


def under_a_thick_line(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth")
    page.draw_line((55, 317), (150, 317), width=15)


def under_a_round_shape(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", fontname="tibo")
    page.draw_rect((40, 300, 200, 330), color=None, fill=(0.9, 0.9, 0.9), radius=0.4)


def on_a_round_shape_of_its_colour(page: pymupdf.Page) -> None:
    page.draw_oval((0, 290, 200, 340), color=None, fill=(0, 0, 0.4))
    line(page, "Forgotten berth", color=(0, 0, 0.4))


def under_a_box_upon_a_picture(page: pymupdf.Page) -> None:
    paper = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 50, 50), 0)
    paper.clear_with(245)
    page.insert_image(page.rect, pixmap=paper, keep_proportion=False, overlay=False)
    line(page, "Forgotten berth")
    box(page, (0, 0, 0))


def under_a_box_of_its_size(
    fill: tuple[float, float, float], size: float, font: str = "helv"
) -> Draw:
    """Programs that black out a word cover its letters and nothing else."""

    def draw(page: pymupdf.Page) -> None:
        line(page, "Forgotten berth", fontsize=size, fontname=font)
        for word in ("Forgotten", "berth"):
            page.draw_rect(page.search_for(word)[0], color=None, fill=fill)

    return draw


def cropped_off(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", y=780)
    page.set_cropbox(pymupdf.Rect(30, 40, 590, 700))


def never_painted(page: pymupdf.Page) -> None:
    line(page, "Forgotten berth", render_mode=3)


@pytest.mark.parametrize(
    "draw",
    [
        white_on_white,
        nearly_white_on_white,
        green_on_green,
        under_a_box,
        under_white,
        tiny,
        below_the_page,
        beside_the_page,
        under_a_thick_line,
        under_a_round_shape,
        on_a_round_shape_of_its_colour,
        under_a_box_upon_a_picture,
        cropped_off,
        never_painted,
        under_a_box_of_its_size((0, 0, 0), 11),
        under_a_box_of_its_size((1, 1, 1), 9, "cour"),
        under_a_box_of_its_size((0.6, 0, 0), 14, "tiro"),
    ],
)
def test_text_nobody_sees_is_left_out_and_flagged(tmp_path: Path, draw: Draw) -> None:
    """Its colour, its size, its position or a cover hides it."""
    (page,) = parsed(page_with(tmp_path, draw))
    assert "Forgotten" not in everything([page])
    assert Flag.HIDDEN in page.flags
    assert BODY in everything([page])


@pytest.mark.parametrize(
    ("fill", "new", "size", "color"),
    [
        ((0, 0, 0), "[redacted]", 10, (1, 1, 1)),
        ((1, 1, 1), "450 dollars", 11, (0, 0, 0)),
        ((0.7, 0.7, 0.7), "EXEMPT entry", 9, (0, 0, 0)),
    ],
)
def test_text_under_a_box_that_is_written_over_is_left_out(
    tmp_path: Path, fill: tuple[float, ...], new: str, size: float, color: tuple[float, ...]
) -> None:
    """The page shows ink at the spot, but of the later text."""

    def redacted(page: pymupdf.Page) -> None:
        line(page, "Forgotten berth", y=318)
        page.draw_rect((55, 306, 150, 322), color=None, fill=fill)
        line(page, new, y=317, fontsize=size, color=color)

    (page,) = parsed(page_with(tmp_path, redacted))
    text = everything([page])
    assert new in text
    assert "Forgotten" not in text
    assert "berth" not in text
    assert Flag.HIDDEN in page.flags


def white_on_dark(page: pymupdf.Page) -> None:
    box(page, (0.1, 0.1, 0.4))
    line(page, "Visible berth", color=(1, 1, 1))


def white_on_a_round_button(page: pymupdf.Page) -> None:
    page.draw_oval((40, 290, 300, 340), color=(0.5, 0, 0), fill=(0.5, 0, 0))
    line(page, "Visible berth", color=(1, 1, 1))


def white_on_a_photograph(page: pymupdf.Page) -> None:
    dark = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 200, 40), 0)
    dark.clear_with(40)
    page.insert_image((50, 295, 400, 335), pixmap=dark, keep_proportion=False)
    line(page, "Visible berth", color=(1, 1, 1), fontsize=16)


def under_translucent_colour(page: pymupdf.Page) -> None:
    line(page, "Visible berth")
    page.draw_rect((50, 300, 420, 330), color=None, fill=(1, 1, 0), fill_opacity=0.4)


def black_on_a_pale_row(page: pymupdf.Page) -> None:
    box(page, (0.9, 0.9, 0.9))
    line(page, "Visible berth")


def grey_on_white(page: pymupdf.Page) -> None:
    line(page, "Visible berth", color=(0.7, 0.7, 0.7))


@pytest.mark.parametrize(
    "draw",
    [
        white_on_dark,
        white_on_a_round_button,
        white_on_a_photograph,
        under_translucent_colour,
        black_on_a_pale_row,
        grey_on_white,
    ],
)
def test_text_that_is_seen_stays(tmp_path: Path, draw: Draw) -> None:
    """A colour alone does not hide it: the ground decides."""
    (page,) = parsed(page_with(tmp_path, draw))
    assert "Visible berth" in everything([page])
    assert Flag.HIDDEN not in page.flags


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_hidden_text_of_a_turned_page_is_left_out(tmp_path: Path, turn: int) -> None:
    """The words are compared with the page as it is drawn."""
    (page,) = parsed(page_with(tmp_path, white_on_white, turn))
    assert "Forgotten" not in everything([page])
    assert BODY in everything([page])


def test_stroked_glyphs_of_a_type_3_font_are_seen(tmp_path: Path) -> None:
    """MuPDF reports them as neither filled nor stroked, whatever the font's name is."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    page.insert_text((60, 90), BODY, fontsize=11)
    glyph, font, text = (document.get_new_xref() for _ in range(3))
    document.update_object(glyph, "<<>>")
    document.update_stream(glyph, b"700 0 50 0 650 600 d1 50 0 600 600 re S")
    document.update_object(
        font,
        "<</Type/Font/Subtype/Type3/Name/Plot/FontBBox[0 0 700 700]/FontMatrix[.001 0 0 .001 0 0]"
        f"/CharProcs<</A {glyph} 0 R>>/Encoding<</Type/Encoding/Differences[65 /A]>>"
        "/FirstChar 65/LastChar 65/Widths[700]/Resources<<>>>>",
    )
    document.update_object(text, "<<>>")
    document.update_stream(text, b"BT 1 0 0 1 60 600 Tm /Plot 11 Tf <41> Tj ET")
    contents = document.xref_get_key(page.xref, "Contents")[1].strip("[]")
    document.xref_set_key(page.xref, "Contents", f"[{contents} {text} 0 R]")
    fonts = document.xref_get_key(page.xref, "Resources/Font")[1]
    document.xref_set_key(page.xref, "Resources/Font", fonts[:-2] + f"/Plot {font} 0 R>>")
    document.save(tmp_path / "made.pdf")
    (parsed_page,) = parsed(tmp_path / "made.pdf")
    assert "A" in everything([parsed_page]).split()
    assert Flag.HIDDEN not in parsed_page.flags


PAGE = (0.0, 0.0, 200.0, 100.0)


def word(color: int, rect: tuple[float, float, float, float], block: int) -> LayoutWord:
    return LayoutWord("word", rect, 10.0, 0, block, color=color)


def fill(color: int, rect: tuple[float, float, float, float], layer: int) -> Drawing:
    return Drawing(rect, color, 255, stroked=False, is_rect=True, layer=layer)


def test_the_last_fill_below_a_word_is_its_ground() -> None:
    """White is suspected on white, and on a white box upon a dark one."""
    where = (10.0, 10.0, 60.0, 20.0)
    dark, pale = fill(0x202020, (0, 0, 100, 50), 1), fill(0xFFFFFF, (0, 0, 90, 40), 2)
    white = word(0xFFFFFF, where, 3)
    assert suspects([white], []) == [0]
    assert suspects([white], [dark]) == []
    assert suspects([white], [dark, pale]) == [0]
    assert suspects([word(0xFFFFFF, where, 0)], [dark]) == [0]  # it is painted over


def test_only_something_opaque_and_thick_is_suspected_to_hide_a_word() -> None:
    """Frames and curved shapes are suspected, too: only their boxes are known."""
    black = word(0, (10, 10, 60, 20), 1)
    over = fill(0xFF0000, (0, 0, 100, 50), 2)
    frame, shape = replace(over, stroked=True), replace(over, is_rect=False)
    for drawing in (over, frame, shape):
        assert suspects([black], [drawing]) == [0]
    for harmless in (
        replace(over, alpha=100),
        replace(over, rect=(0, 14, 100, 15)),
        replace(over, rect=(62, 0, 100, 50)),
        replace(frame, layer=0),
        replace(frame, is_rect=False),
        replace(shape, layer=0),
    ):
        assert suspects([black], [harmless]) == []


def test_a_curved_shape_is_a_ground_that_may_be() -> None:
    """A word in its colour is suspected, and a word in the colour of what lies under it as well."""
    where = (10.0, 10.0, 60.0, 20.0)
    shape = replace(fill(0x004000, (0, 0, 100, 50), 1), is_rect=False)
    assert suspects([word(0x004000, where, 2)], [shape]) == [0]
    assert suspects([word(0xFFFFFF, where, 2)], [shape]) == [0]
    assert suspects([word(0x000000, where, 2)], [shape]) == []


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=9),
    st.lists(st.tuples(*[st.integers(0, 9)] * 5, st.booleans()), max_size=9),
)
def test_suspects_are_those_of_a_plain_loop(
    spots: list[tuple[int, int, int]], areas: list[tuple[int, int, int, int, int, bool]]
) -> None:
    """Looking only at the rows of each area misses no word."""
    words = [word(0, (10 * x, 10 * y, 10 * x + 8, 10 * y + 8), 2 * b) for x, y, b in spots]
    fills = [
        fill(0 if dark else 0xFF0000, (10 * x, 10 * y, 10 * x + 10 * w, 10 * y + 10 * h), 2 * i + 1)
        for i, (x, y, w, h, _, dark) in enumerate(areas)
        if w and h
    ]
    expected = []
    for i, one in enumerate(words):
        holding = [f for f in fills if centre_inside(one.rect, f.rect)]
        below = [f for f in holding if f.layer < one.block]
        if len(below) < len(holding) or (below and below[-1].color == 0):
            expected.append(i)
    assert suspects(words, fills) == expected


def test_a_blank_box_shows_nothing() -> None:
    """A box of one grey is blank, one with a stroke is not, and one off the picture is unknown."""
    picture = np.full((100, 200), 250, np.uint8)
    picture[40:44, 20:60] = 90
    assert is_blank(picture, (50, 5, 80, 15), 2)
    assert not is_blank(picture, (10, 18, 40, 26), 2)
    assert not is_blank(np.zeros((0, 0), np.uint8), (10, 18, 40, 26), 2)


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("rect", [(20, 10, 60, 22), (20.4, 10.4, 59.6, 21.6), (20, 10, 60, 21.9)])
def test_the_edge_of_a_cover_is_not_seen(rect: tuple[float, ...], scale: float) -> None:
    """A box that ends where its word does is blank."""
    picture = np.full((round(40 * scale), round(90 * scale)), 255, np.uint8)
    picture[round(10 * scale) : round(22 * scale), round(20 * scale) : round(60 * scale)] = 0
    assert is_blank(picture, rect, scale)
    assert not is_blank(picture, (18, 10, 62, 22), scale)


def test_words_off_the_page_or_without_size_are_out_of_sight() -> None:
    """The centre of a word decides: text may bleed over the edge."""
    assert out_of_sight(word(0, (190, 10, 230, 20), 0), PAGE)
    assert not out_of_sight(word(0, (170, 10, 220, 20), 0), PAGE)
    assert out_of_sight(LayoutWord("word", (10, 10, 12, 11), 0.8, 0, 0), PAGE)


def test_a_font_of_size_one_may_have_large_glyphs() -> None:
    """Fonts of drawn glyphs scale them as they like."""
    assert not out_of_sight(LayoutWord("word", (10, 10, 40, 19), 0.9, 0, 0), PAGE)


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 0, 0), (180, 180, 180)])
def test_ink_inside_a_box_is_seen_at_one_pixel_per_point(ink: tuple[int, int, int]) -> None:
    """Any channel counts. The page need not be drawn larger."""
    picture = np.full((40, 90, 3), 255, np.uint8)
    picture[14:18, 30:50] = ink
    assert is_seen(picture, (20, 10, 60, 22))
    assert not is_seen(picture, (20, 24, 60, 36))


@pytest.mark.parametrize("box", [(20, 10, 60, 10.8), (200, 10, 260, 22), (20, 90, 60, 99)])
def test_a_box_without_inner_pixels_is_not_seen(box: tuple[float, ...]) -> None:
    """It is thin, or off the page. The larger picture decides."""
    assert not is_seen(np.zeros((40, 90, 3), np.uint8), box)


def test_ink_that_only_touches_a_box_does_not_count() -> None:
    """A rule along the edge of a covered word is not the word."""
    picture = np.full((40, 90, 3), 255, np.uint8)
    picture[10:12] = 0
    picture[:, 60] = 0
    assert not is_seen(picture, (20.4, 11.6, 60.2, 22))
