"""Describes boxes of a page by the maps of the image network: means and extremes inside each box.

The values are those of ``pymupdf.layout.roi_pooling``, in half the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymupdf.layout.roi_pooling import _grid_coords_vec, extract_bbox_features_by_roi_pooling

from .vision import LaterMap, Map

__all__ = ["pool"]


def pool(features: Any, boxes: Sequence[Any], width: int, height: int, **options: Any) -> Map:
    """Return one row per box; a substitute for ``extract_bbox_features_by_roi_pooling``.

    Args:
        features: a :class:`LaterMap`; anything else is left to the vendor's function.
        boxes: in pixels of the drawn page.
        width: width of the drawn page, in pixels.
        height: its height.
        options: the vendor's. With ``apply_softmax``, a row has the means, minima and maxima of the
            labels' probabilities, and the means of their entropy and of the lead of the best one.
            Otherwise it has the means and maxima of the map.
    """
    if not isinstance(features, LaterMap):
        found: Map = extract_bbox_features_by_roi_pooling(features, boxes, width, height, **options)
        return found
    values = features.wait()
    _, rows, columns = values.shape
    corners = np.asarray(boxes, np.float64)
    grid = _grid_coords_vec(corners, columns, rows, width, height)
    describe = _label_rows if options.get("apply_softmax") else _feature_rows
    return np.array(list(describe(values, grid)), np.float32)


def _feature_rows(features: Map, grid: Sequence[NDArray[np.intp]]) -> Iterator[Map]:
    for points in _points(features, grid):
        yield np.concatenate([_means(points), np.maximum.reduce(points, axis=1)])


def _label_rows(labels: Map, grid: Sequence[NDArray[np.intp]]) -> Iterator[Map]:
    for points in _points(labels, grid):
        means, shares = _means(points), points[:-2]
        least, most = np.minimum.reduce(shares, axis=1), np.maximum.reduce(shares, axis=1)
        yield np.concatenate([means[:-2], least, most, means[-2:]])


def _means(points: Map) -> Map:
    means: Map = np.add.reduce(points, axis=1) / points.shape[1]  # half the time of mean()
    return means


def _points(values: Map, grid: Sequence[NDArray[np.intp]]) -> Iterator[Map]:
    """Yield the points inside each box, shape ``[channels, points]``."""
    for left, top, right, bottom in zip(*grid, strict=True):
        inside = values[:, top : bottom + 1, left : right + 1]
        yield inside.reshape(len(values), -1)
