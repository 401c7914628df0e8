"""Finds words of a text layer that nobody sees on the page. Pure.

A word is unseen if it stands outside the page, is too small to be ink, has the colour of its
ground, or lies under a filled area or a thick line. The last two are only suspected: a picture, a
blend mode or a curved shape may show the word after all. The drawn page decides, unless something
else is written over the cover: then the page shows the ink of the later text.

Units: points of the page, origin top left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..geometry import Rect, centre_inside, overlap
from .extract import Drawing
from .words import LayoutWord

__all__ = ["covers", "is_blank", "is_overwritten", "is_seen", "out_of_sight", "suspects"]

_SMALLEST: Final = 1.0  # size in points; smaller print is not legible
_ALIKE: Final = 10  # difference of each channel, of 255, that no eye notices
_LEAST_AREA: Final = 3.0  # shorter side in points; thinner ones are rules
_WRITTEN_OVER: Final = 0.1  # share of a word's box; words beside each other share nothing
_CONTRAST: Final = 16
"""Least difference of greys, of 255, within the box of a word that is seen. More than the
noise of a picture, less than pale print. Chosen, not measured."""
_INNER: Final = 3  # pixels; the inside of a thinner box tells nothing
_CLEAR: Final = 4 * _CONTRAST  # letters of a point's width are blurred, not pale

_Floats = NDArray[np.float64]


def out_of_sight(word: LayoutWord, page: Rect) -> bool:
    """Whether a word stands outside the page or is too small to be seen."""
    x0, y0, x1, y1 = word.rect
    # Fonts of drawn glyphs may have a size of 1 and any height.
    is_tiny = word.size < _SMALLEST and min(x1 - x0, y1 - y0) <= _SMALLEST
    return is_tiny or not centre_inside(word.rect, page)


def suspects(words: Sequence[LayoutWord], drawings: Sequence[Drawing]) -> list[int]:
    """Return the positions of words in the colour of their ground, or under something opaque.

    Of a curved shape and a frame only the box is known. They are suspected to fill it.
    """
    if not words:
        return []
    shapes = [d for d in drawings if d.alpha == 255 and _is_thick(d)]
    colours = np.array([_channels(w.color) for w in words], float)
    ground = np.full(colours.shape, 255.0)
    painted = np.array([w.block for w in words])
    doubted = np.zeros(len(words), bool)
    for shape, inside in _holding(shapes, words):  # in painting order: the last one is the ground
        doubted[inside[painted[inside] < shape.layer]] = True
        above = inside[painted[inside] > shape.layer]
        if shape.stroked:
            continue
        if shape.is_rect:
            ground[above] = _channels(shape.color)
        else:
            doubted[above] |= _alike(colours[above], np.array(_channels(shape.color), float))
    return [int(i) for i in np.flatnonzero(doubted | _alike(colours, ground))]


def covers(words: Sequence[LayoutWord], drawings: Sequence[Drawing]) -> dict[int, Drawing]:
    """Return the last opaque rectangle over each word that has one, by the word's position."""
    fills = [d for d in drawings if d.alpha == 255 and d.is_rect and not d.stroked and _is_thick(d)]
    found: dict[int, Drawing] = {}
    for fill, inside in _holding(fills, words):
        found |= {i: fill for i in inside.tolist() if words[i].block < fill.layer}
    return found


def is_overwritten(word: LayoutWord, cover: Drawing | None, words: Sequence[LayoutWord]) -> bool:
    """Whether a later word stands on the cover of a word, if it has one."""
    if cover is None:
        return False
    x0, y0, x1, y1 = word.rect
    least = _WRITTEN_OVER * (x1 - x0) * (y1 - y0)
    return any(w.block > cover.layer and overlap(w.rect, word.rect) > least for w in words)


def is_blank(picture: NDArray[np.uint8], rect: Rect, scale: float) -> bool:
    """Whether nothing is seen in a box of the page; False outside the picture.

    Pixels at its edge are left out, unless it is thin: a cover may end there, too.

    Args:
        picture: greys of the drawn page, shape ``[height, width]``.
        rect: the box, in points.
        scale: pixels per point.
    """
    scaled = [v * scale for v in rect]
    x0, y0, x1, y1 = (*map(ceil, scaled[:2]), *map(floor, scaled[2:]))
    if min(x1 - x0, y1 - y0) < _INNER:  # a dash fills its box
        x0, y0, x1, y1 = (*map(round, scaled[:2]), *(round(v) + 1 for v in scaled[2:]))
    part = picture[max(0, y0) : y1, max(0, x0) : x1]
    return bool(part.size) and int(part.max()) - int(part.min()) < _CONTRAST


def is_seen(picture: NDArray[np.uint8], rect: Rect) -> bool:
    """Whether something stands out well inside a box, in a picture of one pixel per point.

    Args:
        picture: the drawn page, shape ``[height, width, channels]``.
        rect: the box, in points. Its edge is left out: something else may touch it.
    """
    x0, y0 = (max(0, round(v) + 1) for v in rect[:2])
    x1, y1 = (round(v) - 1 for v in rect[2:])
    part = picture[y0:y1, x0:x1].astype(np.int16)
    return bool(part.size) and int(np.ptp(part, axis=(0, 1)).max()) >= _CLEAR


def _is_thick(drawing: Drawing) -> bool:
    x0, y0, x1, y1 = drawing.rect
    whole = drawing.is_rect or not drawing.stroked
    return whole and min(x1 - x0, y1 - y0) >= _LEAST_AREA


def _holding(
    shapes: Sequence[Drawing], words: Sequence[LayoutWord]
) -> Iterator[tuple[Drawing, NDArray[np.intp]]]:
    """Yield each shape around the centre of a word, with the positions of these words."""
    if not shapes:
        return
    boxes = np.array([w.rect for w in words], float)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    down = np.argsort(y)
    rects = np.array([s.rect for s in shapes], float)
    first = np.searchsorted(y[down], rects[:, 1])
    last = np.searchsorted(y[down], rects[:, 3], side="right")
    for i in np.flatnonzero(last > first).tolist():
        row = down[first[i] : last[i]]
        inside = row[(x[row] >= rects[i, 0]) & (x[row] <= rects[i, 2])]
        if inside.size:
            yield shapes[i], inside


def _alike(colours: _Floats, ground: _Floats) -> NDArray[np.bool_]:
    return np.asarray((np.abs(colours - ground) <= _ALIKE).all(axis=1), bool)


def _channels(color: int) -> tuple[int, int, int]:
    return color >> 16 & 255, color >> 8 & 255, color & 255
