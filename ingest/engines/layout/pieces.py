"""The word as it stands on a page, and the little geometry everything here needs. Pure.

Units: points (1/72 inch) of the upright page, origin top left, y down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...core.records import TextSource

__all__ = ["Piece", "Rect", "centre_inside", "overlap", "union", "vertical_overlap"]

Rect = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or the part of one that shares a font.

    ``line`` and ``block`` number the line and paragraph of the source; pieces of a line are
    stored in reading order. ``glued`` says that no space parts the piece from the one before,
    ``raised`` that it is a superscript.
    ``turn`` is the direction of writing in quarter turns clockwise, 0 for upright text.
    """

    text: str
    rect: Rect
    size: float
    line: int
    block: int
    glued: bool = False
    mono: bool = False
    bold: bool = False
    raised: bool = False
    visible: bool = True
    turn: int = 0
    source: TextSource = TextSource.TEXT_LAYER


def union(rects: Iterable[Rect]) -> Rect:
    """The smallest rectangle around all; there must be at least one."""
    x0, y0, x1, y1 = zip(*rects, strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def centre_inside(inner: Rect, outer: Rect, margin: float = 0.0) -> bool:
    """Whether the centre of ``inner`` lies in ``outer`` grown by ``margin``."""
    x = (inner[0] + inner[2]) / 2
    y = (inner[1] + inner[3]) / 2
    return (
        outer[0] - margin <= x <= outer[2] + margin and outer[1] - margin <= y <= outer[3] + margin
    )


def overlap(a: Rect, b: Rect) -> float:
    """Area both cover."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def vertical_overlap(a: Rect, b: Rect) -> float:
    """Share of the lower one's height that both have in common."""
    common = min(a[3], b[3]) - max(a[1], b[1])
    return common / max(1e-6, min(a[3] - a[1], b[3] - b[1]))
