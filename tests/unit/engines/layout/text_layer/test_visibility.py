"""Words that nobody sees are left out and flagged; words that somebody sees stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymupdf
import pytest

from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.engines.layout.text_layer.extract import Drawing
from opticalrag.ingest.engines.layout.text_layer.visibility import is_blank, out_of_sight, suspects
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
        never_painted,
    ],
)
def test_text_nobody_sees_is_left_out_and_flagged(tmp_path: Path, draw: Draw) -> None:
    """Whether it is hidden by its colour, its size, its location or what covers it."""
    (page,) = parsed(page_with(tmp_path, draw))
    assert "Forgotten" not in everything([page])
    assert Flag.HIDDEN in page.flags
    assert BODY in everything([page])


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


def test_strokes_and_translucent_fills_hide_nothing() -> None:
    """Only an opaque, filled rectangle can lie over a word."""
    black = word(0, (10, 10, 60, 20), 1)
    over = fill(0xFF0000, (0, 0, 100, 50), 2)
    assert suspects([black], [over]) == [0]
    for harmless in (
        Drawing(over.rect, 0, 255, stroked=True, is_rect=True, layer=2),
        Drawing(over.rect, 0, 100, stroked=False, is_rect=True, layer=2),
        Drawing(over.rect, 0, 255, stroked=False, is_rect=False, layer=2),
        Drawing((0, 14, 100, 15), 0, 255, stroked=False, is_rect=True, layer=2),
    ):
        assert suspects([black], [harmless]) == []


def test_a_blank_box_shows_nothing() -> None:
    """A box of one grey is blank, one with a stroke is not, and one off the picture is unknown."""
    picture = np.full((100, 200), 250, np.uint8)
    picture[40:44, 20:60] = 90
    assert is_blank(picture, (50, 5, 80, 15), 2)
    assert not is_blank(picture, (10, 18, 40, 26), 2)
    assert not is_blank(np.zeros((0, 0), np.uint8), (10, 18, 40, 26), 2)


def test_words_off_the_page_or_without_size_are_out_of_sight() -> None:
    """The centre of a word decides: text may bleed over the edge."""
    assert out_of_sight(word(0, (190, 10, 230, 20), 0), PAGE)
    assert not out_of_sight(word(0, (170, 10, 220, 20), 0), PAGE)
    assert out_of_sight(LayoutWord("word", (10, 10, 12, 11), 0.8, 0, 0), PAGE)
