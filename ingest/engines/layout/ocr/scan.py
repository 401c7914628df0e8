"""OCR of a page: decides whether it is needed and where, draws the page and reads the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np
import pymupdf
from numpy.typing import NDArray

from ....core.records import TextSource
from ..geometry import Rect, centre_inside, overlap, union
from ..model.layout_model import analyze_page, get_pixmap, pixmap_is_empty
from ..text_layer.extract import PageFacts
from ..text_layer.judge import TextLayer
from ..text_layer.words import LayoutWord
from .orientation import read_upright
from .recognizer import Corners, OcrLine, Pixels, Recognizer, lines_of
from .shapes import are_large, grounds, written_shapes

__all__ = ["areas_to_read", "grey_picture", "in_line", "read_page_image", "rect_of", "split_words"]

_MAX_SIDE: Final = 2000
"""Longest side in pixels. RapidOCR scales larger pictures down to it."""
_PICTURE_SIDE: Final = 8.0
"""Shortest side in points of a picture that may hold text. Smaller ones are rules and ornaments."""
_AREA_GAP: Final = 36.0
"""Points between two pictures above which they are read as two: three lines, as between the bars of
a chart whose labels are drawn as outlines."""
_EDGE: Final = 6.0  # points of paper around an area: letters at its edge are found badly
_LOWEST: Final = 4.0  # height in points of an area; outlines of small print are as high
_WORD = re.compile(r"\S+")


def areas_to_read(
    page: pymupdf.Page, facts: PageFacts, layer: TextLayer, drawn: Pixels | None
) -> list[Rect]:
    """Return the parts of a page that show text which its text layer lacks, from the top.

    They are unreadable words, and pictures that look like text. All text of a page without readable
    words is in one area, the page.

    Args:
        page: the upright page.
        facts: its content.
        layer: its text layer.
        drawn: its picture, one pixel per point; None if it is too large.
    """
    if not layer.good:
        shown = facts.images or facts.drawings or layer.garbled
        return [rect_of(page)] if shown else []
    words = [_padded(w.rect) for w in layer.unreadable]
    if layer.searchable:
        return _bands(words)
    pictures = [r for r in facts.images if _is_picture(r)]
    behind = grounds(pictures, layer.good)
    bare = [r for r in pictures if r not in behind]
    outlines = [d.rect for d in facts.drawings if not d.is_rect]
    if are_large(bare, outlines) and analyze_page(page)["needs_ocr"]:
        return _bands([*words, *pictures, *outlines])
    lines = [] if drawn is None else written_shapes(bare, outlines, layer.good, drawn)
    return _bands([*words, *lines])


def _bands(rects: Sequence[Rect]) -> list[Rect]:
    """Join rectangles that are close to each other in height; drop bands that are too small."""
    bands: list[Rect] = []
    for rect in sorted(rects, key=lambda r: r[1]):
        if bands and rect[1] - bands[-1][3] < _AREA_GAP:
            bands[-1] = union((bands[-1], rect))
        else:
            bands.append(rect)
    return [band for band in bands if min(band[2] - band[0], band[3] - band[1]) >= _LOWEST]


def _padded(rect: Rect) -> Rect:
    x0, y0, x1, y1 = rect
    pad = y1 - y0
    return (x0 - pad, y0 - pad / 2, x1 + pad, y1 + pad / 2)


def rect_of(page: pymupdf.Page) -> Rect:
    """Return the whole page, in points."""
    x0, y0, x1, y1 = page.rect
    return (x0, y0, x1, y1)


def read_page_image(
    page: pymupdf.Page,
    recognizer: Recognizer,
    dpi: int,
    known: Sequence[LayoutWord] = (),
    areas: Sequence[Rect] = (),
) -> tuple[int, float, list[OcrLine]]:
    """Draw a page without the ``known`` words of its text layer, and read the picture.

    Known words must be upright. With them, only the ``areas`` are read. A page without known words
    may be turned either way.

    Returns:
        The clockwise quarter turns that make the page upright, its skew after that in degrees
        clockwise, and the lines, in points of the page after it is turned and straightened.
    """
    dpi = _fitting(page, dpi)
    if known:
        return 0, 0.0, list(_read_areas(page, recognizer, dpi, known, areas))
    pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csRGB, alpha=False)
    if pixmap_is_empty(pixmap):
        return 0, 0.0, []
    turn, skew, lines = read_upright(_pixels(pixmap), recognizer)
    return turn, skew, [_line_at(line, (0.0, 0.0), dpi / 72) for line in lines]


def split_words(lines: Sequence[OcrLine], first: int) -> list[LayoutWord]:
    """Split lines, numbered from ``first``, into words as wide as their share of the letters."""
    words: list[LayoutWord] = []
    for number, (rect, text) in enumerate(lines, start=first):
        step = (rect[2] - rect[0]) / len(text)
        size = 0.8 * (rect[3] - rect[1])  # the box includes ascenders, descenders and some space
        for match in _WORD.finditer(text):
            x0, x1 = rect[0] + match.start() * step, rect[0] + match.end() * step
            where = (x0, rect[1], x1, rect[3])
            words.append(LayoutWord(match[0], where, size, number, number, source=TextSource.OCR))
    return words


def in_line(
    read: Sequence[LayoutWord], known: Sequence[LayoutWord], unreadable: Sequence[LayoutWord]
) -> tuple[LayoutWord, ...]:
    """Join the words of a page. Words read by OCR take the lines of those that they replace."""
    placed = []
    for word in read:
        home = next((w for w in unreadable if centre_inside(word.rect, w.rect)), None)
        placed.append(replace(word, line=home.line, block=home.block) if home else word)
    lines = {w.line for w in unreadable}
    words = sorted((*known, *placed), key=lambda w: (w.line, w.rect[0] if w.line in lines else 0))
    return tuple(words)


def grey_picture(page: pymupdf.Page, dpi: int) -> NDArray[np.uint8]:
    """Draw a page in greys, shape ``[height, width]``; empty if it is too large to be drawn."""
    try:
        pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csGRAY, alpha=False)
    except pymupdf.mupdf.FzErrorLimit:
        return np.zeros((0, 0), np.uint8)
    return np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width)


def _is_picture(rect: Rect) -> bool:
    return min(rect[2] - rect[0], rect[3] - rect[1]) >= _PICTURE_SIDE


def _read_areas(
    page: pymupdf.Page,
    recognizer: Recognizer,
    dpi: int,
    known: Sequence[LayoutWord],
    areas: Sequence[Rect],
) -> Iterator[OcrLine]:
    """Read parts of a page. The whole page is drawn only if known words have to be left out."""
    whole: pymupdf.Pixmap | None = None
    found: list[tuple[tuple[int, int], Corners, list[Pixels]]] = []
    for x0, y0, x1, y1 in areas:
        box = pymupdf.Rect(x0 - _EDGE, y0 - _EDGE, x1 + _EDGE, y1 + _EDGE) & page.rect
        if any(overlap(w.rect, tuple(box)) for w in known):
            whole = whole or get_pixmap(page.get_displaylist(), dpi, [w.rect for w in known])[0]
            left, top, right, bottom = (box * (dpi / 72)).irect
            part = _pixels(whole)[top:bottom, left:right]
        else:
            drawn = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csRGB, alpha=False, clip=box)
            left, top, part = drawn.x, drawn.y, _pixels(drawn)
        if part.size and part.min() < part.max():
            found.append(((left, top), *recognizer.find(part)))
    readings = iter(recognizer.read([crop for *_, crops in found for crop in crops]))
    for origin, corners, crops in found:
        for line in lines_of(corners, list(islice(readings, len(crops)))):
            yield _line_at(line, origin, dpi / 72)


def _pixels(drawn: pymupdf.Pixmap) -> Pixels:
    return np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, drawn.n)


def _line_at(line: OcrLine, origin: tuple[float, float], scale: float) -> OcrLine:
    (x0, y0, x1, y1), text = line
    x, y = origin
    return ((x0 + x) / scale, (y0 + y) / scale, (x1 + x) / scale, (y1 + y) / scale), text


def _fitting(page: pymupdf.Page, dpi: int) -> int:
    """Return the resolution, or a lower one at which the page is not too large."""
    longest = max(page.rect.width, page.rect.height, 1.0)
    return max(1, min(dpi, int(_MAX_SIDE * 72 / longest)))
