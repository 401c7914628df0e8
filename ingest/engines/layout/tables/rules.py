"""Finds the rules of a page: the straight lines that its drawings show. Pure.

A rule is a line, a thin bar, the side of a framed box, or the edge of a coloured area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..geometry import Rect, area
from ..text_layer.extract import Drawing

__all__ = ["SNAP", "Rules", "find_rules"]

SNAP: Final = 3.0
"""Points within which two lines are one. Sides of neighbouring boxes are a stroke apart, double
rules 1.5 to 3; a row of the smallest legible text is 6 high."""
_THIN: Final = 3.0  # thickness of the heaviest rules
_SHORTEST: Final = 4.0  # shorter marks are dots, dashes and parts of letters
_WHITE: Final = 0xFF
_FAINT: Final = 5
"""Steps of 255 from white. A lighter grey than 0xFAFAFA is not seen on a screen."""
_MIN_ALPHA: Final = 13  # 5 % opacity
_PAPER: Final = 0.9  # share of the page that its background covers
_MOST: Final = 1000
"""Rules in each direction. Tables have some hundreds, maps and hatches have thousands."""
_FAR: Final = 1e6  # points; farther than any two points of a page

Segments = NDArray[np.float64]
"""Shape ``[n, 3]``: position, start and end."""
_NONE: Final = np.empty((0, 3))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a page in points, sorted.

    Attributes:
        across: ``(y, x0, x1)``.
        down: ``(x, y0, y1)``.
        underlines: those of ``across`` that are drawn as lines, not as the edge of an area.
    """

    across: Segments
    down: Segments
    underlines: Segments

    def within(self, rect: Rect, margin: float = SNAP) -> Rules:
        """The rules that touch a rectangle grown by ``margin``, not clipped."""
        x0, y0, x1, y1 = rect[0] - margin, rect[1] - margin, rect[2] + margin, rect[3] + margin
        return Rules(
            _touching(self.across, y0, y1, x0, x1),
            _touching(self.down, x0, x1, y0, y1),
            _touching(self.underlines, y0, y1, x0, x1),
        )


def find_rules(drawings: Sequence[Drawing], page: Rect) -> Rules:
    """Find the rules among the drawings of a page, without lines in the colour of the paper."""
    straight = [d for d in drawings if d.is_rect and d.alpha >= _MIN_ALPHA]
    if not straight:
        return Rules(_NONE, _NONE, _NONE)
    rects = np.array([d.rect for d in straight])
    colors = np.array([d.color for d in straight])
    stroked = np.array([d.stroked for d in straight])
    width, height = rects[:, 2] - rects[:, 0], rects[:, 3] - rects[:, 1]
    thin = np.minimum(width, height) <= _THIN
    long = np.maximum(width, height) >= _SHORTEST
    filled = ~stroked & ~thin
    sheets = filled & (width * height >= _PAPER * area(page))
    shown = ~_is_white(colors) if not sheets.any() else colors != colors[sheets][-1]
    ground = filled & shown & ~sheets
    areas = _joined(rects[ground], colors[ground])
    pale = np.concatenate([rects[thin & long & ~shown], _frames(rects[stroked & ~thin & ~shown])])
    pale = pale[_on_colour(pale, np.concatenate([rects[ground], areas]))]
    lines = np.concatenate([rects[thin & long & shown], pale])
    boxes = rects[stroked & ~thin & shown]
    flat = lines[:, 2] - lines[:, 0] >= lines[:, 3] - lines[:, 1]
    drawn = np.concatenate([_centred(lines[flat], 1), _sides(boxes, 1)])
    boxes = np.concatenate([boxes, areas])
    return Rules(
        across=_merged(np.concatenate([_centred(lines[flat], 1), _sides(boxes, 1)])),
        down=_merged(np.concatenate([_centred(lines[~flat], 0), _sides(boxes, 0)])),
        underlines=_merged(drawn),
    )


