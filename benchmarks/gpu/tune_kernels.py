"""Finds the best tiles of each kernel on this GPU, and whether torch is faster.

    python -m benchmarks.gpu.tune_kernels [--write]      --write adds the GPU to the package's table

Both are timed as CUDA graphs, as the decoder runs its steps. A kernel whose result differs from
torch's is left out. Without a GPU, Triton's interpreter runs small kernels once, to test the
program.
"""

from __future__ import annotations

import argparse
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
from torch import Tensor

from opticalrag.ingest.engines.deepseek_ocr.kernels import routing, tiles
from opticalrag.ingest.engines.deepseek_ocr.kernels.attention import Qkv
from opticalrag.ingest.engines.deepseek_ocr.kernels.dispatch import Kernels
from opticalrag.ingest.engines.deepseek_ocr.kernels.tiles import Op, Tile, TileRow, Tiles

from ..machine import describe, synchronise

__all__ = ["RELEASED", "SMALL", "Sizes", "add_to_table", "tune"]

TABLE: Final = Path(tiles.__file__).with_name("tiles.json")
_REPEAT: Final = 20
_WRONG: Final = 0.02  # relative to torch's result; the precision of bfloat16 is 0.4 %


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes to tune for: the decoder's, keys per slot, and the sides of views."""

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


# 780 keys are the mean of a page of 273 tokens while it grows to 1,273. The widths that most pages
# are read at come first, because time may end; 2,048 tokens are 256 slots with seven guesses.
RELEASED: Final = Sizes(
    1280, 10, 64, 896, 6, 780, (256, 64, 2048, 128, 512, 32, 8, 1), (64, 40, 80, 32, 14), 12, 64
)
SMALL: Final = Sizes(32, 2, 4, 16, 2, 20, (2,), (3,), 2, 16)
_WIDE: Final = 8  # tokens of a slot in a step with guesses
_SLOTS: Final = 512  # the decoder never runs more
_CHECKED: Final = 16  # slots whose whole caches are compared


@dataclass(frozen=True, slots=True)
class Trial:
    """One kernel at one number of rows: what is timed, tiles to try, and what else is compared.

    ``timed`` and ``checks`` compute by the kernels they are given; those without tiles are torch.
    """

    op: Op
    rows: int
    timed: Callable[[Kernels], Tensor]
    candidates: Sequence[tuple[Tile, ...]]
    checks: Sequence[Callable[[Kernels], Tensor]] = ()


def main() -> None:
    """Tune, print, and write the table with --write."""
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
        try:
            best = _best(trial, device)
        except Exception as error:  # noqa: BLE001  may come from torch too; other trials continue
            _say(f"{trial.op} {trial.rows}: {type(error).__name__}: {error}")
            continue
        if best is not None:
            _say(f"{best.op} {best.up_to}: {best.fast_us:.0f} us, torch {best.plain_us:.0f} us")
            yield best


def add_to_table(gpu: str, rows: Iterable[TileRow], path: Path = TABLE) -> None:
    """Write the rows of a GPU into the package's table; unmeasured rows stay."""
    table = json.loads(path.read_text())
    kept = {(row["op"], row["up_to"]): row for row in table.get(gpu, [])}
    for row in rows:
        tiles = [list(asdict(tile).values()) for tile in row.tiles]
        kept[row.op, row.up_to] = {**asdict(row), "tiles": tiles}
    table[gpu] = [kept[key] for key in sorted(kept)]
    path.write_text(json.dumps(table, indent=1) + "\n")


def _say(text: str) -> None:
    print(text[:500], file=sys.stderr, flush=True)


def _best(trial: Trial, device: str) -> TileRow | None:
    plain = Kernels()
    plain_us, expected = _time(lambda: trial.timed(plain), device)
    with torch.inference_mode():
        results = [expected, *(check(plain) for check in trial.checks)]
    best: TileRow | None = None
    for tile in trial.candidates if device == "cuda" else trial.candidates[:1]:
        if found := _try(trial, tile, results, device):
            row = TileRow(trial.op, trial.rows, tile, found, plain_us)
            best = row if best is None or row.fast_us < best.fast_us else best
    return best


def _try(
    trial: Trial, tile: tuple[Tile, ...], expected: Sequence[Tensor], device: str
) -> float | None:
    """Microseconds; None for tiles that do not compile, do not fit, or give other results."""
    kernels = Kernels(Tiles([TileRow(trial.op, 1 << 30, tile)]))
    try:
        found, result = _time(lambda: trial.timed(kernels), device)
        with torch.inference_mode():
            results = [result, *(check(kernels) for check in trial.checks)]
    except Exception as error:  # noqa: BLE001  a compiler may raise anything; other tiles may work
        _say(f"{trial.op} {trial.rows} {tile}: {type(error).__name__}: {error}")
        return None
    off = max(_difference(*pair) for pair in zip(results, expected, strict=True))
    if not off <= _WRONG:
        _say(f"{trial.op} {trial.rows} {tile}: off by {off:.3f}")
        return None
    return found


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


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
        # Random numbers are made on the device: the experts take half a gigabyte.
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
    for number, rows in enumerate(sizes.rows):
        yield from _expert_trials(sizes, layer, normal(rows, sizes.dim), router)
        yield _rotate_trial(sizes, normal, rows)
        if rows <= _SLOTS:
            yield _attend_trial(sizes, normal, rows)
        for side in sizes.sides[number : number + 1]:
            yield _view_trial(sizes, normal, side)


