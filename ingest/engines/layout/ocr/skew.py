"""Measures by how much a scan is skewed, and straightens the boxes of its lines. Pure.

Angles are in degrees, clockwise positive, as seen on a page whose y runs down.
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["rotated", "skew_of"]

_LEAST: Final = 0.4
"""Smallest skew that matters: it moves the end of a line of 500 points by a quarter of its pitch.
Lines of straight pages were found at up to 0.26 degrees."""
_MOST: Final = 10.0  # of sheets laid in askew; text at a steeper angle was set so
_AGREE: Final = 0.75  # degrees around the skew in which most of the text must run
_LONG: Final = 3.0
"""Length over height of a line whose angle counts: corners lie a pixel or two off."""


def skew_of(corners: NDArray[np.float32]) -> float:
    """Return the angle at which most of the text runs, or 0 if it is small or has no such angle.

    Args:
        corners: those of the lines of an upright picture, shape ``[lines, 4, 2]``, in pixels.
    """
    if not len(corners):
        return 0.0
    sides = corners[:, (1, 2)] - corners[:, (0, 1)]
    lengths = np.linalg.norm(sides, axis=-1)
    rows, longer = np.arange(len(sides)), lengths.argmax(axis=1)
    along, length = sides[rows, longer], lengths[rows, longer]
    angles = (np.degrees(np.arctan2(along[:, 1], along[:, 0])) + 90) % 180 - 90
    counts = (length > _LONG * lengths.min(axis=1)) & (np.abs(angles) <= _MOST)
    if not counts.any():
        return 0.0
    by_angle = np.argsort(angles[counts])
    angles, weights = angles[counts][by_angle], length[counts][by_angle]
    reached = np.cumsum(weights)
    middle = float(angles[np.searchsorted(reached, reached[-1] / 2)])
    agreeing = weights[np.abs(angles - middle) <= _AGREE].sum()
    certain = abs(middle) >= _LEAST and 2 * agreeing > length.sum()
    return middle if certain else 0.0


def rotated(
    points: NDArray[np.float32], degrees: float, centre: tuple[float, float]
) -> NDArray[np.float32]:
    """Turn points, shape ``[..., 2]``, clockwise around a centre."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    around = np.asarray(centre, np.float32)
    turned = (points - around) @ np.array([[c, s], [-s, c]], np.float32) + around
    return np.asarray(turned, np.float32)
