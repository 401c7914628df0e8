"""Mixture-of-experts layers of a small batch in Triton: two grouped matrix products.

Token-expert pairs are sorted by expert and padded to whole tiles, as vLLM's
``moe_align_block_size`` does, so that each tile reads the weights of one expert and no weight is
copied. The host never learns how many tiles there are: the grid covers the worst case, and
programs without a tile return at once.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tiles import Tile

__all__ = ["experts", "sort_pairs"]

_CHUNK = 128  # elements that the two small kernels process per iteration


def experts(
    hidden: Tensor,
    gate_up: Tensor,
    down: Tensor,
    index: Tensor,
    weights: Tensor,
    tiles: tuple[Tile, Tile],
) -> Tensor:
    """Apply each token's experts and return the weighted sum of their outputs.

    Args:
        hidden: ``[tokens, dim]``.
        gate_up: ``[experts, 2 * inner, dim]``, gate rows before up rows.
        down: ``[experts, dim, inner]``.
        index: experts of each token, int64, ``[tokens, top_k]``.
        weights: ``[tokens, top_k]``.
        tiles: for the two products; their ``rows`` must be equal.

    Returns:
        ``[tokens, dim]``, accumulated in float32.
    """
    up, back = tiles
    tokens, top_k = index.shape
    hidden, index, weights = hidden.contiguous(), index.contiguous(), weights.contiguous()
    inner = down.shape[2]
    pairs, owners = sort_pairs(index, gate_up.shape[0], up.rows)
    middle = hidden.new_empty(len(pairs), inner)
    parts = hidden.new_empty(tokens * top_k, hidden.shape[1], dtype=torch.float32)
    precision = "ieee" if hidden.dtype == torch.float32 else "tf32"
    _gate_up[(len(owners), triton.cdiv(inner, up.cols))](
        hidden,
        gate_up,
        pairs,
        owners,
        middle,
        gate_up.stride(0),
        index.numel(),
        top_k=top_k,
        dim=hidden.shape[1],
        width=inner,
        rows=up.rows,
        cols=up.cols,
        inner=up.inner,
        precision=precision,
        num_warps=up.warps,
        num_stages=up.stages,
    )
    _down[(len(owners), triton.cdiv(hidden.shape[1], back.cols))](
        middle,
        down,
        pairs,
        owners,
        weights,
        parts,
        down.stride(0),
        index.numel(),
        dim=inner,
        width=hidden.shape[1],
        rows=back.rows,
        cols=back.cols,
        inner=back.inner,
        precision=precision,
        num_warps=back.warps,
        num_stages=back.stages,
    )
    mixed = torch.empty_like(hidden)
    _sum_experts[(tokens, triton.cdiv(hidden.shape[1], _CHUNK))](
        parts, mixed, top_k=top_k, width=hidden.shape[1], cols=_CHUNK
    )
    return mixed


def sort_pairs(index: Tensor, count: int, rows: int) -> tuple[Tensor, Tensor]:
    """Sort token-expert pairs by expert, each of ``count`` padded to whole tiles of ``rows`` pairs.

    Shape: ``index [tokens, top_k]``, int64, contiguous: the experts of each token.

    Returns:
        Pairs as positions in the flattened ``index``, int32 ``[tiles * rows]``, padded with
        ``index.numel()``; and the expert of each tile, int32 ``[tiles]``, -1 for unused tiles.
    """
    total = index.numel()
    # Each expert has at most one tile that is not full, and no tile is empty.
    tiles = min(total, total // rows + count)
    pairs = torch.empty(tiles * rows, dtype=torch.int32, device=index.device)
    owners = torch.empty(tiles, dtype=torch.int32, device=index.device)
    _sort_pairs[(count,)](
        index,
        pairs,
        owners,
        total,
        tiles,
        count=count,
        slots=triton.next_power_of_2(count),
        rows=rows,
        chunk=_CHUNK,
    )
    return pairs, owners


@triton.jit
def _sort_pairs(
    index,
    pairs,
    owners,
    total,
    tiles,
    count: tl.constexpr,
    slots: tl.constexpr,
    rows: tl.constexpr,
    chunk: tl.constexpr,
):
    # Every program counts all pairs. They are few, and programs need not synchronize.
    mine = tl.program_id(0)
    expert = tl.arange(0, slots)
    counts = tl.zeros((slots,), tl.int32)
    for start in range(0, total, chunk):
        pair = start + tl.arange(0, chunk)
        owner = tl.load(index + pair, mask=pair < total, other=-1)
        counts += tl.sum((owner[:, None] == expert[None, :]).to(tl.int32), 0)
    needed = (counts + rows - 1) // rows
    first = tl.sum(tl.where(expert < mine, needed, 0), 0)
    own = tl.sum(tl.where(expert == mine, needed, 0), 0)
    for tile in range(first, first + own):
        tl.store(owners + tile, mine)
    last = tl.where(mine == count - 1, tiles, first + own)
    for tile in range(first + own, last):  # the last expert's program marks unused tiles
        tl.store(owners + tile, -1)

    target = first * rows
    for start in range(0, total, chunk):
        pair = start + tl.arange(0, chunk)
        owner = tl.load(index + pair, mask=pair < total, other=-1)
        hit = (owner == mine).to(tl.int32)
        tl.store(pairs + target + tl.cumsum(hit, 0) - 1, pair.to(tl.int32), mask=hit == 1)
        target += tl.sum(hit, 0)
    rest = target + tl.arange(0, rows)
    tl.store(pairs + rest, tl.full((rows,), total, tl.int32), mask=rest < (first + own) * rows)


@triton.jit
def _gate_up(
    hidden,
    gate_up,
    pairs,
    owners,
    middle,
    expert_stride,
    total,
    top_k: tl.constexpr,
    dim: tl.constexpr,
    width: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    inner: tl.constexpr,
    precision: tl.constexpr,
):
    tile = tl.program_id(0)
    expert = tl.load(owners + tile).to(tl.int64)
    if expert >= 0:
        row = tile * rows + tl.arange(0, rows)
        pair = tl.load(pairs + row)
        token = (pair // top_k).to(tl.int64)
        valid = pair < total
        n = tl.program_id(1) * cols + tl.arange(0, cols)
        weight = gate_up + expert * expert_stride
        gate = tl.zeros((rows, cols), tl.float32)
        up = tl.zeros((rows, cols), tl.float32)
        for start in range(0, dim, inner):
            k = start + tl.arange(0, inner)
            a = tl.load(
                hidden + token[:, None] * dim + k[None, :],
                mask=valid[:, None] & (k[None, :] < dim),
                other=0.0,
            )
            used = (n[None, :] < width) & (k[:, None] < dim)
            offset = n[None, :] * dim + k[:, None]
            b = tl.load(weight + offset, mask=used, other=0.0)
            gate = tl.dot(a, b, gate, input_precision=precision)
            b = tl.load(weight + width * dim + offset, mask=used, other=0.0)
            up = tl.dot(a, b, up, input_precision=precision)
        product = gate / (1.0 + tl.exp(-gate)) * up
        tl.store(
            middle + row.to(tl.int64)[:, None] * width + n[None, :],
            product,
            mask=valid[:, None] & (n[None, :] < width),
        )


@triton.jit
def _down(
    middle,
    down,
    pairs,
    owners,
    weights,
    parts,
    expert_stride,
    total,
    dim: tl.constexpr,
    width: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    inner: tl.constexpr,
    precision: tl.constexpr,
):
    tile = tl.program_id(0)
    expert = tl.load(owners + tile).to(tl.int64)
    if expert >= 0:
        row = tile * rows + tl.arange(0, rows)
        pair = tl.load(pairs + row)
        valid = pair < total
        n = tl.program_id(1) * cols + tl.arange(0, cols)
        weight = down + expert * expert_stride
        product = tl.zeros((rows, cols), tl.float32)
        for start in range(0, dim, inner):
            k = start + tl.arange(0, inner)
            a = tl.load(
                middle + row.to(tl.int64)[:, None] * dim + k[None, :],
                mask=valid[:, None] & (k[None, :] < dim),
                other=0.0,
            )
            b = tl.load(
                weight + n[None, :] * dim + k[:, None],
                mask=(n[None, :] < width) & (k[:, None] < dim),
                other=0.0,
            )
            product = tl.dot(a, b, product, input_precision=precision)
        share = tl.load(weights + pair, mask=valid, other=0.0).to(tl.float32)
        tl.store(
            parts + pair.to(tl.int64)[:, None] * width + n[None, :],
            product * share[:, None],
            mask=valid[:, None] & (n[None, :] < width),
        )


@triton.jit
def _sum_experts(parts, mixed, top_k: tl.constexpr, width: tl.constexpr, cols: tl.constexpr):
    # In a fixed order: atomic additions would make the last digits differ from run to run.
    token = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * cols + tl.arange(0, cols)
    total = tl.zeros((cols,), tl.float32)
    for rank in tl.static_range(top_k):
        source = parts + (token * top_k + rank) * width + n
        total += tl.load(source, mask=n < width, other=0.0)
    tl.store(mixed + token * width + n, total, mask=n < width)
