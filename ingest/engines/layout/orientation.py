"""Which way up a scan is, found out by the shapes of its lines and by trial reading.

Turns are quarter turns clockwise that the picture needs to stand upright.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        crops = [_quarter_turned(*x) for x in zip(corners, crops, strict=True)]
        corners = np.stack([corners[..., 1], pixels.shape[1] - corners[..., 0]], axis=-1)
        turn, pixels = 3, np.rot90(pixels)
    probes = _longest(corners)
    readings = dict(zip(probes, recognizer.read([crops[i] for i in probes]), strict=True))
    if _is_upside_down(crops, readings, recognizer):
        turn, pixels, readings = (turn + 2) % 4, np.rot90(pixels, 2), {}
        height, width = pixels.shape[:2]
        corners = np.asarray((width, height), dtype=np.float32) - corners
        crops = [_half_turned(crop) for crop in crops]
    left = [i for i in range(len(crops)) if i not in readings]
    readings |= zip(left, recognizer.read([crops[i] for i in left]), strict=True)
    lines = lines_of(corners, [readings[i] for i in range(len(crops))])
    return turn, np.ascontiguousarray(pixels), lines


def _longest(corners: NDArray[np.float32]) -> list[int]:
    extent = corners[:, :, 0].max(axis=1, initial=0) - corners[:, :, 0].min(axis=1, initial=1e9)
    return [int(i) for i in np.argsort(-extent)[:_PROBES]]


def _is_upside_down(
    crops: Sequence[Pixels], readings: Mapping[int, tuple[str, float]], recognizer: Recognizer
) -> bool:
    """Read lines the other way up as well, if the first reading leaves doubt."""
    as_is = [score for _, score in readings.values()]
    if not as_is or np.mean(as_is) >= _SURE:
        return False
    turned = recognizer.read([_half_turned(crops[i]) for i in readings])
    return better_way_up(as_is, [score for _, score in turned])


def _quarter_turned(box: NDArray[np.float32], crop: Pixels) -> Pixels:
    """Turn a crop counterclockwise, as RapidOCR has already done where its box is tall."""
    width, height = np.ptp(box, axis=0)
    return crop if height >= _TALL * width else np.ascontiguousarray(np.rot90(crop))


def _half_turned(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, 2))
