"""Find the best tiles of each kernel on the GPU at hand, and whether torch is faster anyway.

    python -m benchmarks.tune_kernels [--write]      --write adds the GPU to the package's table

Both are timed as CUDA graphs, as steps run, and a kernel whose result is not torch's is left out.
Without a GPU, Triton's interpreter runs small ones once, to show that the program works.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import torch
from opticalrag.ingest.deepseek_ocr.kernels import attention, relative, rotary, routing, tiles
from opticalrag.ingest.deepseek_ocr.kernels.choice import Kernels
from opticalrag.ingest.deepseek_ocr.kernels.relative import View
from opticalrag.ingest.deepseek_ocr.kernels.rotary import Heads
from opticalrag.ingest.deepseek_ocr.kernels.tiles import Op, Tile, TileRow, Tiles
from torch import Tensor

from .machine import describe, synchronise

__all__ = ["RELEASED", "SMALL", "Sizes", "add_to_table", "tune"]

_REPEAT: Final = 20
_WRONG: Final = 0.02  # relative to torch's result in the same numbers; bfloat16 keeps 0.4 %


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is tuned for: the decoder's sizes, keys per slot, and the sides of views."""

    dim: int
    heads: int
    experts: int
    inner: int
    chosen: int
    keys: int
    rows: Sequence[int]
    sides: Sequence[int]
    view_heads: int
    view_dim: int


# 780 keys are the mean of a page of 273 tokens while it grows to 1,273.
RELEASED: Final = Sizes(
    1280, 10, 64, 896, 6, 780, (1, 8, 32, 64, 128, 256, 512), (14, 32, 40, 64, 80), 12, 64
)
SMALL: Final = Sizes(32, 2, 4, 16, 2, 20, (2,), (3,), 2, 16)


@dataclass(frozen=True, slots=True)
class Trial:
    """One kernel at one number of rows: torch's way, the kernel's way, and tiles to try."""

    op: Op
    rows: int
    plain: Callable[[], Tensor]
    fast: Callable[[Kernels], Tensor]
    candidates: Sequence[tuple[Tile, ...]]


