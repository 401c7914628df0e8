"""The programs that measure run, on a model small enough for any machine."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from ..conftest import REPOSITORY


def run(module: str, output: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark and return what it wrote."""
    program = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--output", str(output)]
    subprocess.run(program, check=True, cwd=REPOSITORY, timeout=300, stdout=subprocess.DEVNULL)
    values: dict[str, Any] = json.loads(output.read_text())
    return values


@pytest.mark.slow
def test_the_gpu_check_finds_nothing_wrong(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """On a CPU it checks the same things; bfloat16 is near float32 in every mode."""
    options = ["--device", "cpu", "--tokens", "8", "--batch", "2", "--modes", "tiny", "gundam"]
    figures = run("gpu_check", tmp_path / "out.json", str(tiny_checkpoint), *options)
    assert [row["mode"] for row in figures["modes"]] == ["tiny", "gundam"]
    assert all(row["redecode_equal"] for row in figures["modes"])
    assert all(0 < row["vision_error"] < 0.05 for row in figures["modes"])


@pytest.mark.slow
def test_our_decoder_writes_what_the_library_writes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """From stored tokens as from pixels."""
    options = ["--tokens", "12", "--repeat", "1", "--device", "cpu"]
    figures = run("full_size", tmp_path / "out.json", str(tiny_checkpoint), *options)
    assert figures["same_tokens"]
    assert figures["decode_tokens_per_s"] > 0


@pytest.mark.slow
def test_the_gpu_measurement_measures_every_section(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """On a CPU with small numbers; kernels by Triton's interpreter, where that is installed."""
    options = ["--device", "cpu", "--slots", "1", "8", "--tokens", "8", "--page-tokens", "6"]
    options += ["--pages", "3", "--modes", "tiny", "--length", "256"]
    figures = run("gpu_decode", tmp_path / "out.json", str(tiny_checkpoint), *options)
    assert figures["card"]["copy_gb_per_s"] > 0
    assert {row["side"] for row in figures["encoder"]} == {512, 640, 1024, 1280}
    assert [row["batch"] for row in figures["reference"]] == [1, 8]
    assert {row["slots"] for row in figures["slots"]} == {1, 8}
    (page,) = figures["pages"]
    assert page["pages_per_s_from_tokens"] > page["pages_per_s_from_pixels"] > 0
    if util.find_spec("triton") is not None:
        ops = {row["op"] for row in figures["kernels"]}
        assert ops == {"attend", "experts", "relative", "rotate", "route"}
    assert figures["seconds"].keys() == {
        "card", "kernels", "encoder", "reference", "slots", "pages"
    }  # fmt: skip
