"""Decode steps captured as CUDA graphs: one launch instead of several hundred.

A graph holds for one shape, so shapes are rounded up to a few. Off by default: no GPU was available
to measure the gain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from .slots import Slots
from .step import Shape, Stepper

__all__ = ["EagerSteps", "GraphSteps"]

# Long runs use few shapes. Besides the shared memory pool, each graph costs driver memory (6 to
# 28 MB are reported for other models); plan.py leaves 1 GB for that.
_MAX_GRAPHS: Final = 32

_log = logging.getLogger(__name__)


class EagerSteps:
    """Runs each step as it comes."""

    def __init__(self, stepper: Stepper, classes: Sequence[Slots]) -> None:
        self._stepper = stepper
        self._classes = classes

    def round_shape(self, shape: Shape) -> Shape:
        """Return the shape to run a step of this shape with."""
        return shape

    def step(self, shape: Shape, guesses: int) -> Tensor:
        """See :meth:`.step.Stepper.step`."""
        return self._stepper.step(self._classes, shape, guesses)


class GraphSteps(EagerSteps):
    """Replays steps as CUDA graphs. The next step overwrites the tensor that a step returned.

    All graphs share one memory pool, because none reads what an earlier one left there: together
    they need the memory of the largest. Steps run eagerly once ``_MAX_GRAPHS`` shapes are captured
    or a capture has failed; graphs captured before stay in use.
    """

    def __init__(self, stepper: Stepper, classes: Sequence[Slots]) -> None:
        super().__init__(stepper, classes)
        self._replays: dict[tuple[Shape, int], Callable[[], Tensor]] = {}
        self._limit = _MAX_GRAPHS
        self._pool: Any = None  # of the first graph, shared by all
        self._stream: Any = None  # for all captures: a pool is shared within one stream only

    def round_shape(self, shape: Shape) -> Shape:
        """Round rows and spans up to powers of two; take the full span if attention ignores it."""
        rounded = []
        for (count, span), slots in zip(shape, self._classes, strict=True):
            rows, longest = _next_power_of_2(count, slots.size.slots), slots.size.length
            # The kernel reads each slot up to its own length: one graph serves every span.
            needs_span = self._stepper.forward.needs_span(rows)
            rounded.append((rows, _next_power_of_2(span, longest) if needs_span else longest))
        return tuple(rounded)

    def step(self, shape: Shape, guesses: int) -> Tensor:
        """Replay the graph of this shape; capture it first if it is new."""
        key = (shape, guesses)
        if key not in self._replays and len(self._replays) < self._limit:
            self._try_capture(shape, guesses)
        replay = self._replays.get(key)
        return replay() if replay else super().step(shape, guesses)

    def _try_capture(self, shape: Shape, guesses: int) -> None:
        self._warm_up(shape, guesses)
        try:
            self._replays[shape, guesses] = self._capture(shape, guesses)
        except RuntimeError as error:  # out of memory, or an operation that cannot be captured
            self._limit = len(self._replays)
            _log.warning("CUDA graph capture failed, running new shapes without: %s", error)

    def _warm_up(self, shape: Shape, guesses: int) -> None:
        # Libraries initialize themselves in a first run, which must not be captured. The run
        # changes rows, so they are restored. The KV entries it wrote are written again.
        before = [slots.rows.clone() for slots in self._classes]
        super().step(shape, guesses)
        for slots, rows in zip(self._classes, before, strict=True):
            slots.rows.update(rows)

    def _capture(self, shape: Shape, guesses: int) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        # torch.cuda.graph's default capture stream is on the device of the process's first graph.
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        # The outer context restores the current stream if the capture fails.
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


def _next_power_of_2(number: int, limit: int) -> int:
    return min(limit, 1 << max(0, number - 1).bit_length()) if number else 0
