"""Rotation and both writes in one kernel instead of about fourteen."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .rotary import Heads
from .tiles import Tile

__all__ = ["rotate_and_store"]


def rotate_and_store(
    heads: Heads,
    turns: tuple[torch.Tensor, torch.Tensor],
    positions: torch.Tensor,
    cache: torch.Tensor,
    tile: Tile,
) -> torch.Tensor:
    """See :func:`.rotary.rotate_and_store`."""
    slots, tokens, count, dim = heads.query.shape
    cos, sin = (part.expand(slots, tokens, dim).contiguous() for part in turns)
    positions = positions.contiguous()
    turned = torch.empty_like(heads.query, memory_format=torch.contiguous_format)
    _rotate[(slots * tokens, count)](
        *heads,
        cos,
        sin,
        positions,
        cache,
        turned,
        *(stride for part in heads for stride in part.stride()[:3]),
        *cache.stride()[:4],
        tokens,
        count,
        half=dim // 2,
        cols=triton.next_power_of_2(dim // 2),
        num_warps=tile.warps,
    )
    return turned


@triton.jit
def _rotate(
    query,
    key,
    value,
    cos,
    sin,
    positions,
    cache,
    turned,
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
    place = tl.program_id(0)
    head = tl.program_id(1)
    slot = place // tokens
    token = place % tokens
    low = tl.arange(0, cols)
    used = low < half
    high = low + half
    # The halves of cosine and sine are equal: one is read.
    c = tl.load(cos + place * 2 * half + low, mask=used, other=0.0).to(tl.float32)
    s = tl.load(sin + place * 2 * half + low, mask=used, other=0.0).to(tl.float32)
    # A cache has more numbers than 32 bits count.
    position = tl.load(positions + place).to(tl.int64)
    kept = cache + slot.to(tl.int64) * cache_slot + position * cache_token + head * cache_head

    from_query = query + slot * query_slot + token * query_token + head * query_head
    a = tl.load(from_query + low, mask=used, other=0.0).to(tl.float32)
    b = tl.load(from_query + high, mask=used, other=0.0).to(tl.float32)
    to = turned + (place * count + head) * 2 * half
    tl.store(to + low, a * c - b * s, mask=used)
    tl.store(to + high, b * c + a * s, mask=used)

    from_key = key + slot * key_slot + token * key_token + head * key_head
    a = tl.load(from_key + low, mask=used, other=0.0).to(tl.float32)
    b = tl.load(from_key + high, mask=used, other=0.0).to(tl.float32)
    tl.store(kept + low, a * c - b * s, mask=used)
    tl.store(kept + high, b * c + a * s, mask=used)

    from_value = value + slot * value_slot + token * value_token + head * value_head
    tl.store(kept + cache_part + low, tl.load(from_value + low, mask=used, other=0.0), mask=used)
    tl.store(kept + cache_part + high, tl.load(from_value + high, mask=used, other=0.0), mask=used)
