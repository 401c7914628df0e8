"""Steps recorded once as CUDA graphs and replayed: a launch in place of several hundred.

A graph holds for one shape, so shapes are rounded up to few. Off unless a plan asks for it:
no GPU was at hand to measure it on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .memory import SlotClass
from .slots import Slots
from .step import Shape, Stepper

__all__ = ["RecordedSteps", "Steps"]


class Steps:
    """Steps over these slots, as they come."""

    def __init__(self, stepper: Stepper, classes: Sequence[Slots]) -> None:
        self._stepper = stepper
        self._classes = classes

    def rounded(self, shape: Shape) -> Shape:
        """The shape that a step for this one has."""
        return shape

    def step(self, shape: Shape, guesses: int) -> Tensor:
        """See :meth:`.step.Stepper.step`."""
        return self._stepper.step(self._classes, shape, guesses)


class RecordedSteps(Steps):
    """The same from graphs. What a step returns is overwritten by the next of its shape."""

    def __init__(self, stepper: Stepper, classes: Sequence[Slots]) -> None:
        super().__init__(stepper, classes)
        self._replays: dict[tuple[Shape, int], Callable[[], Tensor]] = {}

    def rounded(self, shape: Shape) -> Shape:
        """Rows up to a power of two, spans too, or all where kernels are told lengths."""
        return tuple(
            self._rounded(count, span, slots.size)
            for (count, span), slots in zip(shape, self._classes, strict=True)
        )

    def _rounded(self, count: int, span: int, size: SlotClass) -> tuple[int, int]:
        rows = _up(count, size.slots)
        by_span = self._stepper.forward.needs_span(rows)
        return rows, _up(span, size.length) if by_span else size.length

    def step(self, shape: Shape, guesses: int) -> Tensor:
        """Replay, after recording if this shape is new."""
        key = (shape, guesses)
        if key not in self._replays:
            self._replays[key] = self._record(shape, guesses)
        return self._replays[key]()

    def _record(self, shape: Shape, guesses: int) -> Callable[[], Tensor]:
        # Libraries set themselves up in a first run, which must not be on the record; it changes
        # rows, which are put back. Keys it wrote are written again.
        before = [slots.rows.copy() for slots in self._classes]
        super().step(shape, guesses)
        for slots, rows in zip(self._classes, before, strict=True):
            slots.rows.advance(rows)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            written = super().step(shape, guesses)

        def replay() -> Tensor:
            graph.replay()
            return written

        return replay


def _up(number: int, most: int) -> int:
    return min(most, 1 << max(0, number - 1).bit_length()) if number else 0
