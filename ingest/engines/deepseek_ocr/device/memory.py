"""Retry with half of the work when a device runs out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from ....core.errors import OutOfMemory

__all__ = ["out_of_memory", "split_on_out_of_memory"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


def split_on_out_of_memory(
    function: Callable[[Sequence[T]], list[R]], items: Sequence[T], what: str
) -> list[R]:
    """Call ``function(items)``; if memory runs out, call it on each half instead, recursively.

    Returns one result per item, in order. ``what`` names the work in the log and in the error.

    Raises:
        OutOfMemory: a single item does not fit.
    """
    import torch

    try:
        return function(items)
    except torch.OutOfMemoryError as error:
        if len(items) < 2:
            raise out_of_memory(what, error) from error
    torch.cuda.empty_cache()
    middle = len(items) // 2
    _log.warning("%s: out of memory with a batch of %d, retrying with %d", what, len(items), middle)
    halves = items[:middle], items[middle:]
    return [r for half in halves for r in split_on_out_of_memory(function, half, what)]


def out_of_memory(what: str, error: Exception) -> OutOfMemory:
    """Build the error for work that does not fit even in its smallest part."""
    return OutOfMemory(
        f"{what} does not fit the device's memory: {error}; choose a smaller mode, use device"
        " 'cpu', or end other programs on the device"
    )
