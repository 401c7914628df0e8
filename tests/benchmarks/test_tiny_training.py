"""The training of the small model: its schedule, and that runs can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.tiny.batches import Batches
from benchmarks.tiny.layout import SIDE
from benchmarks.tiny.schedule import (
    PHASES,
    RATE,
    STEPS,
    TOGETHER,
    TRAINED,
    Phase,
    phase_at,
    rate_at,
)
from benchmarks.tiny.tokens import write_tokenizer
from benchmarks.tiny.train import Run, train

FEW = (
    Phase(0, 1, 0.5, (1, 0, 0, 0), (5, 4, 3), {448: 1}),
    Phase(TOGETHER, 1, 0.0, (1, 0, 0, 0), (5, 4, 3), {320: 1}),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads round sums differently, and wait for each other on busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(folder: Path, *stops: int) -> dict[str, torch.Tensor]:
    """The state after four steps of a run that was stopped and resumed."""
    for end in (*stops, 4):
        run = Run(folder)
        train(run, 4, phases=FEW, stop=partial(reached, run, end))
    return load_file(folder / json.loads((folder / "run.json").read_text())["state"])


def reached(run: Run, step: int) -> bool:
    return run.step >= step


def test_a_resumed_run_continues_bit_for_bit(tmp_path: Path) -> None:
    """It draws the same batches and the same random numbers."""
    whole, resumed = trained(tmp_path / "whole"), trained(tmp_path / "stopped", 2)
    assert whole.keys() == resumed.keys()
    assert {name for name in whole if not torch.equal(whole[name], resumed[name])} == set()
    assert whole["step.place_head.weight"] == 4


def test_batches_do_not_depend_on_the_first_batch(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    first, *_ = islice(Batches(tmp_path / "tokenizer.json", TOGETHER + 1, FEW), 1)
    again = list(islice(Batches(tmp_path / "tokenizer.json", 0, FEW), TOGETHER + 2))[-1]
    assert all(torch.equal(first[name], again[name]) for name in again)
    assert first["pixels"].shape[1:] == (320, 320, 3)  # in the second phase


def test_phases_begin_with_a_group_of_batches_and_views_get_smaller() -> None:
    assert PHASES[0].start == 0
    assert all(phase.start % TOGETHER == 0 for phase in PHASES)
    assert [p.start for p in PHASES] == sorted({p.start for p in PHASES})
    assert PHASES[-1].start < STEPS
    assert phase_at(PHASES[1].start - 1) is PHASES[0]
    assert phase_at(10 * STEPS) is PHASES[-1]
    assert max(TRAINED) == 2 * SIDE


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [rate_at(step, 1000) for step in range(1000)]
    assert rates[0] < 0.05 * RATE
    assert set(rates[100:680]) == {RATE}
    assert rates[680:] == sorted(rates[680:], reverse=True)
    assert rates[-1] < 0.05 * RATE
