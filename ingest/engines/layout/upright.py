"""Turns pages upright, and edits copies of them. The document itself never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import cos, radians, sin
from typing import Final

import pymupdf

from ...core.records import Box
from .copies import copied
from .geometry import Rect, moved_around
from .text_layer.words import LayoutWord

__all__ = ["box_maker", "erase", "straightened", "turned_page", "turned_rect", "write_lines"]

_LATIN: Final = "helv"
_WIDE: Final = "wide"


def turned_page(page: pymupdf.Page, turn: int) -> pymupdf.Page:
    """Turn a displayed page clockwise by quarter turns, and resolve its rotation.

    A page without turn and rotation is returned as it is. Any other page is copied, because other
    code may read the document again.
    """
    if not turn and not page.rotation:
        return page
    copy = copied(page)
    copy.set_mediabox(_crop_box(copy))  # remove_rotation (PyMuPDF 2.0) ignores the crop box
    copy.set_rotation((page.rotation + 90 * turn) % 360)
    copy.remove_rotation()
    return copy


def turned_rect(rect: Rect, size: tuple[float, float], turn: int) -> Rect:
    """Turn a rectangle clockwise by quarter turns, with a page of this width and height."""
    width, height = size
    for _ in range(turn % 4):
        rect = (height - rect[3], rect[0], height - rect[1], rect[2])
        width, height = height, width
    return rect


def erase(page: pymupdf.Page, words: Iterable[LayoutWord]) -> pymupdf.Page:
    """Copy an upright page without these words. Pictures and drawings stay."""
    copy = copied(page)
    for word in words:
        copy.add_redact_annot(word.rect)
    copy.apply_redactions(
        images=pymupdf.PDF_REDACT_IMAGE_NONE,
        graphics=pymupdf.PDF_REDACT_LINE_ART_NONE,
        text=pymupdf.PDF_REDACT_TEXT_REMOVE,
    )
    return copy


def write_lines(page: pymupdf.Page, lines: Sequence[tuple[Rect, str]]) -> pymupdf.Page:
    """Copy an upright page and write lines into their boxes: the layout model sees text only."""
    copy = copied(page)
    shape = copy.new_shape()
    names = [_LATIN if all(ord(char) < 256 for char in text) else _WIDE for _, text in lines]
    if _WIDE in names:
        copy.insert_font(fontname=_WIDE, fontbuffer=_font(_WIDE).buffer)
    for (rect, text), name in zip(lines, names, strict=True):
        height = rect[3] - rect[1]
        natural = _font(name).text_length(text, height)
        if height <= 0 or natural <= 0:
            continue
        foot = pymupdf.Point(rect[0], rect[3])
        squeeze = pymupdf.Matrix((rect[2] - rect[0]) / natural, 1)
        # pymupdf4llm also guesses that the baseline is a fifth of the height above the bottom.
        start = pymupdf.Point(rect[0], rect[3] - 0.2 * height)
        shape.insert_text(start, text, fontsize=height, fontname=name, morph=(foot, squeeze))
    shape.commit()
    return copy


def straightened(page: pymupdf.Page, skew: float) -> pymupdf.Page:
    """Copy a page whose content stands askew by ``skew`` degrees clockwise, and set it straight.

    The page itself keeps its size: corners of the content may end up outside.
    """
    copy = copied(page)
    box, c, s = _crop_box(copy), cos(radians(skew)), sin(radians(skew))
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    values = (c, s, -s, c, x - c * x + s * y, y - s * x - c * y)
    shift = b"q %.6f %.6f %.6f %.6f %.4f %.4f cm\n" % values
    stream = copy.parent.get_new_xref()
    copy.parent.update_object(stream, "<<>>")
    copy.parent.update_stream(stream, shift + copy.read_contents() + b"\nQ", new=True)
    copy.set_contents(stream)
    return copy


def box_maker(page_rect: Rect, turn: int, skew: float = 0.0) -> Callable[[Rect], Box]:
    """Return a function that converts points of the upright page to fractions of the displayed one.

    Args:
        page_rect: the upright page.
        turn: clockwise quarter turns from the displayed to the upright page.
        skew: degrees, clockwise, by which the content of the page was askew before it was
            straightened. Boxes go back to where their middle was.
    """
    left, top, right, bottom = page_rect
    width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)

    def to_box(rect: Rect) -> Box:
        corners: list[float] = []
        rect = moved_around(rect, skew, page_rect)
        for x, y in (rect[:2], rect[2:]):
            u, v = (x - left) / width, (y - top) / height
            corners += ((u, v), (v, 1 - u), (1 - u, 1 - v), (1 - v, u))[turn]
        return Box.clipped(*corners)

    return to_box


def _crop_box(page: pymupdf.Page) -> pymupdf.Rect:
    """Return the crop box with its origin at the bottom, as PDF and the media box have it."""
    crop, top = page.cropbox, page.mediabox.y1
    return pymupdf.Rect(crop.x0, top - crop.y1, crop.x1, top - crop.y0)


@cache
def _font(name: str) -> pymupdf.Font:
    return pymupdf.Font("helv" if name == _LATIN else "cjk")
