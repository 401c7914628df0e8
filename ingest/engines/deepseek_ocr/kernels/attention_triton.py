"""Decode attention in Triton. It reads the filled part of each slot once, and nothing after it.

There is one program per slot and head. With ten heads, 64 slots fill a GPU, so slots are not split
among programs.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tiles import Tile

__all__ = ["attend"]

_LEAST = 16  # smallest side of a tile for tensor cores


def attend(query: Tensor, cache: Tensor, positions: Tensor, tile: Tile) -> Tensor:
    """See :func:`.attention.attend`; the number of keys to read comes from ``positions``."""
    slots, tokens, count, dim = query.shape
    mixed = torch.empty_like(query, memory_format=torch.contiguous_format)
    _attend[(slots, count)](
        query,
        cache,
        positions.contiguous(),
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
    positions,
    mixed,
    query_slot,
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
    slot = tl.program_id(0).to(tl.int64)  # offsets into the cache exceed 32 bits
    head = tl.program_id(1)
    token = tl.arange(0, rows)
    last = tl.load(positions + slot * tokens + token, mask=token < tokens, other=0)
    length = tl.max(last, 0) + 1
    d = tl.arange(0, width)
    used = (token[:, None] < tokens) & (d[None, :] < dim)
    q = tl.load(
        query + slot * query_slot + head * query_head + token[:, None] * query_token + d[None, :],
        mask=used,
        other=0.0,
    )
    keys = cache + slot * cache_slot + head * cache_head
    highest = tl.full((rows,), float("-inf"), tl.float32)
    total = tl.zeros((rows,), tl.float32)
    sums = tl.zeros((rows, width), tl.float32)
    for start in range(0, length, cols):
        n = start + tl.arange(0, cols)
        valid = (n[:, None] < length) & (d[None, :] < dim)
        offset = n.to(tl.int64)[:, None] * cache_token + d[None, :]
        k = tl.load(keys + offset, mask=valid, other=0.0)
        v = tl.load(keys + cache_part + offset, mask=valid, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=precision) * scale
        scores = tl.where(n[None, :] <= last[:, None], scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        weight = tl.exp2(scores - higher[:, None])  # every token sees key 0, so higher is finite
        rescale = tl.exp2(highest - higher)
        total = total * rescale + tl.sum(weight, 1)
        sums = sums * rescale[:, None]
        sums = tl.dot(weight.to(v.dtype), v, sums, input_precision=precision)
        highest = higher
    target = mixed + ((slot * tokens + token[:, None]) * count + head) * dim + d[None, :]
    tl.store(target, sums / total[:, None], mask=used)