def _gated(both: Tensor) -> Tensor:
    gate, up = both.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def _expert_trials(sizes: Sizes, layer: Any, hidden: Tensor, router: Tensor) -> Iterator[Trial]:
    rows = len(hidden)
    weights, index = routing.route(hidden, router, sizes.chosen)
    of_expert = rows * sizes.chosen // sizes.experts
    tall = (16,) if of_expert <= 8 else (16, 32) if of_expert <= 48 else (64, 128)
    wide, deep, down = (128, 64, 4, 4), (64, 128, 4, 4), (64, 64, 4, 4)
    yield Trial(
        "experts",
        rows,
        lambda kernels: kernels.experts(layer, hidden, index, weights),
        [(Tile(m, *up), Tile(m, *down)) for m in tall for up in (wide, deep)]
        + [(Tile(m, *deep), Tile(m, *deep)) for m in tall],
    )
    yield Trial(
        "route",
        rows,
        lambda kernels: kernels.route(hidden, router, sizes.chosen)[0].sort().values,
        [(Tile(m, 0, k, 4, 2),) for m in (16, 32) for k in (64, 128)],
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """The input of a layer for slots of different lengths."""

    heads: Qkv
    turns: tuple[Tensor, Tensor]
    positions: Tensor
    cache: Tensor

    @classmethod
    def of(cls, sizes: Sizes, normal: Callable[..., Tensor], slots: int, tokens: int) -> _Step:
        dim, length = sizes.dim // sizes.heads, 2 * sizes.keys  # half full on average
        heads = Qkv(*(normal(slots, tokens, sizes.heads, dim) for _ in range(3)))
        like = heads.query
        starts = ((torch.arange(slots) + 0.5) * (length - tokens) / slots).long()
        positions = (starts[:, None] + torch.arange(tokens)).to(like.device)
        speeds = 10_000.0 ** -torch.arange(0, 1, 2 / dim, device=like.device)
        angles = (positions[..., None] * speeds).repeat(1, 1, 2)
        turns = angles.cos().to(like.dtype), angles.sin().to(like.dtype)
        return cls(heads, turns, positions, normal(2, slots, length, sizes.heads, dim))

    def attended(self, kernels: Kernels) -> Tensor:
        """The keys that its tokens attend to."""
        span = self.cache.shape[2]
        return kernels.attend(self.heads.query, self.cache, self.positions, span)

    def rotated(self, kernels: Kernels) -> Tensor:
        """Write keys and values to the cache; return the queries."""
        return kernels.rotate_and_store(self.heads, self.turns, self.positions, self.cache)

    def stored(self, kernels: Kernels) -> Tensor:
        """An empty cache, so that a write to a wrong position is noticed."""
        kept = torch.zeros_like(self.cache)
        kernels.rotate_and_store(self.heads, self.turns, self.positions, kept)
        return kept


def _attend_trial(sizes: Sizes, normal: Callable[..., Tensor], slots: int) -> Trial:
    wide = _Step.of(sizes, normal, min(slots, _CHECKED), _WIDE)
    return Trial(
        "attend",
        slots,
        _Step.of(sizes, normal, slots, 1).attended,
        [(Tile(16, n, 0, 4, s),) for n in (32, 64, 128) for s in (2, 3)],
        [wide.attended],
    )


def _rotate_trial(sizes: Sizes, normal: Callable[..., Tensor], rows: int) -> Trial:
    tokens = 1 if rows <= _SLOTS else _WIDE
    checked = [_Step.of(sizes, normal, min(rows, _CHECKED), count).stored for count in (1, _WIDE)]
    return Trial(
        "rotate",
        rows,
        _Step.of(sizes, normal, rows // tokens, tokens).rotated,
        [(Tile(1, 0, 0, w, 1),) for w in (1, 2, 4)],
        checked,
    )


def _view_trial(sizes: Sizes, normal: Callable[..., Tensor], side: int) -> Trial:
    views = max(1, 4 * 4096 // side**2) if len(sizes.rows) > 1 else 1
    shape = (views, sizes.view_heads, side * side)
    view = Qkv(*(normal(*shape, sizes.view_dim) for _ in range(3)))
    by_row, by_column = normal(*shape, side), normal(*shape, side)
    return Trial(
        "relative",
        side * side,
        lambda kernels: kernels.attend_relative(view, by_row, by_column),
        [(Tile(m, 0, 0, w, 2),) for m in (64, 128) for w in (4, 8)],
    )


if __name__ == "__main__":
    main()
