"""The training schedule of the small model: easy pages with hints first, then all pages.

It was found by steering runs by hand. This module does not need torch and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["PHASES", "RATE", "STEPS", "TOGETHER", "TRAINED", "Phase", "phase_at", "rate_at"]

STEPS: Final = 3440
RATE: Final = 1.2e-3
TOGETHER: Final = 4
"""Number of batches drawn together, with one phase and one view; phases begin at multiples."""

_RISE: Final = 60
_FALL: Final = 320
_LEAST: Final = 0.02


@dataclass(frozen=True, slots=True)
class Phase:
    """The training data from a step on. Shares need not add up to one.

    Attributes:
        start: the first step.
        pages: pages per batch at the largest view; smaller views take more.
        hints: share of answers that get the position of each next letter.
        levels: shares of pages by :func:`.layout.lay_out`'s level.
        tasks: shares of free OCR, Markdown and locating.
        views: shares of views by their side in pixels.
    """

    start: int
    pages: int
    hints: float
    levels: tuple[float, float, float, float]
    tasks: tuple[float, float, float]
    views: Mapping[int, float]


PHASES: Final = (
    # On short texts, the model learns the letters, and in half of the answers the next position.
    Phase(0, 16, 0.5, (1, 2, 1, 0), (5, 4, 3), {448: 1}),
    # Without hints, it must find the position itself; pages get fuller.
    Phase(700, 10, 0.0, (0.3, 2, 3, 2), (5, 4, 3), {448: 1}),
    # Locating is learnt by now. With {448: 3, 320: 1}, 600 steps did not teach more letters per
    # vision token, and the loss of the largest view fell only without the smaller one.
    Phase(2340, 8, 0.0, (0.3, 2, 3, 2), (5, 4, 2), {448: 1}),
)
TRAINED: Final = frozenset(side for phase in PHASES for side in phase.views)
"""Sides of the views in training, in pixels."""


def phase_at(step: int, phases: Sequence[Phase] = PHASES) -> Phase:
    """The phase of a step."""
    return next(phase for phase in reversed(phases) if phase.start <= step)


def rate_at(step: int, steps: int, most: float = RATE) -> float:
    """The learning rate of a step: a warm-up, a constant phase, and a decay to zero.

    A run can be resumed in its constant phase with another end.
    """
    rise = min(1.0, (step + 1) / _RISE)
    fall = min(1.0, (steps - step) / _FALL)
    return most * rise * max(fall, _LEAST)
