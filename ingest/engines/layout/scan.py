"""OCR of a page: what to draw, which way up, and the lines as words of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pymupdf

from ...core.records import TextSource
from .extract import PageFacts
from .layout_model import analyze_page, get_pixmap, pixmap_is_empty
from .ocr import OcrLine, Pixels, Recognizer, lines_of
from .orientation import read_upright
from .pieces import Piece, Rect
from .text_layer import TextLayer

__all__ = ["ScanResult", "pieces_of", "read_page_image", "wants_ocr"]

_MAX_SIDE: Final = 2000
"""RapidOCR scales larger pictures down to this many pixels."""
_PICTURE_SIDE: Final = 8.0
"""Points. Lower pictures are rules and ornaments: no line of text fits in."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What OCR found. ``turn``: quarter turns clockwise that the page needed to stand upright.

    ``lines`` are in points of the upright page.
    """

    turn: int
    lines: tuple[tuple[Rect, str], ...]


def wants_ocr(page: pymupdf.Page, facts: PageFacts, layer: TextLayer) -> bool:
    """Whether text stands on the page that its text layer does not hold."""
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
    page: pymupdf.Page, recognizer: Recognizer, dpi: int, known: Sequence[Piece]
) -> ScanResult:
    """Read what is drawn on an upright page.

    Args:
        page: as displayed, or turned so that its ``known`` text stands upright.
        recognizer: the OCR models.
        dpi: resolution to draw at.
        known: text that need not be read; it is left out of the picture.
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


def pieces_of(lines: Sequence[tuple[Rect, str]], first: int) -> list[Piece]:
    """Lines as words; each word gets its share of the line's width, letter by letter.

    Args:
        lines: as in :class:`ScanResult`.
        first: number of the first line.
    """
    pieces: list[Piece] = []
    for number, (rect, text) in enumerate(lines, start=first):
        step = (rect[2] - rect[0]) / len(text)
        for word in _WORD.finditer(text):
            x0, x1 = rect[0] + word.start() * step, rect[0] + word.end() * step
            pieces.append(
                Piece(
                    text=word[0],
                    rect=(x0, rect[1], x1, rect[3]),
                    # Box heights hold ascenders, descenders and some air.
                    size=0.8 * (rect[3] - rect[1]),
                    line=number,
                    block=number,
                    source=TextSource.OCR,
                )
            )
    return pieces


def _read_as_is(pixels: Pixels, recognizer: Recognizer) -> tuple[int, Pixels, list[OcrLine]]:
    corners, crops = recognizer.find(pixels)
    return 0, pixels, lines_of(corners, recognizer.read(crops))


def _draw(page: pymupdf.Page, dpi: int, known: Sequence[Piece]) -> pymupdf.Pixmap | None:
    """Draw the page without the known words; None if nothing is left."""
    longest = max(page.rect.width, page.rect.height, 1.0)
    dpi = max(1, min(dpi, int(_MAX_SIDE * 72 / longest)))
    if known:
        pixmap, empty = get_pixmap(page.get_displaylist(), dpi, [p.rect for p in known])
    else:
        pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csRGB, alpha=False)
        empty = pixmap_is_empty(pixmap)
    return None if empty else pixmap


def _scaled(rect: Rect, scale: tuple[float, float]) -> Rect:
    x, y = scale
    return (rect[0] * x, rect[1] * y, rect[2] * x, rect[3] * y)
