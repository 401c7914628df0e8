"""Hits by the value of a payload field, as a server groups them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

__all__ = ["grouped"]


def grouped(
    points: Sequence[models.ScoredPoint], key: str, limit: int, size: int
) -> list[models.PointGroup]:
    """The first ``limit`` groups of up to ``size`` points, in the order of their best points.

    A point with several values is in the group of each; one without a value is in none.
    """
    groups: dict[Any, list[models.ScoredPoint]] = {}
    for point in points:
        for value in _values((point.payload or {}).get(key)):
            if value in groups:
                if len(groups[value]) < size:
                    groups[value].append(point)
            elif len(groups) < limit:
                groups[value] = [point]
    return [models.PointGroup(id=value, hits=hits) for value, hits in groups.items()]


def _values(stored: Any) -> list[str | int]:
    listed = stored if isinstance(stored, list) else [stored]
    return [
        value
        for value in dict.fromkeys(v for v in listed if isinstance(v, str | int))
        if not isinstance(value, bool)
    ]
