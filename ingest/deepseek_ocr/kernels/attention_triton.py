"""Attention that reads of every slot what it holds, once, and nothing behind it.

One program per row and head: with ten heads, 64 rows are enough to fill a GPU, so that no slot
need be split among programs.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from .tiles import Tile

__all__ = ["attend"]

_LEAST = 16  # rows and columns of a tile that tensor cores take


def attend(
    query: torch.Tensor,
    cache: torch.Tensor,
    slots: torch.Tensor,
    lengths: torch.Tensor,
    tile: Tile,
) -> torch.Tensor:
    """See :func:`.attention.attend`. Rows of length 0 give zeros."""
    rows, tokens, count, dim = query.shape
    mixed = torch.empty_like(query, memory_format=torch.contiguous_format)
    _attend[(rows, count)](
        query,
        cache,
        slots,
        lengths,
        mixed,
        *query.stride()[:3],
        *cache.stride()[:4],
        count,
        math.log2(math.e) / math.sqrt(dim),
        tokens=tokens,
        dim=dim,
        rows=max(_LEAST, triton.next_power_of_2(tokens)),
        cols=tile.cols,
        width=max(_LEAST, triton.next_power_of_2(dim)),
        precision="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return mixed


@triton.jit
def _attend(
    query,
    cache,
    slots,
    lengths,
    mixed,
    query_row,
    query_token,
    query_head,
    cache_part,
    cache_slot,
    cache_token,
    cache_head,
    count,
    scale,
    tokens: tl.constexpr,
    dim: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    width: tl.constexpr,
    precision: tl.constexpr,
):
    row = tl.program_id(0)
    head = tl.program_id(1)
    slot = tl.load(slots + row).to(tl.int64)  # a cache has more numbers than int32 counts
    length = tl.load(lengths + row)
    token = tl.arange(0, rows)
    d = tl.arange(0, width)
    inside = (token[:, None] < tokens) & (d[None, :] < dim)
    q = tl.load(
        query + row * query_row + head * query_head + token[:, None] * query_token + d[None, :],
        mask=inside,
        other=0.0,
    )
    keys = cache + slot * cache_slot + head * cache_head
    last = length - tokens + token
    highest = tl.full((rows,), float("-inf"), tl.float32)
    total = tl.zeros((rows,), tl.float32)
    sums = tl.zeros((rows, width), tl.float32)
    for start in range(0, length, cols):
        n = start + tl.arange(0, cols)
        there = (n[:, None] < length) & (d[None, :] < dim)
        at = n.to(tl.int64)[:, None] * cache_token + d[None, :]
        k = tl.load(keys + at, mask=there, other=0.0)
        v = tl.load(keys + cache_part + at, mask=there, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=precision) * scale
        scores = tl.where(n[None, :] <= last[:, None], scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        # Where nothing is seen yet all is minus infinity, and its difference would be no number.
        base = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp2(scores - base[:, None])
        fade = tl.exp2(highest - base)
        total = total * fade + tl.sum(weight, 1)
        sums = sums * fade[:, None]
        sums = tl.dot(weight.to(v.dtype), v, sums, input_precision=precision)
        highest = higher
    sums = sums / tl.where(total == 0.0, 1.0, total)[:, None]
    to = mixed + ((row * tokens + token[:, None]) * count + head) * dim + d[None, :]
    tl.store(to, sums, mask=inside)
