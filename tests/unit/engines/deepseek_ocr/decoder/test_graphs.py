"""Recorded steps: which shapes there are, and what happens when one cannot be recorded.

There is no GPU: what is recorded is computed again when it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.decoding.exactness import RULE, Case, chance_loop
from opticalrag.ingest.engines.deepseek_ocr.decoder.decoder import Decoder
from opticalrag.ingest.engines.deepseek_ocr.decoder.graphs import EagerSteps, GraphSteps
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import SlotClass
from opticalrag.ingest.engines.deepseek_ocr.decoder.slots import Slots
from opticalrag.ingest.engines.deepseek_ocr.decoder.step import Shape
from opticalrag.ingest.engines.deepseek_ocr.kernels.dispatch import Kernels
from opticalrag.ingest.engines.deepseek_ocr.kernels.tiles import Tile, TileRow, Tiles
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..helpers_decoding import CONTEXT, answers, expected, one_thread, plan_of


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def decoder(talker: DeepSeekOcr) -> Decoder:
    """New for each test: a decoder keeps the steps it recorded."""
    return Decoder(talker.network, talker.tokenizer, talker.weights, RULE, chance_loop)


class Replayed(GraphSteps):
    """Graphs where there are none: the rounding of shapes is as on a GPU."""

    captured = 0

    def _capture(self, shape: Shape, guesses: int) -> Callable[[], torch.Tensor]:
        Replayed.captured += 1
        return lambda: EagerSteps.step(self, shape, guesses)


def test_rounded_shapes_change_nothing(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that belong to no page stay idle, in a second run over the same slots, too."""
    monkeypatch.setattr(
        "opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler.GraphSteps", Replayed
    )
    plan = replace(plan_of(7, guesses=3, lag=2), graphs=True)
    for _ in range(2):
        found = decoder.decode([case.request for case in cases], plan)
        assert answers(found) == expected(cases)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no memory"), RuntimeError("not permitted when stream is capturing")],
)
def test_decoding_goes_on_without_graphs_when_one_cannot_be_recorded(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: RuntimeError,
) -> None:
    """It ended with the error, or threw half of the slots away; no other is tried."""

    class Failing(Replayed):
        """Records two shapes."""

        tries = 0

        def _capture(self, shape: Shape, guesses: int) -> Callable[[], torch.Tensor]:
            Failing.tries += 1
            if Failing.tries == 3:
                raise error
            return super()._capture(shape, guesses)

    monkeypatch.setattr(
        "opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler.GraphSteps", Failing
    )
    plan = replace(plan_of(7, lag=2), graphs=True)
    found = decoder.decode([case.request for case in cases], plan)
    assert answers(found) == expected(cases)
    assert Failing.tries == 3
    assert [record.message for record in caplog.records] == [
        f"CUDA graph capture failed, running new shapes without: {error}"
    ]


def test_a_few_shapes_are_recorded_and_no_more(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each recorded step holds memory for as long as the slots are there."""
    monkeypatch.setattr(
        "opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler.GraphSteps", Replayed
    )
    monkeypatch.setattr("opticalrag.ingest.engines.deepseek_ocr.decoder.graphs._MAX_GRAPHS", 2)
    monkeypatch.setattr(Replayed, "captured", 0)
    plan = replace(plan_of(7, guesses=3), graphs=True)
    found = decoder.decode([case.request for case in cases], plan)
    assert answers(found) == expected(cases)
    assert Replayed.captured == 2


def test_spans_are_rounded_where_the_kernel_is_not_used(talker: DeepSeekOcr) -> None:
    """Torch reads all of a span: whole slots would be read for a kernel that other rows have."""
    kernels = Kernels(Tiles([TileRow("attend", 4, (Tile(16, 64, 0, 4, 2),))]))
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, RULE, kernels=kernels)
    like = ours._stepper.forward.empty_cache
    classes = [Slots(SlotClass(count, CONTEXT), like, 24, 8) for count in (16, 4)]
    steps = GraphSteps(ours._stepper, classes)
    assert steps.round_shape(((3, 100), (3, 100))) == ((4, CONTEXT), (4, CONTEXT))
    assert steps.round_shape(((9, 100), (0, 64))) == ((16, 128), (0, CONTEXT))
