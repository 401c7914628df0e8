"""Rectangles on a page. Pure.

Units: points (1/72 inch) of the upright page, origin top left, y down.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, radians, sin
from typing import Final

__all__ = [
    "SAME_SPOT",
    "Rect",
    "area",
    "centre_inside",
    "intersection",
    "moved_around",
    "overlap",
    "union",
    "vertical_overlap",
]

Rect = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)``."""


SAME_SPOT: Final = 0.15
"""Largest distance between two copies of a word, in font sizes: a shadow is set off by less, and a
repeated word of running text by its own width. Chosen, not measured."""


def area(rect: Rect) -> float:
    """Area of a rectangle."""
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def union(rects: Iterable[Rect]) -> Rect:
    """Return the smallest rectangle around all of them; there must be at least one."""
    x0, y0, x1, y1 = zip(*rects, strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def centre_inside(inner: Rect, outer: Rect, margin: float = 0.0) -> bool:
    """Whether the centre of ``inner`` lies in ``outer`` grown by ``margin`` on each side."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    across = outer[0] - margin <= x <= outer[2] + margin
    return across and outer[1] - margin <= y <= outer[3] + margin


def intersection(a: Rect, b: Rect) -> Rect:
    """Return the common rectangle of two that overlap."""
    return (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))


def moved_around(rect: Rect, degrees: float, page: Rect) -> Rect:
    """Move a rectangle clockwise around the centre of a page; its sides keep their directions."""
    if not degrees:
        return rect
    c, s = cos(radians(degrees)), sin(radians(degrees))
    x, y = (rect[0] + rect[2] - page[0] - page[2]) / 2, (rect[1] + rect[3] - page[1] - page[3]) / 2
    right, down = c * x - s * y - x, s * x + c * y - y
    return (rect[0] + right, rect[1] + down, rect[2] + right, rect[3] + down)


def overlap(a: Rect, b: Rect) -> float:
    """Area of the intersection."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def vertical_overlap(a: Rect, b: Rect) -> float:
    """Height of the intersection as a share of the smaller height; negative if they are apart."""
    common = min(a[3], b[3]) - max(a[1], b[1])
    return common / max(1e-6, min(a[3] - a[1], b[3] - b[1]))
