"""Finds out which way up a scan is, from the shapes of its lines and from trial readings.

Lines of a skewed scan are straightened: else those of different columns would shift against each
other. A turn is the number of clockwise quarter turns that make the picture upright.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .recognizer import OcrLine, Pixels, Recognizer, lines_of
from .skew import rotated, skew_of

__all__ = ["read_upright"]

_TALL: Final = 1.5
"""RapidOCR's own limit: it lays a line on its side if height over width exceeds this."""
_PROBES: Final = 4  # lines to read both ways up
_SURE: Final = 0.85
"""Mean score of a reading that is certainly the right way up. Lines of clean scans score 0.95 or
more, upside-down lines 0.3 to 0.7."""
_BETTER: Final = 0.05  # by which the reading after half a turn must score higher


def read_upright(pixels: Pixels, recognizer: Recognizer) -> tuple[int, float, list[OcrLine]]:
    """Turn a picture upright and read it.

    Returns:
        The turn (0 to 3), the skew of the upright picture in degrees clockwise, and its lines, in
        pixels of that picture after it is straightened around its centre.
    """
    turn, (height, width) = 0, pixels.shape[:2]
    corners, crops = recognizer.find(pixels)
    if _are_sideways(corners):
        crops = [_quarter_turned(*x) for x in zip(corners, crops, strict=True)]
        corners = np.stack([corners[..., 1], pixels.shape[1] - corners[..., 0]], axis=-1)
        turn, width, height = 3, height, width
    lengths = np.ptp(corners[..., 0], axis=1)
    probes = [int(i) for i in np.argsort(-lengths)[:_PROBES]]
    readings = dict(zip(probes, recognizer.read([crops[i] for i in probes]), strict=True))
    if _is_upside_down(crops, readings, recognizer):
        turn, readings = (turn + 2) % 4, {}
        corners = np.asarray((width, height), dtype=np.float32) - corners
        crops = [_half_turned(crop) for crop in crops]
    left = [i for i in range(len(crops)) if i not in readings]
    readings |= zip(left, recognizer.read([crops[i] for i in left]), strict=True)
    skew = skew_of(corners)
    if skew:
        corners = rotated(corners, -skew, (width / 2, height / 2))
    return turn, skew, lines_of(corners, [readings[i] for i in range(len(crops))])


def _are_sideways(corners: NDArray[np.float32]) -> bool:
    """Whether most of the text, by length, runs up or down."""
    width, height = np.ptp(corners, axis=1).T
    tall, wide = height > _TALL * width, width > _TALL * height
    return bool(height[tall].sum() > width[wide].sum())


def _is_upside_down(
    crops: Sequence[Pixels], readings: Mapping[int, tuple[str, float]], recognizer: Recognizer
) -> bool:
    """Read the same lines upside down if their scores leave doubt, and compare."""
    as_is = [score for _, score in readings.values()]
    if not as_is or np.mean(as_is) >= _SURE:
        return False
    turned = recognizer.read([_half_turned(crops[i]) for i in readings])
    return bool(np.mean([score for _, score in turned]) > np.mean(as_is) + _BETTER)


def _quarter_turned(box: NDArray[np.float32], crop: Pixels) -> Pixels:
    """Turn the picture of a line counterclockwise unless RapidOCR did so, as for tall boxes."""
    width, height = np.ptp(box, axis=0)
    return crop if height >= _TALL * width else np.ascontiguousarray(np.rot90(crop))


def _half_turned(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, 2))