def _touching(lines: Segments, low: float, high: float, start: float, end: float) -> Segments:
    position, first, last = lines.T
    inside = (position >= low) & (position <= high) & (last >= start) & (first <= end)
    return np.asarray(lines[inside])


def _is_white(colors: NDArray[np.int64]) -> NDArray[np.bool_]:
    darkest = np.minimum(np.minimum(colors >> 16, colors >> 8 & _WHITE), colors & _WHITE)
    return np.asarray(darkest >= _WHITE - _FAINT)


def _frames(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The four sides of boxes, as lines without thickness."""
    x0, y0, x1, y1 = boxes.T
    sides = ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1))
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def _on_colour(rects: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rectangles have their centre on a coloured area: white lines show there."""
    areas = areas[: 2 * _MOST]
    if not len(areas) or not len(rects):
        return np.zeros(len(rects), np.bool_)
    x, y = (rects[:, 0] + rects[:, 2]) / 2, (rects[:, 1] + rects[:, 3]) / 2
    seen = np.zeros(len(rects), np.bool_)
    for x0, y0, x1, y1 in np.unique(areas, axis=0):
        seen |= (x0 < x) & (x < x1) & (y0 < y) & (y < y1)
    return seen


def _joined(rects: NDArray[np.float64], colors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Join areas of one colour that lie side by side: no edge shows between them."""
    for side in (0, 1):  # first along the rows, then down the columns
        across = 1 - side
        keys = np.stack([colors, np.round(rects[:, across]), np.round(rects[:, across + 2])])
        order = np.lexsort((rects[:, side], *keys[::-1]))
        rects, colors, keys = rects[order], colors[order], keys[:, order]
        if len(rects) < 2:
            break
        same = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
        touch = rects[1:, side] - rects[:-1, side + 2] <= 0.5
        starts = np.flatnonzero(np.concatenate([[True], ~(same & touch)]))
        low = np.minimum.reduceat(rects, starts)[:, :2]
        high = np.maximum.reduceat(rects, starts)[:, 2:]
        rects, colors = np.concatenate([low, high], axis=1), colors[starts]
    return rects


def _centred(lines: NDArray[np.float64], axis: int) -> Segments:
    middle = (lines[:, axis] + lines[:, axis + 2]) / 2
    return np.stack([middle, lines[:, 1 - axis], lines[:, 3 - axis]], axis=1)


def _sides(boxes: NDArray[np.float64], axis: int) -> Segments:
    sides = [
        np.stack([boxes[:, i], boxes[:, 1 - axis], boxes[:, 3 - axis]], 1) for i in (axis, axis + 2)
    ]
    return np.concatenate(sides)


def _merged(lines: Segments) -> Segments:
    """Give lines within the snap distance one position, and join those that touch."""
    if not len(lines):
        return _NONE
    lines = lines[np.lexsort((lines[:, 2], lines[:, 1], lines[:, 0]))]
    group, positions = _snapped(lines[:, 0])
    order = np.lexsort((lines[:, 1], group))
    group, low, high = group[order], lines[order, 1], lines[order, 2]
    reach = np.maximum.accumulate(high + group * _FAR)
    apart = (low + group * _FAR)[1:] - reach[:-1] > SNAP
    first = np.flatnonzero(np.concatenate([[True], apart]))
    ends = np.maximum.reduceat(high, first)
    found: Segments = np.stack([positions[group[first]], low[first], ends], axis=1)
    found = found[found[:, 2] - found[:, 1] >= _SHORTEST]
    if len(found) > _MOST:
        longest = np.argsort(found[:, 1] - found[:, 2], kind="stable")[:_MOST]
        found = found[np.sort(longest)]
    return found


def _snapped(
    positions: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The group of each sorted position, and the mean of each group."""
    starts: list[int] = []
    start = 0
    while start < len(positions):
        starts.append(start)
        start = int(np.searchsorted(positions, positions[start] + SNAP, side="right"))
    counts = np.diff([*starts, len(positions)])
    return np.repeat(np.arange(len(starts)), counts), np.add.reduceat(positions, starts) / counts
