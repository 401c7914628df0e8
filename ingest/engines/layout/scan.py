"""OCR of a page: decides whether it is needed, draws the page and reads the picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pymupdf

from ...core.records import TextSource
from .extract import PageFacts
from .geometry import Rect
from .layout_model import analyze_page, get_pixmap, pixmap_is_empty
from .ocr import OcrLine, Pixels, Recognizer, lines_of
from .orientation import read_upright
from .text_layer import TextLayer
from .words import LayoutWord

__all__ = ["ScanResult", "read_page_image", "split_words", "wants_ocr"]

_MAX_SIDE: Final = 2000
"""Longest side in pixels. RapidOCR scales larger pictures down to it."""
_PICTURE_SIDE: Final = 8.0
"""Shortest side in points of a picture that may hold text. Smaller ones are rules and ornaments."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of OCR.

    Attributes:
        turn: clockwise quarter turns that made the page upright.
        lines: box of each line in points of the upright page, and its text.
    """

    turn: int
    lines: tuple[tuple[Rect, str], ...]


def wants_ocr(page: pymupdf.Page, facts: PageFacts, layer: TextLayer) -> bool:
    """Whether the page probably shows text that is missing from its text layer."""
    if layer.garbled:
        return True
    if not layer.good:
        return bool(facts.images or facts.vectors)
    if layer.searchable:
        return False
    pictures = [r for r in facts.images if min(r[2] - r[0], r[3] - r[1]) >= _PICTURE_SIDE]
    if not pictures and not facts.curves:
        return False
    return bool(analyze_page(page)["needs_ocr"])


def read_page_image(
    page: pymupdf.Page, recognizer: Recognizer, dpi: int, known: Sequence[LayoutWord]
) -> ScanResult:
    """Draw a page and read the picture.

    Args:
        page: the page as displayed, or turned so that its ``known`` text is upright.
        recognizer: the OCR models.
        dpi: resolution to draw at.
        known: words of the text layer. They are left out of the picture.
    """
    pixmap = _draw(page, dpi, known)
    if pixmap is None:
        return ScanResult(0, ())
    pixels = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 3)
    turn, pixels, lines = (
        read_upright(pixels, recognizer) if not known else _read_as_is(pixels, recognizer)
    )
    width, height = page.rect.width, page.rect.height
    if turn % 2:
        width, height = height, width
    scale = (width / pixels.shape[1], height / pixels.shape[0])
    return ScanResult(turn, tuple((_scaled(line.rect, scale), line.text) for line in lines))


def split_words(lines: Sequence[tuple[Rect, str]], first: int) -> list[LayoutWord]:
    """Split lines into words. A word's width is its share of the letters of the line.

    Args:
        lines: see :class:`ScanResult`.
        first: number of the first line.
    """
    words: list[LayoutWord] = []
    for number, (rect, text) in enumerate(lines, start=first):
        step = (rect[2] - rect[0]) / len(text)
        for match in _WORD.finditer(text):
            x0, x1 = rect[0] + match.start() * step, rect[0] + match.end() * step
            words.append(
                LayoutWord(
                    text=match[0],
                    rect=(x0, rect[1], x1, rect[3]),
                    # The box includes ascenders, descenders and some space.
                    size=0.8 * (rect[3] - rect[1]),
                    line=number,
                    block=number,
                    source=TextSource.OCR,
                )
            )
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


def _scaled(rect: Rect, scale: tuple[float, float]) -> Rect:
    x, y = scale
    return (rect[0] * x, rect[1] * y, rect[2] * x, rect[3] * y)
