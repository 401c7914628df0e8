"""Rotary embedding and the KV cache write in one Triton kernel instead of about 14 launches."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention import Qkv
from .tiles import Tile

__all__ = ["rotate_and_store"]


def rotate_and_store(
    qkv: Qkv, angles: tuple[Tensor, Tensor], positions: Tensor, cache: Tensor, tile: Tile
) -> Tensor:
    """See :func:`.rotary.rotate_and_store`."""
    slots, tokens, count, dim = qkv.query.shape
    cos, sin = (part.expand(slots, tokens, dim).contiguous() for part in angles)
    positions = positions.contiguous()
    rotated = torch.empty_like(qkv.query, memory_format=torch.contiguous_format)
    _rotate[(slots * tokens, count)](
        *qkv,
        cos,
        sin,
        positions,
        cache,
        rotated,
        *(stride for part in qkv for stride in part.stride()[:3]),
        *cache.stride()[:4],
        tokens,
        count,
        half=dim // 2,
        cols=triton.next_power_of_2(dim // 2),
        num_warps=tile.warps,
    )
    return rotated


@triton.jit
def _rotate(
    query,
    key,
    value,
    cos,
    sin,
    positions,
    cache,
    rotated,
    query_slot,
    query_token,
    query_head,
    key_slot,
    key_token,
    key_head,
    value_slot,
    value_token,
    value_head,
    cache_part,
    cache_slot,
    cache_token,
    cache_head,
    tokens,
    count,
    half: tl.constexpr,
    cols: tl.constexpr,
):
    row = tl.program_id(0)
    head = tl.program_id(1)
    slot = row // tokens
    token = row % tokens
    low = tl.arange(0, cols)
    used = low < half
    high = low + half
    # Both halves of cosine and sine are equal, so one is enough.
    c = tl.load(cos + row * 2 * half + low, mask=used, other=0.0).to(tl.float32)
    s = tl.load(sin + row * 2 * half + low, mask=used, other=0.0).to(tl.float32)
    # Offsets into the cache exceed 32 bits.
    position = tl.load(positions + row).to(tl.int64)
    entry = cache + slot.to(tl.int64) * cache_slot + position * cache_token + head * cache_head

    from_query = query + slot * query_slot + token * query_token + head * query_head
    a = tl.load(from_query + low, mask=used, other=0.0).to(tl.float32)
    b = tl.load(from_query + high, mask=used, other=0.0).to(tl.float32)
    to_query = rotated + (row * count + head) * 2 * half
    tl.store(to_query + low, a * c - b * s, mask=used)
    tl.store(to_query + high, b * c + a * s, mask=used)

    from_key = key + slot * key_slot + token * key_token + head * key_head
    a = tl.load(from_key + low, mask=used, other=0.0).to(tl.float32)
    b = tl.load(from_key + high, mask=used, other=0.0).to(tl.float32)
    tl.store(entry + low, a * c - b * s, mask=used)
    tl.store(entry + high, b * c + a * s, mask=used)

    from_value = value + slot * value_slot + token * value_token + head * value_head
    tl.store(entry + cache_part + low, tl.load(from_value + low, mask=used, other=0.0), mask=used)
    tl.store(entry + cache_part + high, tl.load(from_value + high, mask=used, other=0.0), mask=used)
