"""OCR of a page: decides whether it is needed, draws the page and reads the picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pymupdf

from ...core.records import TextSource
from .extract import PageFacts
from .layout_model import analyze_page, get_pixmap, pixmap_is_empty
from .ocr import OcrLine, Pixels, Recognizer, lines_of
from .orientation import read_upright
from .text_layer import TextLayer
from .words import LayoutWord

__all__ = ["read_page_image", "split_words", "wants_ocr"]

_MAX_SIDE: Final = 2000
"""Longest side in pixels. RapidOCR scales larger pictures down to it."""
_PICTURE_SIDE: Final = 8.0
"""Shortest side in points of a picture that may hold text. Smaller ones are rules and ornaments."""
_WORD = re.compile(r"\S+")


def wants_ocr(page: pymupdf.Page, facts: PageFacts, layer: TextLayer) -> bool:
    """Whether the page probably shows text that is missing from its text layer."""
    if layer.garbled:
        return True
    if not layer.good:
        return bool(facts.images or facts.drawings)
    if layer.searchable:
        return False
    has_curves = any(not d.is_rect for d in facts.drawings)
    has_picture = any(min(r[2] - r[0], r[3] - r[1]) >= _PICTURE_SIDE for r in facts.images)
    return bool((has_picture or has_curves) and analyze_page(page)["needs_ocr"])


def read_page_image(
    page: pymupdf.Page, recognizer: Recognizer, dpi: int, known: Sequence[LayoutWord]
) -> tuple[int, list[OcrLine]]:
    """Draw a page without the ``known`` words of its text layer, and read the picture.

    Known words must be upright; a page without them may be turned either way.

    Returns:
        The clockwise quarter turns that make the page upright, and the lines, in points of the
        upright page.
    """
    pixmap = _draw(page, dpi, known)
    if pixmap is None:
        return 0, []
    pixels = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 3)
    turn, pixels, lines = (_read_as_is if known else read_upright)(pixels, recognizer)
    width, height = page.rect.width, page.rect.height
    if turn % 2:
        width, height = height, width
    x, y = width / pixels.shape[1], height / pixels.shape[0]
    return turn, [((r[0] * x, r[1] * y, r[2] * x, r[3] * y), text) for r, text in lines]


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


def _read_as_is(pixels: Pixels, recognizer: Recognizer) -> tuple[int, Pixels, list[OcrLine]]:
    corners, crops = recognizer.find(pixels)
    return 0, pixels, lines_of(corners, recognizer.read(crops))


def _draw(page: pymupdf.Page, dpi: int, known: Sequence[LayoutWord]) -> pymupdf.Pixmap | None:
    """Draw the page without the known words; None if the picture is empty."""
    longest = max(page.rect.width, page.rect.height, 1.0)
    dpi = max(1, min(dpi, int(_MAX_SIDE * 72 / longest)))
    if known:
        pixmap, empty = get_pixmap(page.get_displaylist(), dpi, [w.rect for w in known])
    else:
        pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csRGB, alpha=False)
        empty = pixmap_is_empty(pixmap)
    return None if empty else pixmap
