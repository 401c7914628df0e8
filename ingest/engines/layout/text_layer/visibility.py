"""Finds words of a text layer that nobody sees on the page. Pure.

A word is unseen if it stands outside the page, is too small to be ink, has the colour of its
ground, or lies under a filled area. The last two are only suspected: a picture, a blend mode or a
curved shape may show the word after all. The drawn page decides.

Units: points of the page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..geometry import Rect, centre_inside
from .extract import Drawing
from .words import LayoutWord

__all__ = ["is_blank", "out_of_sight", "suspects"]

_SMALLEST: Final = 1.0  # size in points; the smallest print that is read, on banknotes, has 2
_ALIKE: Final = 10  # difference of each channel, of 255, that no eye notices
_LEAST_AREA: Final = 3.0  # shorter side in points; thinner fills are rules
_CONTRAST: Final = 16
"""Difference of greys, of 255, within the box of a word that is seen. Pale print has 30 or more;
JPEG noise on plain paper has up to 8."""

_WHITE: Final = (255, 255, 255)
_Floats = NDArray[np.float64]


def out_of_sight(word: LayoutWord, page: Rect) -> bool:
    """Whether a word stands outside the page or is too small to be seen."""
    return word.size < _SMALLEST or not centre_inside(word.rect, page)


def suspects(words: Sequence[LayoutWord], drawings: Sequence[Drawing]) -> list[int]:
    """Return the positions of words in the colour of their ground, or under a filled area."""
    fills = [d for d in drawings if _is_ground(d)]
    colours = np.array([_channels(w.color) for w in words], float).reshape(-1, 3)
    ground, covered = _grounds(words, fills)
    alike = (np.abs(colours - ground) <= _ALIKE).all(axis=1)
    return [int(i) for i in np.flatnonzero(alike | covered)]


def is_blank(picture: NDArray[np.uint8], rect: Rect, scale: float) -> bool:
    """Whether nothing is seen in a box of the page; False outside the picture.

    Args:
        picture: greys of the drawn page, shape ``[height, width]``.
        rect: the box, in points.
        scale: pixels per point.
    """
    x0, y0 = (max(0, round(v * scale)) for v in rect[:2])
    x1, y1 = (round(v * scale) + 1 for v in rect[2:])
    part = picture[y0:y1, x0:x1]
    return bool(part.size) and int(part.max()) - int(part.min()) < _CONTRAST


def _is_ground(drawing: Drawing) -> bool:
    x0, y0, x1, y1 = drawing.rect
    filled = not drawing.stroked and drawing.is_rect and drawing.alpha == 255
    return filled and min(x1 - x0, y1 - y0) >= _LEAST_AREA


def _grounds(
    words: Sequence[LayoutWord], fills: Sequence[Drawing]
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Return the colour under each word, and whether a fill lies over it."""
    ground = np.tile(np.array(_WHITE, float), (len(words), 1))
    covered = np.zeros(len(words), bool)
    if not fills or not words:
        return ground, covered
    boxes = np.array([w.rect for w in words], float)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    painted = np.array([w.block for w in words])
    for fill in fills:  # in painting order: the last one below a word is its ground
        x0, y0, x1, y1 = fill.rect
        inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        ground[inside & (painted > fill.layer)] = _channels(fill.color)
        covered |= inside & (painted < fill.layer)
    return ground, covered


def _channels(color: int) -> tuple[int, int, int]:
    return color >> 16 & 255, color >> 8 & 255, color & 255
