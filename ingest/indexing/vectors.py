"""Checks the vectors that a model which is not ours returns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..core.errors import BadAnswer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["unit_vectors"]

_LARGEST: Final = 1e100  # larger numbers overflow when they are squared
_TINY: Final = 1e-12  # a shorter vector is all zeros: dividing by it would give noise


def unit_vectors(
    vectors: Sequence[object], model: str, count: int, dimension: int | None = None
) -> NDArray[np.float32]:
    """Return vectors as rows of unit length. Shape: ``[count, dimension]``.

    Raises:
        BadAnswer: there are more or fewer vectors, one is not a list of finite numbers, or their
            lengths are not ``dimension`` (None: not known yet) or differ from each other.
    """
    import numpy as np

    if len(vectors) != count:
        raise BadAnswer(f"{model} returned {len(vectors)} vectors for {count} texts: check it")
    try:
        rows = np.array(vectors, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # not numbers, or rows of different lengths
        rows = np.empty(0)
    if rows.ndim != 2 or not rows.shape[1] or not np.all(np.abs(rows) < _LARGEST):
        raise BadAnswer(f"{model} returned vectors that are not lists of finite numbers: check it")
    if dimension is not None and rows.shape[1] != dimension:
        raise BadAnswer(
            f"{model} returned vectors of {rows.shape[1]} numbers, but of {dimension} before:"
            " check that it is the same model"
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (rows / np.maximum(lengths, _TINY)).astype(np.float32)
    return unit
