"""What to do when a device runs out of memory: half as much at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import OutOfMemory

__all__ = ["halving_on_out_of_memory"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


def halving_on_out_of_memory(
    function: Callable[[Sequence[T]], list[R]], items: Sequence[T], what: str
) -> list[R]:
    """``function(items)``, or of both halves one after the other where the whole does not fit.

    Raises:
        OutOfMemory: one item alone does not fit.
    """
    import torch

    try:
        return function(items)
    except torch.OutOfMemoryError as error:
        if len(items) < 2:
            raise OutOfMemory(
                f"{what} does not fit the device's memory: {error}; choose a smaller mode or device"
                " cpu, or end other programs on the device"
            ) from error
    torch.cuda.empty_cache()
    middle = len(items) // 2
    _log.warning("%s: %d at once do not fit, going on with %d", what, len(items), middle)
    parts = items[:middle], items[middle:]
    return [r for part in parts for r in halving_on_out_of_memory(function, part, what)]
