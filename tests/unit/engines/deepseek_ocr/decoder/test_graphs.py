"""CUDA graphs of steps: how shapes are rounded, and what happens if a capture fails.

Without a GPU, a "graph" here runs the step again when it is replayed.
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
    """A new one for each test, because a decoder keeps its graphs."""
    return Decoder(talker.network, talker.tokenizer, talker.weights, RULE, chance_loop)


class FakeGraphs(GraphSteps):
    """Rounds shapes as on a GPU; a replay runs the step eagerly."""

    captured = 0

    def _capture(self, shape: Shape, guesses: int) -> Callable[[], torch.Tensor]:
        FakeGraphs.captured += 1
        return lambda: EagerSteps.step(self, shape, guesses)


def test_rounded_shapes_change_nothing(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding rows stay inactive, also in a second run over the same slots."""
    monkeypatch.setattr(
        "opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler.GraphSteps", FakeGraphs
    )
    plan = replace(plan_of(7, guesses=3, lag=2), graphs=True)
    for _ in range(2):
        found = decoder.decode([case.request for case in cases], plan)
        assert answers(found) == expected(cases)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no memory"), RuntimeError("not permitted when stream is capturing")],
)
def test_decoding_continues_when_a_capture_fails(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: RuntimeError,
) -> None:
    """With all slots, and no further shape is captured."""

    class Failing(FakeGraphs):
        """Fails at the third capture."""

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


def test_the_number_of_captured_shapes_is_limited(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each graph holds memory as long as its slots."""
    monkeypatch.setattr(
        "opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler.GraphSteps", FakeGraphs
    )
    monkeypatch.setattr("opticalrag.ingest.engines.deepseek_ocr.decoder.graphs._MAX_GRAPHS", 2)
    monkeypatch.setattr(FakeGraphs, "captured", 0)
    plan = replace(plan_of(7, guesses=3), graphs=True)
    found = decoder.decode([case.request for case in cases], plan)
    assert answers(found) == expected(cases)
    assert FakeGraphs.captured == 2


def test_spans_are_rounded_up_where_attention_reads_them(talker: DeepSeekOcr) -> None:
    """PyTorch reads the whole span; the kernel, used here up to four slots, does not."""
    kernels = Kernels(Tiles([TileRow("attend", 4, (Tile(16, 64, 0, 4, 2),))]))
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, RULE, kernels=kernels)
    like = ours._stepper.forward.empty_cache
    classes = [Slots(SlotClass(count, CONTEXT), like, 24, 8) for count in (16, 4)]
    steps = GraphSteps(ours._stepper, classes)
    assert steps.round_shape(((3, 100), (3, 100))) == ((4, CONTEXT), (4, CONTEXT))
    assert steps.round_shape(((9, 100), (0, 64))) == ((16, 128), (0, CONTEXT))
