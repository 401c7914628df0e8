"""A model on another GPU than the first: its device is current whenever it works.

Without a GPU, a stand-in for ``torch.cuda.device_of`` records when the device would be current.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from benchmarks.decoding.exactness import page_of_noise
from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest
from opticalrag.ingest.engines.deepseek_ocr.decoder.graphs import EagerSteps, GraphSteps
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..helpers_decoding import one_thread, plan_of


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


class CurrentDevice:
    """Stand-in for ``torch.cuda.device_of``; ``depth`` counts how often it is entered."""

    depth = 0

    @contextmanager
    def __call__(self, tensor: torch.Tensor) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1


class Watch(TorchFunctionMode):
    """Records functions that make tensors while the device is not current."""

    def __init__(self, current: CurrentDevice) -> None:
        super().__init__()
        self.current = current
        self.inside = 0
        self.outside: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and func.__name__ != "__get__":
            self.inside += self.current.depth > 0
            if not self.current.depth:
                self.outside.append(func.__name__)
        return result


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> CurrentDevice:
    """Replaces torch's."""
    found = CurrentDevice()
    monkeypatch.setattr(torch.cuda, "device_of", found)
    return found


def requests(model: DeepSeekOcr) -> list[DecodeRequest]:
    """Three pages that start and end at different times."""
    return [
        DecodeRequest(page_of_noise(model, n, 1 + n), PROMPTS["markdown"], 40) for n in (1, 2, 5)
    ]


def test_pages_are_decoded_with_their_device_current(
    talker: DeepSeekOcr, current: CurrentDevice
) -> None:
    """During all work, but not while the caller handles a page."""
    with Watch(current) as watch:
        for _ in talker.decoder.stream(requests(talker), plan_of(2, guesses=2, lag=2)):
            assert current.depth == 0
    assert watch.outside == []
    assert watch.inside > 100


def test_a_new_thread_makes_the_device_current_itself(
    talker: DeepSeekOcr, current: CurrentDevice
) -> None:
    """Every new thread starts with the first GPU as current."""

    def decode() -> list[str]:
        with Watch(current) as watch:
            talker.decode(requests(talker))
        return watch.outside

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(decode).result() == []


def test_pages_are_encoded_with_their_device_current(
    talker: DeepSeekOcr, current: CurrentDevice
) -> None:
    """The encoder's attention may use a kernel."""
    with Watch(current) as watch:
        talker.encode([np.zeros((40, 30, 3), np.uint8)], MODES["tiny"])
    assert watch.outside == []
    assert watch.inside > 10


def test_reference_scores_are_computed_with_their_device_current(
    talker: DeepSeekOcr, current: CurrentDevice
) -> None:
    """Transformers' own code may run the experts kernel."""
    with Watch(current) as watch:
        talker.first_logits(requests(talker)[0])
    assert watch.outside == []
    assert watch.inside > 10


def test_graphs_are_captured_on_one_stream_of_the_models_device(
    talker: DeepSeekOcr, current: CurrentDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's own capture stream is on the device of the process's first graph."""
    made: list[int] = []
    used: list[object] = []

    def new_stream() -> object:
        made.append(current.depth)
        return object()

    def graph(graph: object, pool: object, stream: object) -> nullcontext[None]:
        used.append(stream)
        return nullcontext()

    fakes = {
        "CUDAGraph": lambda: SimpleNamespace(pool=object, replay=lambda: None),
        "Stream": new_stream,
        "current_stream": lambda: None,
        "stream": lambda stream: nullcontext(),
        "graph": graph,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    # The fake graphs do nothing, so each step is also run eagerly.
    monkeypatch.setattr(GraphSteps, "step", _capture_and_run)
    talker.decoder.decode(requests(talker), replace(plan_of(2), graphs=True))
    assert made == [1]
    assert len(used) > 1
    assert len(set(map(id, used))) == 1


def _capture_and_run(steps: GraphSteps, shape: Any, guesses: int) -> torch.Tensor:
    before = [slots.rows.clone() for slots in steps._classes]
    steps._capture(shape, guesses)
    for slots, rows in zip(steps._classes, before, strict=True):
        slots.rows.update(rows)
    return EagerSteps.step(steps, shape, guesses)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("graphs", [False, True])
def test_the_second_gpu_gives_the_same_answer(tiny_checkpoint: Path, graphs: bool) -> None:
    """With kernels, in a thread where the first is current. No memory is taken on the first."""
    pixels = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)

    def read(device: str) -> tuple[int, ...]:
        model = DeepSeekOcr(tiny_checkpoint, device=device, precision="float32", kernels="on")
        (tokens,) = model.encode([pixels], MODES["tiny"])
        plan = replace(model.decoder.make_plan(2), graphs=graphs)
        (answer,) = model.decoder.decode([DecodeRequest(tokens, PROMPTS["markdown"], 40)], plan)
        assert torch.cuda.current_device() == 0
        return answer.ids

    first = read("cuda:0")
    held = torch.cuda.max_memory_allocated("cuda:0")
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(read, "cuda:1").result() == first
    assert torch.cuda.max_memory_allocated("cuda:0") == held
