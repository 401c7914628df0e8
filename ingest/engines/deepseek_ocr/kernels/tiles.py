"""On which GPUs, for how many rows and in which tiles each kernel is used: a table of measurements.

``tiles.json`` is written by ``benchmarks/gpu/tune_kernels.py``. A GPU that is not in it computes
with plain torch, and so does one for which that was the faster way. Knows no torch and no kernel.
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
    """What one program of a kernel computes at a time, and how.

    ``rows`` and ``cols`` of the result, ``inner`` numbers of the sum at a time; ``warps`` of 32
    threads; ``stages`` of loads under way. Kernels leave alone what they do not need.
    """

    rows: int
    cols: int
    inner: int
    warps: int
    stages: int


@dataclass(frozen=True, slots=True)
class TileRow:
    """The best tiles of a kernel for up to so many rows, and both times in microseconds.

    Rows are slots (attend), tokens (experts, rotate, route) or positions of a view (relative).
    """

    op: Op
    up_to: int
    tiles: tuple[Tile, ...]
    fast_us: float = 0.0
    plain_us: float = float("inf")


class Tiles:
    """Rows of one GPU, to be looked up by kernel and number of rows."""

    def __init__(self, rows: Sequence[TileRow] = ()) -> None:
        self._rows: dict[str, list[TileRow]] = {op: [] for op in get_args(Op)}
        for row in sorted(rows, key=lambda row: row.up_to):
            self._rows[row.op].append(row)

    def find(self, op: Op, rows: int) -> tuple[Tile, ...]:
        """Tiles to use; none where plain torch is faster, or nothing is known."""
        for row in self._rows[op]:
            if rows <= row.up_to:
                return row.tiles if row.fast_us < row.plain_us else ()
        return ()

    def has(self, op: Op) -> bool:
        """Whether the kernel is used for any number of rows."""
        return any(row.fast_us < row.plain_us for row in self._rows[op])


@cache
def measured(gpu: str) -> Tiles | None:
    """What is known of a GPU by its name; None if nothing is."""
    text = files(__package__).joinpath("tiles.json").read_text(encoding="utf-8")
    rows = read_table(json.loads(text)).get(gpu)
    return Tiles(rows) if rows else None


def read_table(table: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[TileRow]]:
    """Rows by GPU, from what ``tiles.json`` holds."""
    return {
        gpu: [
            TileRow(**{**row, "tiles": tuple(Tile(*numbers) for numbers in row["tiles"])})
            for row in rows
        ]
        for gpu, rows in table.items()
    }


def _pair(rows: int) -> tuple[Tile, Tile]:
    return Tile(rows, 64, 128, 4, 4), Tile(rows, 64, 128, 4, 4)


UNMEASURED: Final = Tiles(
    [
        TileRow("attend", 4096, (Tile(16, 64, 0, 4, 2),)),
        TileRow("relative", 6400, (Tile(128, 0, 0, 4, 2),)),
        TileRow("rotate", 4096, (Tile(1, 0, 0, 1, 1),)),
        TileRow("route", 4096, (Tile(16, 0, 64, 4, 2),)),
        # Six of 64 experts read a token: 256 tokens are 24 rows of an expert.
        TileRow("experts", 256, _pair(16)),
        TileRow("experts", 1024, _pair(64)),
    ]
)
"""A guess for GPUs nobody has measured: for measuring, and for those who switch kernels on."""