def main() -> None:
    """Tune, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = list(tune(RELEASED if device == "cuda" else SMALL, device))
    text = json.dumps({"machine": describe(), "rows": [asdict(row) for row in rows]}, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    if options.write and device == "cuda":
        add_to_table(torch.cuda.get_device_name(), rows)


def tune(sizes: Sizes, device: str) -> Iterator[TileRow]:
    """The best tiles of every kernel and number of rows, one after the other."""
    for trial in _trials(sizes, device):
        plain_us, expected = _time(trial.plain, device)
        best: TileRow | None = None
        for tile in trial.candidates if device == "cuda" else trial.candidates[:1]:
            if found := _try(trial, tile, expected, device):
                row = TileRow(trial.op, trial.rows, tile, found, plain_us)
                best = row if best is None or row.fast_us < best.fast_us else best
        if best is not None:
            print(f"{best.op} {best.up_to}: {best.fast_us:.0f} us, torch {plain_us:.0f} us",
                  file=sys.stderr)  # fmt: skip
            yield best


def add_to_table(gpu: str, rows: Iterable[TileRow]) -> None:
    """Write a GPU's rows into the package's table."""
    path = Path(tiles.__file__).with_name("tiles.json")
    table = json.loads(path.read_text())
    table[gpu] = [
        {**asdict(row), "tiles": [list(asdict(tile).values()) for tile in row.tiles]}
        for row in rows
    ]
    path.write_text(json.dumps(table, indent=1) + "\n")


def _try(trial: Trial, tile: tuple[Tile, ...], expected: Tensor, device: str) -> float | None:
    """Microseconds; None for tiles that do not fit the GPU, or compute something else."""
    from triton.runtime.errors import OutOfResources

    kernels = Kernels(Tiles([TileRow(trial.op, trial.rows, tile)]))
    try:
        found, result = _time(lambda: trial.fast(kernels), device)
    except OutOfResources:
        return None
    difference = (result.double() - expected.double()).norm() / expected.double().norm()
    if difference > _WRONG:
        print(f"{trial.op} {trial.rows} {tile}: off by {difference:.3f}", file=sys.stderr)
        return None
    return found


def _time(action: Callable[[], Tensor], device: str) -> tuple[float, Tensor]:
    with torch.inference_mode():
        result = action().clone()
        if device == "cpu":
            started = time.perf_counter()
            action()
            return (time.perf_counter() - started) * 1e6, result
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            action()
        graph.replay()
        synchronise(device)
        times = []
        for _ in range(_REPEAT):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1e3)
    return statistics.median(times), result


def _trials(sizes: Sizes, device: str) -> Iterator[Trial]:
    random = torch.Generator().manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        # Random numbers are made where they are used: half a gigabyte of experts.
        if device == "cpu":
            return torch.randn(*shape, generator=random) * scale
        return (torch.randn(*shape, device=device) * scale).to(dtype)

    layer = SimpleNamespace(
        gate_up_proj=normal(sizes.experts, 2 * sizes.inner, sizes.dim, scale=sizes.dim**-0.5),
        down_proj=normal(sizes.experts, sizes.dim, sizes.inner, scale=sizes.inner**-0.5),
        num_experts=sizes.experts,
        has_gate=True,
        has_bias=False,
        has_post_expert_norm=False,
        is_transposed=False,
        _is_expert_parallel=False,
        _apply_gate=_gated,
    )
    router = normal(sizes.experts, sizes.dim, scale=sizes.dim**-0.5)
    for rows in sizes.rows:
        hidden = normal(rows, sizes.dim)
        yield from _expert_trials(sizes, layer, hidden, router)
        yield from _slot_trials(sizes, normal, rows, device)
    for side in sizes.sides:
        yield _view_trial(sizes, normal, side)


def _gated(both: Tensor) -> Tensor:
    gate, up = both.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def _expert_trials(sizes: Sizes, layer: Any, hidden: Tensor, router: Tensor) -> Iterator[Trial]:
    rows = len(hidden)
    weights, index = routing.route(hidden, router, sizes.chosen)
    shapes = [(64, 64, 4, 4), (64, 128, 4, 4), (128, 64, 4, 4), (128, 64, 8, 4), (32, 128, 4, 5)]
    yield Trial(
        "experts",
        rows,
        lambda: Kernels().experts(layer, hidden, index, weights),
        lambda kernels: kernels.experts(layer, hidden, index, weights),
        [
            (Tile(m, *up), Tile(m, *down))
            for m in (16, 32, 64)
            for up, down in itertools.product(shapes, shapes[:3])
        ],
    )
    yield Trial(
        "route",
        rows,
        lambda: routing.route(hidden, router, sizes.chosen)[0].sort().values,
        lambda kernels: kernels.route(hidden, router, sizes.chosen)[0].sort().values,
        [(Tile(m, 0, k, w, 2),) for m in (16, 32) for k in (32, 64, 128) for w in (4, 8)],
    )


def _slot_trials(
    sizes: Sizes, normal: Callable[..., Tensor], slots: int, device: str
) -> Iterator[Trial]:
    dim = sizes.dim // sizes.heads
    cache = normal(2, slots, sizes.keys, sizes.heads, dim)
    heads = Heads(*(normal(slots, 1, sizes.heads, dim) for _ in range(3)))
    positions = torch.full((slots, 1), sizes.keys - 1, device=device)
    turns = (torch.ones_like(heads.query[:, :, 0]), torch.zeros_like(heads.query[:, :, 0]))
    yield Trial(
        "attend",
        slots,
        lambda: attention.attend(heads.query, cache, positions, sizes.keys),
        lambda kernels: kernels.attend(heads.query, cache, positions, sizes.keys),
        [(Tile(16, n, 0, w, s),) for n in (32, 64, 128) for w in (2, 4, 8) for s in (2, 3)],
    )
    yield Trial(
        "rotate",
        slots,
        lambda: rotary.rotate_and_store(heads, turns, positions, cache),
        lambda kernels: kernels.rotate_and_store(heads, turns, positions, cache),
        [(Tile(1, 0, 0, w, 1),) for w in (1, 2, 4)],
    )


def _view_trial(sizes: Sizes, normal: Callable[..., Tensor], side: int) -> Trial:
    views = max(1, 4 * 4096 // side**2) if len(sizes.rows) > 1 else 1
    shape = (views, sizes.view_heads, side * side)
    view = View(*(normal(*shape, sizes.view_dim) for _ in range(3)))
    by_row, by_column = normal(*shape, side), normal(*shape, side)
    return Trial(
        "relative",
        side * side,
        lambda: relative.attend_relative(view, by_row, by_column),
        lambda kernels: kernels.attend_relative(view, by_row, by_column),
        [(Tile(m, 0, 0, w, s),) for m in (64, 128) for w in (4, 8) for s in (2, 3)],
    )


if __name__ == "__main__":
    main()
