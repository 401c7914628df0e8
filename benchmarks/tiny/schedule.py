"""What the small model is trained on, and when: easy pages first and with help, then all.

Found by steering runs by hand. Knows no torch and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["PHASES", "RATE", "STEPS", "TOGETHER", "TRAINED", "Phase", "phase_at", "rate_at"]

STEPS: Final = 3440
RATE: Final = 1.2e-3
TOGETHER: Final = 4
"""Batches drawn together, of one phase and one view; phases begin at multiples of it."""

_RISE: Final = 60
_FALL: Final = 320
_LEAST: Final = 0.02


@dataclass(frozen=True, slots=True)
class Phase:
    """What is trained on from a step on. Shares need not add up to one.

    Attributes:
        start: the first step.
        pages: of a batch at the widest view; narrower views take more.
        hints: share of answers that are told where each next letter is.
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
    # On short texts it learns which letter is which, and half of the time where the next one is.
    Phase(0, 16, 0.5, (1, 2, 1, 0), (5, 4, 3), {448: 1}),
    # Without hints it must know the place itself; pages fill up.
    Phase(700, 10, 0.0, (0.3, 2, 3, 2), (5, 4, 3), {448: 1}),
    # Locating is learnt by now. More letters in a vision token were not, in 600 steps with {448: 3,
    # 320: 1}; this view's own went on to fall only without them.
    Phase(2340, 8, 0.0, (0.3, 2, 3, 2), (5, 4, 2), {448: 1}),
)
TRAINED: Final = frozenset(side for phase in PHASES for side in phase.views)
"""Sides of the views that are trained."""


def phase_at(step: int, phases: Sequence[Phase] = PHASES) -> Phase:
    """The phase that a step belongs to."""
    return next(phase for phase in reversed(phases) if phase.start <= step)


def rate_at(step: int, steps: int, most: float = RATE) -> float:
    """How far a step goes: rising at first, then level, and falling to nothing before the end.

    A run that was level can be taken up before its fall and ended elsewhere.
    """
    rise = min(1.0, (step + 1) / _RISE)
    fall = min(1.0, (steps - step) / _FALL)
    return most * rise * max(fall, _LEAST)
