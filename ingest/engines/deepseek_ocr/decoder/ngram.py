"""The no-repeat n-gram rules of the published code, as pure functions over token ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["NoRepeat", "banned_anywhere", "banned_in_window"]


@dataclass(frozen=True, slots=True)
class NoRepeat:
    """The windowed rule's numbers; the defaults are those of the published recipe."""

    size: int = 30
    window: int = 90


def banned_in_window(
    ids: Sequence[int], size: int, window: int, allowed: Collection[int] = ()
) -> set[int]:
    """Ids that would complete an n-gram a second time within the last ``window`` ids.

    Args:
        ids: generated ids only; the prompt does not count.
        size: length of an n-gram; 1 bans nothing, as in the published code.
        window: how far back an n-gram, whole, can lie.
        allowed: ids never banned: table cells repeat by right.
    """
    if size < 2 or len(ids) < size:
        return set()
    recent = list(ids[max(0, len(ids) - window) :])
    return _completions(recent, list(ids[1 - size :]), size) - set(allowed)


def banned_anywhere(ids: Sequence[int], size: int) -> set[int]:
    """Ids that would complete an n-gram a second time in all of ``ids``, prompt included."""
    if len(ids) < size:
        return set()
    every = list(ids)
    return _completions(every, every[len(every) + 1 - size :], size)


def _completions(ids: list[int], prefix: list[int], size: int) -> set[int]:
    starts = range(len(ids) - size + 1)
    return {ids[i + size - 1] for i in starts if ids[i : i + size - 1] == prefix}
