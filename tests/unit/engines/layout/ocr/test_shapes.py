"""A line of text that is a picture or an outline is read, however small it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from numpy.typing import NDArray

from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.engines.layout.ocr.shapes import are_large, grounds, written_shapes
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

from ..test_engine import everything, parsed

TEXT = "The keeper climbs the stairs at dusk and writes the height of the tide into his book. " * 9


def page_with_text(document: pymupdf.Document) -> pymupdf.Page:
    page = document.new_page(width=595, height=842)
    page.insert_textbox((60, 300, 535, 700), TEXT, fontsize=11)
    return page


def line(text: str, size: float, font: str) -> pymupdf.Document:
    """A page that is as large as a line."""
    made = pymupdf.open()
    width = pymupdf.get_text_length(text, fontname=font, fontsize=size)
    page = made.new_page(width=width + 4, height=1.4 * size)
    page.insert_text((2, 1.05 * size), text, fontsize=size, fontname=font)
    return made


def read(document: pymupdf.Document, folder: Path) -> tuple[str, tuple[str, ...]]:
    document.save(folder / "page.pdf")
    (page,) = parsed(folder / "page.pdf")
    return everything([page]), page.flags


@pytest.mark.parametrize(
    ("text", "size", "font"),
    [
        ("HARBOUR TRUST", 16, "hebo"),
        ("Lantern and Sons Ltd", 12, "tiro"),
        ("Price: 4,250 euros", 20, "cour"),
    ],
)
def test_a_small_picture_of_text_is_read(tmp_path: Path, text: str, size: float, font: str) -> None:
    """The rest of the page has a good text layer."""
    document = pymupdf.open()
    page = page_with_text(document)
    drawn = line(text, size, font)[0].get_pixmap(dpi=200)
    width, height = drawn.width * 72 / 200, drawn.height * 72 / 200
    page.insert_image((60, 80, 60 + width, 80 + height), pixmap=drawn)
    found, flags = read(document, tmp_path)
    assert text.replace(" ", "") in found.replace(" ", "")
    assert "keeper climbs the stairs" in found
    assert Flag.OCR in flags


@pytest.mark.parametrize(
    ("text", "size", "font"),
    [
        ("Annual report", 26, "hebo"),
        ("Lighthouse keeping", 18, "tibo"),
        ("WINTER 1987", 22, "helv"),
    ],
)
def test_an_outlined_heading_is_read(tmp_path: Path, text: str, size: float, font: str) -> None:
    """Its glyphs are drawn as shapes."""
    outlined = line(text, size, font)[0].get_svg_image(text_as_path=True)
    shapes = pymupdf.open("pdf", pymupdf.open("svg", outlined.encode()).convert_to_pdf())
    assert not shapes[0].get_text().strip()
    document = pymupdf.open()
    page = page_with_text(document)
    x1, y1 = 60 + shapes[0].rect.width, 80 + shapes[0].rect.height
    page.show_pdf_page(pymupdf.Rect(60, 80, x1, y1), shapes)
    found, flags = read(document, tmp_path)
    assert text.replace(" ", "") in found.replace(" ", "")
    assert Flag.OCR in flags


# -- the rules -------------------------------------------------------------------------------


def paper() -> NDArray[np.uint8]:
    return np.full((300, 400, 3), 255, np.uint8)


def bars(picture: NDArray[np.uint8], box: tuple[int, int, int, int], step: int) -> None:
    """Draw upright strokes, as letters have."""
    x0, y0, x1, y1 = box
    for x in range(x0, x1, step):
        picture[y0:y1, x : x + max(1, step // 2)] = 0


def word(rect: tuple[float, float, float, float]) -> LayoutWord:
    return LayoutWord("word", rect, 10.0, 0, 0)


BOX = (50, 50, 200, 70)


def test_a_low_picture_with_strokes_looks_written() -> None:
    """One with words on it is their ground."""
    drawn = paper()
    bars(drawn, BOX, 6)
    assert written_shapes([BOX], [], [], drawn) == [BOX]
    assert written_shapes([BOX], [], [word((60, 55, 90, 66))], drawn) == []
    assert grounds([BOX], [word((60, 55, 90, 66))]) == [BOX]
    assert grounds([BOX], [word((60, 155, 90, 166))]) == []


@pytest.mark.parametrize("step", [40, 75, 150])
def test_a_bar_or_an_arrow_does_not_look_written(step: int) -> None:
    """It has few strokes for its length."""
    drawn = paper()
    bars(drawn, BOX, step)
    assert written_shapes([BOX], [], [], drawn) == []


@pytest.mark.parametrize(
    "box", [(50, 50, 80, 70), (50, 50, 200, 56), (50, 50, 350, 150), (50, 50, 60, 200)]
)
def test_other_formats_are_not_lines(box: tuple[int, int, int, int]) -> None:
    """Icons, ornaments, photos and side bars."""
    drawn = paper()
    bars(drawn, box, 6)
    assert written_shapes([box], [], [], drawn) == []


def test_glyphs_side_by_side_are_one_line() -> None:
    """Whatever their order in the file; another row is another line."""
    drawn = paper()
    glyphs = [(50.0 + 12 * i, 50.0 + i % 2, 60.0 + 12 * i, 70.0) for i in range(12)]
    below = [(x0, y0 + 60, x1, y1 + 60) for x0, y0, x1, y1 in glyphs]
    bars(drawn, (50, 50, 192, 70), 5)
    bars(drawn, (50, 110, 192, 130), 5)
    found = written_shapes([], [*reversed(below), *glyphs[::2], *glyphs[1::2]], [], drawn)
    assert sorted(found) == [(50, 50, 192, 70), (50, 110, 192, 130)]


def test_a_map_of_many_outlines_is_left_to_the_classifier() -> None:
    """So is a picture in slices."""
    outlines = [(i, 50.0, i + 2.0, 70.0) for i in range(70)]
    assert are_large([], outlines)
    assert are_large([(0, 0, 300, 55), (0, 55, 300, 110)], [])
    assert not are_large([BOX], outlines[:40])


@pytest.mark.parametrize(
    ("lines", "size", "font", "color"),
    [
        (["PAID", "1987"], 18, "hebo", (0, 0, 0)),
        (["ACME", "SHIP", "YARD"], 14, "tibo", (0, 0, 0.5)),
        (["Harbour", "of Brest"], 12, "cour", (0.3, 0.3, 0.3)),
    ],
)
def test_a_stamp_of_short_lines_is_read(
    tmp_path: Path, lines: list[str], size: float, font: str, color: tuple[float, ...]
) -> None:
    """It is as high as it is wide, like an icon."""
    stamp = pymupdf.open()
    width = max(pymupdf.get_text_length(t, fontname=font, fontsize=size) for t in lines)
    drawn = stamp.new_page(width=width + 6, height=1.25 * size * len(lines) + 6)
    drawn.insert_text((3, 3 + size), lines, fontsize=size, fontname=font, color=color)
    document = pymupdf.open()
    page = page_with_text(document)
    x1, y1 = 60 + drawn.rect.width, 80 + drawn.rect.height
    page.insert_image((60, 80, x1, y1), pixmap=drawn.get_pixmap(dpi=200))
    found, flags = read(document, tmp_path)
    assert all(text.replace(" ", "") in found.replace(" ", "") for text in lines)
    assert Flag.OCR in flags


SMALL = (50, 50, 82, 82)


def drawn_icon(draw: Callable[[pymupdf.Page, pymupdf.Rect], object]) -> NDArray[np.uint8]:
    page = pymupdf.open().new_page(width=400, height=300)
    draw(page, pymupdf.Rect(SMALL))
    pixmap = page.get_pixmap()
    return np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, pixmap.n)


def words_in(size: float, text: str) -> Callable[[pymupdf.Page, pymupdf.Rect], object]:
    return lambda page, box: page.insert_text((box.x0, box.y1 - 8), text, fontsize=size)


@pytest.mark.parametrize(("size", "text"), [(16, "Use"), (18, "No"), (12, "life"), (14, "and")])
def test_a_short_word_looks_written(size: float, text: str) -> None:
    """In a picture that is as high as it is wide, with empty rows above and below."""
    assert written_shapes([SMALL], [], [], drawn_icon(words_in(size, text))) == [SMALL]


@pytest.mark.parametrize(
    "draw",
    [
        lambda page, box: page.draw_oval(box, fill=(0.8, 0, 0)),
        lambda page, box: page.draw_oval((54, 54, 78, 78), width=3),
        lambda page, box: page.draw_rect((52, 52, 80, 80), width=2),
        lambda page, box: page.draw_line(box.tl, box.br, width=3),
        lambda page, box: page.draw_rect((52, 62, 80, 70), fill=(0, 0, 0)),
        lambda page, box: [page.draw_circle((66, y), 2, fill=(0, 0, 0)) for y in (56, 66, 76)],
        lambda page, box: None,
    ],
)
def test_an_icon_does_not_look_written(
    draw: Callable[[pymupdf.Page, pymupdf.Rect], object],
) -> None:
    """Discs, rings, frames, strokes, bars, dots and empty pictures."""
    assert written_shapes([SMALL], [], [], drawn_icon(draw)) == []
