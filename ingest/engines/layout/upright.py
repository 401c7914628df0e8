"""Pages turned so that their text stands upright, without touching the document itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

import pymupdf

from ...core.records import Box
from .pieces import Piece, Rect

__all__ = ["box_maker", "erase", "turned_page", "write_lines"]

_LATIN: Final = "helv"
_WIDE: Final = "wide"


def turned_page(page: pymupdf.Page, turn: int) -> pymupdf.Page:
    """The page as displayed, turned clockwise by quarter turns, its rotation worked in.

    A page that needs no turn is returned as it is; any other is a copy, since the document
    may be read again by others.
    """
    if not turn and not page.rotation:
        return page
    copy = _copied(page)
    copy.set_mediabox(_shown(copy))  # remove_rotation (PyMuPDF 2.0) forgets that pages are cropped
    copy.set_rotation((page.rotation + 90 * turn) % 360)
    copy.remove_rotation()
    return copy


def erase(page: pymupdf.Page, pieces: Iterable[Piece]) -> pymupdf.Page:
    """A copy of an upright page without these words; pictures and drawings stay."""
    copy = _copied(page)
    for piece in pieces:
        copy.add_redact_annot(piece.rect)
    copy.apply_redactions(
        images=pymupdf.PDF_REDACT_IMAGE_NONE,
        graphics=pymupdf.PDF_REDACT_LINE_ART_NONE,
        text=pymupdf.PDF_REDACT_TEXT_REMOVE,
    )
    return copy


def write_lines(page: pymupdf.Page, lines: Iterable[tuple[Rect, str]]) -> pymupdf.Page:
    """A copy of an upright page with lines written where they were read.

    The layout model sees text, not pixels.
    """
    copy = _copied(page)
    shape = copy.new_shape()
    fonts = set()
    for rect, text in lines:
        name = _LATIN if _is_latin(text) else _WIDE
        if name == _WIDE and name not in fonts:
            copy.insert_font(fontname=_WIDE, fontbuffer=_font(_WIDE).buffer)
            fonts.add(name)
        height = rect[3] - rect[1]
        natural = _font(name).text_length(text, height)
        if height <= 0 or natural <= 0:
            continue
        foot = pymupdf.Point(rect[0], rect[3])
        squeeze = pymupdf.Matrix((rect[2] - rect[0]) / natural, 1)
        # The baseline is a fifth of the height above the foot: pymupdf4llm's guess.
        start = pymupdf.Point(rect[0], rect[3] - 0.2 * height)
        shape.insert_text(start, text, fontsize=height, fontname=name, morph=(foot, squeeze))
    shape.commit()
    return copy


def box_maker(page_rect: Rect, turn: int) -> Callable[[Rect], Box]:
    """Make the function from points of the upright page to fractions of the displayed page.

    Args:
        page_rect: the upright page.
        turn: quarter turns clockwise from the displayed to the upright page.
    """
    left, top, right, bottom = page_rect
    width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)

    def to_box(rect: Rect) -> Box:
        corners = [
            _turned_back((rect[i] - left) / width, (rect[i + 1] - top) / height, turn)
            for i in (0, 2)
        ]
        return Box.clipped(*corners[0], *corners[1])

    return to_box


def _turned_back(u: float, v: float, turn: int) -> tuple[float, float]:
    return ((u, v), (v, 1 - u), (1 - u, 1 - v), (1 - v, u))[turn]


def _copied(page: pymupdf.Page) -> pymupdf.Page:
    document = pymupdf.open()
    document.insert_pdf(page.parent, from_page=page.number, to_page=page.number)
    return document[0]


def _shown(page: pymupdf.Page) -> pymupdf.Rect:
    """The crop box as PDF has it: from the bottom, like the media box."""
    crop, top = page.cropbox, page.mediabox.y1
    return pymupdf.Rect(crop.x0, top - crop.y1, crop.x1, top - crop.y0)


def _is_latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)


@cache
def _font(name: str) -> pymupdf.Font:
    return pymupdf.Font("helv" if name == _LATIN else "cjk")
