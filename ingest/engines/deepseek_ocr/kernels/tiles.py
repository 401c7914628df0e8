"""Measurements of the kernels: on which GPUs, up to how many rows and in which tiles to use them.

``benchmarks/gpu/tune_kernels.py`` writes ``tiles.json``. A GPU without a row there runs plain
PyTorch, and so does one where PyTorch was faster. This module imports neither torch nor kernels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

__all__ = ["UNMEASURED", "Op", "Tile", "TileRow", "Tiles", "measured", "read_table"]

Op = Literal["attend", "experts", "relative", "rotate", "route"]


@dataclass(frozen=True, slots=True)
class Tile:
    """Launch parameters of a kernel; each kernel ignores those it does not need."""

    rows: int  # of the result per program (Triton's BLOCK_M)
    cols: int  # of the result per program (BLOCK_N)
    inner: int  # elements of the reduction per iteration (BLOCK_K)
    warps: int  # num_warps
    stages: int  # num_stages


@dataclass(frozen=True, slots=True)
class TileRow:
    """The best tiles of a kernel up to a number of rows.

    Rows are slots (attend), tokens (experts, rotate, route) or positions of a view (relative).
    """

    op: Op
    up_to: int
    tiles: tuple[Tile, ...]  # one per matrix product of the operation
    fast_us: float = 0.0  # time of the kernel, in microseconds
    plain_us: float = float("inf")  # time of plain PyTorch


class Tiles:
    """Measurements of one GPU, looked up by operation and number of rows."""

    def __init__(self, rows: Sequence[TileRow] = ()) -> None:
        self._rows: dict[str, list[TileRow]] = {op: [] for op in get_args(Op)}
        for row in sorted(rows, key=lambda row: row.up_to):
            self._rows[row.op].append(row)

    def find(self, op: Op, rows: int) -> tuple[Tile, ...]:
        """Return the tiles to use; an empty tuple means plain PyTorch."""
        for row in self._rows[op]:
            if rows <= row.up_to:
                return row.tiles if row.fast_us < row.plain_us else ()
        return ()

    def has(self, op: Op) -> bool:
        """Whether the kernel of an operation is used for any number of rows."""
        return any(row.fast_us < row.plain_us for row in self._rows[op])


@cache
def measured(gpu: str) -> Tiles | None:
    """Return the measurements of a GPU by its name; None if there are none."""
    text = files(__package__).joinpath("tiles.json").read_text(encoding="utf-8")
    rows = read_table(json.loads(text)).get(gpu)
    return Tiles(rows) if rows else None


def read_table(table: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[TileRow]]:
    """Parse the content of ``tiles.json`` to rows by GPU."""
    return {
        gpu: [
            TileRow(**{**row, "tiles": tuple(Tile(*numbers) for numbers in row["tiles"])})
            for row in rows
        ]
        for gpu, rows in table.items()
    }


UNMEASURED: Final = Tiles(
    [
        TileRow("attend", 4096, (Tile(16, 64, 0, 4, 2),)),
        TileRow("relative", 6400, (Tile(128, 0, 0, 4, 2),)),
        TileRow("rotate", 4096, (Tile(1, 0, 0, 1, 1),)),
        TileRow("route", 4096, (Tile(16, 0, 64, 4, 2),)),
        # Each token uses 6 of 64 experts, so 256 tokens give an expert 24 rows.
        TileRow("experts", 256, (Tile(16, 64, 128, 4, 4),) * 2),
        TileRow("experts", 1024, (Tile(64, 64, 128, 4, 4),) * 2),
    ]
)
"""Untuned tiles for GPUs without measurements, used with ``kernels="on"`` and by benchmarks."""
