"""Steps recorded once as CUDA graphs and replayed: a launch in place of several hundred.

A graph holds for one shape, so shapes are rounded up to few. Off unless a plan asks for it:
no GPU was at hand to measure it on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from .plan import SlotClass
from .slots import Slots
from .step import Shape, Stepper

__all__ = ["RecordedSteps", "Steps"]

# Long runs are at few shapes; each graph takes memory of the driver's, besides what it computes
# in (6 to 28 MB each are reported of other models), and no plan counts on more than a gigabyte.
_MOST: Final = 32

_log = logging.getLogger(__name__)


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
    """The same from graphs. What a step returns is overwritten by the next.

    Graphs compute in one stretch of memory, because none is read behind the next: together they
    hold what the widest step takes. Shapes beyond the first few, and all new ones once recording
    has failed, are computed as they come.
    """

    def __init__(self, stepper: Stepper, classes: Sequence[Slots]) -> None:
        super().__init__(stepper, classes)
        self._replays: dict[tuple[Shape, int], Callable[[], Tensor]] = {}
        self._most = _MOST
        self._pool: Any = None  # of the first graph
        self._stream: Any = None  # of all of them: memory is shared along one stream only

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
        if key not in self._replays and len(self._replays) < self._most:
            self._record(shape, guesses)
        replay = self._replays.get(key)
        return replay() if replay else super().step(shape, guesses)

    def _record(self, shape: Shape, guesses: int) -> None:
        self._warm_up(shape, guesses)
        try:
            self._replays[shape, guesses] = self._capture(shape, guesses)
        except RuntimeError as error:  # no memory, or something that cannot be recorded
            self._most = len(self._replays)
            _log.warning("recording a step failed, going on without: %s", error)

    def _warm_up(self, shape: Shape, guesses: int) -> None:
        # Libraries set themselves up in a first run, which must not be on the record; it changes
        # rows, which are put back. Keys it wrote are written again.
        before = [slots.rows.copy() for slots in self._classes]
        super().step(shape, guesses)
        for slots, rows in zip(self._classes, before, strict=True):
            slots.rows.advance(rows)

    def _capture(self, shape: Shape, guesses: int) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        # Torch's own is of whichever device recorded the first graph of the process.
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        # The outer context takes the stream back that a recording which fails leaves.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream),
        ):
            written = super().step(shape, guesses)
        self._pool = graph.pool()

        def replay() -> Tensor:
            graph.replay()
            return written

        return replay


def _up(number: int, most: int) -> int:
    return min(most, 1 << max(0, number - 1).bit_length()) if number else 0
