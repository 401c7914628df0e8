"""Detect that a decoder has stopped reading the page and repeats itself.

The no-repeat n-gram rule bans repetition within a short window. Three kinds pass it: cycles longer
than the window, stutters that change a word each time, and drifts, which repeat a block with its
box moved a little. Thresholds are far above what real pages contain, because a page cut short is
worse than some wasted tokens. This module knows token ids only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = [
    "LoopDetector",
    "RepetitionDetector",
    "cycle_start",
    "is_cycle",
    "is_drift",
    "is_stutter",
]

LoopDetector = Callable[[Sequence[int]], bool]
"""Takes the ids generated so far; returns whether to stop the page."""

_LONGEST_CYCLE = 512
_CYCLE_TOKENS = 512  # a row of 100 empty table cells repeats for 200
_STUTTER_TOKENS = 768
_STUTTER_SHARE = 0.1
_STUTTER_GRAM = 8
_DRIFT_BLOCKS = 12  # rows of icons or ruled lines give fewer


@dataclass(frozen=True, slots=True)
class RepetitionDetector:
    """Detects cycles, stutters and drifts."""

    numbers: Mapping[int, int] = field(repr=False)  # ids of number tokens, with their values
    marker: int  # id that opens the box of a block

    def __call__(self, ids: Sequence[int]) -> bool:
        """Whether ``ids`` end in one of them."""
        return is_cycle(ids) or is_stutter(ids) or is_drift(ids, self.numbers, self.marker)


def is_cycle(ids: Sequence[int]) -> bool:
    """Whether ``ids`` end in exact repetition: at least four times and for at least 512 ids."""
    return _period(ids) > 0


def cycle_start(ids: Sequence[int]) -> int:
    """Return the position after the first round of the final cycle, or ``len(ids)`` if none."""
    period = _period(ids)
    if not period:
        return len(ids)
    start = len(ids) - period
    while start and ids[start - 1] == ids[start - 1 + period]:
        start -= 1
    return start + period


def _period(ids: Sequence[int]) -> int:
    """Length of one round of the final cycle; 0 if there is none."""
    tail = list(ids[-4 * _LONGEST_CYCLE :])
    for period in range(1, min(_LONGEST_CYCLE, len(tail) // 4) + 1):
        length = max(4 * period, _CYCLE_TOKENS)
        if length > len(tail):
            continue
        # The cheap test first: most periods fail at the last id.
        if tail[-1] == tail[-1 - period] and tail[-length:-period] == tail[period - length :]:
            return period
    return 0


def is_stutter(ids: Sequence[int]) -> bool:
    """Whether the last 768 ids consist of very few distinct 8-grams."""
    if len(ids) < _STUTTER_TOKENS:
        return False
    tail = tuple(ids[-_STUTTER_TOKENS:])
    grams = {tail[i : i + _STUTTER_GRAM] for i in range(len(tail) - _STUTTER_GRAM + 1)}
    return len(grams) < _STUTTER_SHARE * len(tail)


def is_drift(ids: Sequence[int], numbers: Mapping[int, int], marker: int) -> bool:
    """Whether the last 12 boxed blocks differ only in their numbers, by a constant step."""
    starts = [i for i, token in enumerate(ids) if token == marker]
    if len(starts) <= _DRIFT_BLOCKS:
        return False
    starts = starts[-_DRIFT_BLOCKS - 1 :]
    blocks = [ids[a:b] for a, b in pairwise(starts)]
    shapes = {tuple(-1 if token in numbers else token for token in block) for block in blocks}
    if len(shapes) != 1:
        return False
    values = [[numbers[token] for token in block if token in numbers] for block in blocks]
    steps = {tuple(b - a for a, b in zip(one, two, strict=True)) for one, two in pairwise(values)}
    return len(steps) == 1
