"""Which way up a scan is, found out by the shapes of its lines and by trial reading.

Turns are quarter turns clockwise that the picture needs to stand upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .ocr import OcrLine, Pixels, Recognizer, lines_of

__all__ = ["are_sideways", "better_way_up", "read_upright"]

_TALL: Final = 1.5
"""RapidOCR's own bound: a line cut out higher than this times its width is laid on its side."""
_PROBES: Final = 4
_SURE: Final = 0.85
"""Score of a right reading: lines of clean scans score 0.95 and more, upside down 0.3 to 0.7."""


def are_sideways(corners: NDArray[np.float32]) -> bool:
    """Whether most of the text, by length, runs up or down. Shape: ``[lines, 4, 2]``."""
    if not len(corners):
        return False
    extent = corners.max(axis=1) - corners.min(axis=1)
    width, height = extent[:, 0], extent[:, 1]
    tall, wide = height > _TALL * width, width > _TALL * height
    return bool(height[tall].sum() > width[wide].sum())


def better_way_up(as_is: Sequence[float], turned: Sequence[float]) -> bool:
    """Whether the same lines read better after half a turn; scores of both readings."""
    return bool(np.mean(turned) > np.mean(as_is) + 0.05) if as_is else False


def read_upright(pixels: Pixels, recognizer: Recognizer) -> tuple[int, Pixels, list[OcrLine]]:
    """Turn a picture upright and read it.

    Returns:
        The turn it needed (0 to 3), the upright picture, and its lines in pixels of that.
    """
    turn = 0
    corners, crops = recognizer.find(pixels)
    if are_sideways(corners):
        turn, pixels = 1, np.rot90(pixels, -1)
        corners, crops = recognizer.find(pixels)
    if _is_upside_down(corners, crops, recognizer):
        turn, pixels = turn + 2, np.rot90(pixels, 2)
        corners, crops = recognizer.find(pixels)
    return turn, np.ascontiguousarray(pixels), lines_of(corners, recognizer.read(crops))


def _is_upside_down(
    corners: NDArray[np.float32], crops: Sequence[Pixels], recognizer: Recognizer
) -> bool:
    """Read the longest lines both ways up, the second way only if the first leaves doubt."""
    if not len(corners):
        return False
    extent = corners.max(axis=1) - corners.min(axis=1)
    longest = [crops[i] for i in np.argsort(-extent[:, 0])[:_PROBES]]
    as_is = [score for _, score in recognizer.read(longest)]
    if np.mean(as_is) >= _SURE:
        return False
    turned = [np.ascontiguousarray(np.rot90(crop, 2)) for crop in longest]
    return better_way_up(as_is, [score for _, score in recognizer.read(turned)])
