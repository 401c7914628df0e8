"""What to do when a device runs out of memory: try again with half of the work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from ....core.errors import OutOfMemory

__all__ = ["does_not_fit", "halving_on_out_of_memory"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


def does_not_fit(what: str, error: Exception) -> OutOfMemory:
    """The error for a page that does not fit though nothing else is there."""
    return OutOfMemory(
        f"{what} does not fit the device's memory: {error}; choose a smaller mode or device"
        " cpu, or end other programs on the device"
    )


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
            raise does_not_fit(what, error) from error
    torch.cuda.empty_cache()
    middle = len(items) // 2
    _log.warning("%s: %d at once do not fit, going on with %d", what, len(items), middle)
    parts = items[:middle], items[middle:]
    return [r for part in parts for r in halving_on_out_of_memory(function, part, what)]
