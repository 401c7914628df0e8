"""The measurement programs run on a model small enough for any machine."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from benchmarks.gpu.decode import Run
from benchmarks.gpu.tune_kernels import SMALL, Trial, add_to_table, tune
from opticalrag.ingest.engines.deepseek_ocr.kernels.dispatch import Kernels
from opticalrag.ingest.engines.deepseek_ocr.kernels.tiles import Tile, TileRow, read_table
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..conftest import REPOSITORY


def run(module: str, output: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark and return its output."""
    program = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--output", str(output)]
    subprocess.run(program, check=True, cwd=REPOSITORY, timeout=300, stdout=subprocess.DEVNULL)
    values: dict[str, Any] = json.loads(output.read_text())
    return values


@pytest.mark.slow
def test_the_gpu_check_finds_nothing_wrong(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """It runs the same checks on a CPU; bfloat16 is close to float32 in every mode."""
    options = ["--device", "cpu", "--tokens", "8", "--batch", "2", "--modes", "tiny", "gundam"]
    figures = run("gpu.check", tmp_path / "out.json", str(tiny_checkpoint), *options)
    assert [row["mode"] for row in figures["modes"]] == ["tiny", "gundam"]
    assert all(row["redecode_equal"] for row in figures["modes"])
    assert all(0 < row["vision_error"] < 0.05 for row in figures["modes"])


@pytest.mark.slow
def test_our_decoder_writes_what_the_library_writes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """From cached tokens and from pixels."""
    options = ["--tokens", "12", "--repeat", "1", "--device", "cpu"]
    figures = run("decoding.full_size", tmp_path / "out.json", str(tiny_checkpoint), *options)
    assert figures["same_tokens"]
    # The time of a token is a difference, which a busy machine may make negative.
    assert isinstance(figures["decode_tokens_per_s"], float)


def test_a_section_that_fails_keeps_its_rows_and_costs_no_other(tmp_path: Path) -> None:
    """Whatever the error is; shares of unknown rates are left out."""
    options = argparse.Namespace(output=tmp_path / "out.json", seconds=60.0)
    measured = Run(cast(DeepSeekOcr, None), options, time.perf_counter())

    def torn(run: Run) -> Iterator[dict[str, float]]:
        yield {"copy_gb_per_s": 4.0}
        raise AssertionError("device-side")

    measured.section("card", torn)
    measured.section("slots", lambda run: [run.share(2.0, "copy_gb_per_s"), run.share(2.0, "b")])
    figures = json.loads(options.output.read_text())
    assert (figures["card"], figures["slots"]) == ([{"copy_gb_per_s": 4.0}], [0.5, None])
    assert figures["failed"] == {"card": ["AssertionError: device-side"]}
    assert figures["seconds"].keys() == {"card", "slots"}


def test_a_run_that_measured_a_part_keeps_the_other_rows_of_the_table(tmp_path: Path) -> None:
    """Rows of other kernels, other widths and other GPUs stay."""
    table = tmp_path / "tiles.json"
    table.write_text("{}")
    tile = (Tile(16, 64, 0, 4, 2),)
    old = [TileRow("attend", 64, tile, 9.0, 10.0), TileRow("attend", 256, tile, 8.0, 10.0)]
    new = TileRow("attend", 64, (Tile(16, 32, 0, 4, 2),), 5.0, 10.0)
    add_to_table("A", old, table)
    add_to_table("B", old, table)
    add_to_table("A", [new], table)
    assert read_table(json.loads(table.read_text())) == {"A": [new, old[1]], "B": old}


def test_tiles_that_fail_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail in the compiler, by a wrong result, or in torch."""

    def trial(timed: Callable[[Kernels], torch.Tensor]) -> Trial:
        return Trial("attend", 4, timed, [(Tile(16, 64, 0, 4, 2),)])

    def raises(kernels: Kernels) -> torch.Tensor:
        if kernels.tiles.has("attend"):
            raise AssertionError("cannot compile")
        return torch.ones(3)

    def breaks(kernels: Kernels) -> torch.Tensor:
        raise RuntimeError("no memory")

    def lies(kernels: Kernels) -> torch.Tensor:
        return torch.full((3,), torch.nan if kernels.tiles.has("attend") else 1.0)

    def right(kernels: Kernels) -> torch.Tensor:
        return torch.ones(3)

    trials = [trial(timed) for timed in (raises, breaks, lies, right)]
    monkeypatch.setattr("benchmarks.gpu.tune_kernels._trials", lambda sizes, device: iter(trials))
    (row,) = tune(SMALL, "cpu")
    assert (row.op, row.up_to) == ("attend", 4)


@pytest.mark.slow
def test_the_gpu_measurement_measures_every_section(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """On a CPU with small sizes; kernels run in Triton's interpreter, if that is installed."""
    options = ["--device", "cpu", "--slots", "1", "8", "--tokens", "8", "--page-tokens", "6"]
    options += ["--pages", "3", "--modes", "tiny", "--length", "256"]
    figures = run("gpu.decode", tmp_path / "out.json", str(tiny_checkpoint), *options)
    copied, computed = figures["card"]
    assert copied["copy_gb_per_s"] > 0
    assert computed["matmul_tflop_per_s"] > 0
    assert figures.get("failed", {}).keys() <= {"kernels"}
    assert {row["side"] for row in figures["encoder"]} == {512, 640, 1024, 1280}
    assert [row["batch"] for row in figures["reference"]] == [1, 8]
    assert {row["slots"] for row in figures["slots"]} == {1, 8}
    (page,) = figures["pages"]
    assert page["pages_per_s_from_tokens"] > page["pages_per_s_from_pixels"] > 0
    # The time of its steps is a difference, which a busy machine may make negative.
    assert page["pages_per_s_one_by_one"] is not None
    assert all(row["rows_a_step"] == row["slots"] for row in figures["slots"])
    if util.find_spec("triton") is not None:
        ops = {row["op"] for row in figures["kernels"]}
        assert ops == {"attend", "experts", "relative", "rotate", "route"}
    assert figures["seconds"].keys() == {
        "card", "kernels", "encoder", "reference", "slots", "pages"
    }  # fmt: skip
