"""The same without a bias in memory: a program adds both parts to the scores it just computed.

Keys are taken a row of the view at a time, so that the part by columns stays where it is and the
part by rows is one number per query.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from .relative import View
from .tiles import Tile

__all__ = ["attend_relative"]

_LEAST = 16  # rows and columns of a tile that tensor cores take


def attend_relative(
    view: View, rows: torch.Tensor, columns: torch.Tensor, tile: Tile
) -> torch.Tensor:
    """See :func:`.relative.attend_relative`."""
    query, key, value = (part.contiguous() for part in view)
    views, heads, positions, dim = query.shape
    mixed = torch.empty_like(query)
    _attend_view[(triton.cdiv(positions, tile.rows), views * heads)](
        query,
        key,
        value,
        rows.contiguous(),
        columns.contiguous(),
        mixed,
        math.log2(math.e),
        1 / math.sqrt(dim),
        side=rows.shape[-1],
        dim=dim,
        queries=tile.rows,
        keys=max(_LEAST, triton.next_power_of_2(rows.shape[-1])),
        width=max(_LEAST, triton.next_power_of_2(dim)),
        precision="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return mixed


@triton.jit
def _attend_view(
    query,
    key,
    value,
    rows,
    columns,
    mixed,
    log2e,
    scale,
    side: tl.constexpr,
    dim: tl.constexpr,
    queries: tl.constexpr,
    keys: tl.constexpr,
    width: tl.constexpr,
    precision: tl.constexpr,
):
    head = tl.program_id(1).to(tl.int64) * side * side
    m = tl.program_id(0) * queries + tl.arange(0, queries)
    n = tl.arange(0, keys)
    d = tl.arange(0, width)
    asked = m[:, None] < side * side
    inside = asked & (d[None, :] < dim)
    held = (n[:, None] < side) & (d[None, :] < dim)
    at = (head + m[:, None]) * dim + d[None, :]
    q = tl.load(query + at, mask=inside, other=0.0)
    by_column = tl.load(
        columns + (head + m[:, None]) * side + n[None, :],
        mask=asked & (n[None, :] < side),
        other=float("-inf"),
    ).to(tl.float32)
    by_column = tl.where((n[None, :] < side) & ~asked, 0.0, by_column)
    highest = tl.full((queries,), float("-inf"), tl.float32)
    total = tl.zeros((queries,), tl.float32)
    sums = tl.zeros((queries, width), tl.float32)
    for row in range(side):
        of_row = (head + row * side + n[:, None]) * dim + d[None, :]
        k = tl.load(key + of_row, mask=held, other=0.0)
        v = tl.load(value + of_row, mask=held, other=0.0)
        by_row = tl.load(rows + (head + m) * side + row, mask=m < side * side, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=precision) * scale
        scores = (scores + by_column + by_row.to(tl.float32)[:, None]) * log2e
        higher = tl.maximum(highest, tl.max(scores, 1))
        weight = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(highest - higher)
        total = total * fade + tl.sum(weight, 1)
        sums = tl.dot(weight.to(v.dtype), v, sums * fade[:, None], input_precision=precision)
        highest = higher
    tl.store(mixed + at, sums / total[:, None], mask=inside)
