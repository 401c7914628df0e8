"""Relative attention in Triton: each program adds both biases to scores in registers.

A program loops over the key rows of the view. The bias by column is loaded once and serves every
row; the bias by row is one number per query and row.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention import Qkv
from .tiles import Tile

__all__ = ["attend_relative"]

_LEAST = 16  # smallest side of a tile for tensor cores


def attend_relative(qkv: Qkv, rows: Tensor, columns: Tensor, tile: Tile) -> Tensor:
    """See :func:`.relative.attend_relative`."""
    query, key, value = (part.contiguous() for part in qkv)
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
    valid = m[:, None] < side * side
    used = valid & (d[None, :] < dim)
    filled = (n[:, None] < side) & (d[None, :] < dim)
    offset = (head + m[:, None]) * dim + d[None, :]
    q = tl.load(query + offset, mask=used, other=0.0)
    by_column = tl.load(
        columns + (head + m[:, None]) * side + n[None, :],
        mask=valid & (n[None, :] < side),
        other=float("-inf"),
    ).to(tl.float32)
    by_column = tl.where((n[None, :] < side) & ~valid, 0.0, by_column)
    highest = tl.full((queries,), float("-inf"), tl.float32)
    total = tl.zeros((queries,), tl.float32)
    sums = tl.zeros((queries, width), tl.float32)
    for row in range(side):
        of_row = (head + row * side + n[:, None]) * dim + d[None, :]
        k = tl.load(key + of_row, mask=filled, other=0.0)
        v = tl.load(value + of_row, mask=filled, other=0.0)
        by_row = tl.load(rows + (head + m) * side + row, mask=m < side * side, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=precision) * scale
        scores = (scores + by_column + by_row.to(tl.float32)[:, None]) * log2e
        higher = tl.maximum(highest, tl.max(scores, 1))
        weight = tl.exp2(scores - higher[:, None])
        rescale = tl.exp2(highest - higher)
        total = total * rescale + tl.sum(weight, 1)
        sums = tl.dot(weight.to(v.dtype), v, sums * rescale[:, None], input_precision=precision)
        highest = higher
    tl.store(mixed + offset, sums / total[:, None], mask=used)
