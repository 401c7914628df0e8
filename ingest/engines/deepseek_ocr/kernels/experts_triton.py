"""The experts of a small batch: two matrix products in which no weight is copied.

Pairs of token and expert are laid out expert by expert, each expert's filled up to whole tiles,
so that a tile reads the weights of one expert. Everything is decided on the device: the grid is
as large as the worst case, and programs without a tile end at once.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .tiles import Tile

__all__ = ["experts", "lay_out"]

_CHUNK = 128  # pairs, or numbers of a sum, that a small kernel looks at at once


def experts(
    hidden: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    index: torch.Tensor,
    weights: torch.Tensor,
    tiles: tuple[Tile, Tile],
) -> torch.Tensor:
    """Weighted sum of what each token's experts make of it.

    Args:
        hidden: ``[tokens, dim]``.
        gate_up: ``[experts, 2 * inner, dim]``, gate rows first.
        down: ``[experts, dim, inner]``.
        index: int64, ``[tokens, chosen]``.
        weights: ``[tokens, chosen]``.
        tiles: of both products; their ``rows`` are equal.

    Returns:
        ``[tokens, dim]``, summed in float32.
    """
    up, back = tiles
    tokens, chosen = index.shape
    hidden, index, weights = hidden.contiguous(), index.contiguous(), weights.contiguous()
    inner = down.shape[2]
    pairs, owners = lay_out(index, gate_up.shape[0], up.rows)
    middle = hidden.new_empty(len(pairs), inner)
    parts = hidden.new_empty(tokens * chosen, hidden.shape[1], dtype=torch.float32)
    precision = "ieee" if hidden.dtype == torch.float32 else "tf32"
    _gate_up[(len(owners), triton.cdiv(inner, up.cols))](
        hidden,
        gate_up,
        pairs,
        owners,
        middle,
        gate_up.stride(0),
        index.numel(),
        chosen=chosen,
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
    _add_up[(tokens, triton.cdiv(hidden.shape[1], _CHUNK))](
        parts, mixed, chosen=chosen, width=hidden.shape[1], cols=_CHUNK
    )
    return mixed


def lay_out(index: torch.Tensor, count: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Order pairs by expert, in tiles of ``rows``.

    Args:
        index: int64, ``[tokens, chosen]``, contiguous.
        count: experts.
        rows: pairs in a tile.

    Returns:
        Pairs, int32 ``[tiles * rows]``, with ``index.numel()`` where there is none; and the
        expert of each tile, int32 ``[tiles]``, with -1 where there is none.
    """
    total = index.numel()
    # Each expert fills its whole tiles and begins one more at most; none is without a pair.
    tiles = min(total, total // rows + count)
    pairs = torch.empty(tiles * rows, dtype=torch.int32, device=index.device)
    owners = torch.empty(tiles, dtype=torch.int32, device=index.device)
    _lay_out[(count,)](
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
def _lay_out(
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
    # Every program counts all pairs: they are few, and so no program waits for another.
    mine = tl.program_id(0)
    expert = tl.arange(0, slots)
    counts = tl.zeros((slots,), tl.int32)
    for start in range(0, total, chunk):
        at = start + tl.arange(0, chunk)
        of = tl.load(index + at, mask=at < total, other=-1)
        counts += tl.sum((of[:, None] == expert[None, :]).to(tl.int32), 0)
    needed = (counts + rows - 1) // rows
    first = tl.sum(tl.where(expert < mine, needed, 0), 0)
    own = tl.sum(tl.where(expert == mine, needed, 0), 0)
    for tile in range(first, first + own):
        tl.store(owners + tile, mine)
    last = tl.where(mine == count - 1, tiles, first + own)
    for tile in range(first + own, last):  # the last expert's program closes the list
        tl.store(owners + tile, -1)

    to = first * rows
    for start in range(0, total, chunk):
        at = start + tl.arange(0, chunk)
        of = tl.load(index + at, mask=at < total, other=-1)
        hit = (of == mine).to(tl.int32)
        tl.store(pairs + to + tl.cumsum(hit, 0) - 1, at.to(tl.int32), mask=hit == 1)
        to += tl.sum(hit, 0)
    rest = to + tl.arange(0, rows)
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
    chosen: tl.constexpr,
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
        place = tile * rows + tl.arange(0, rows)
        pair = tl.load(pairs + place)
        token = (pair // chosen).to(tl.int64)
        there = pair < total
        n = tl.program_id(1) * cols + tl.arange(0, cols)
        weight = gate_up + expert * expert_stride
        gate = tl.zeros((rows, cols), tl.float32)
        up = tl.zeros((rows, cols), tl.float32)
        for start in range(0, dim, inner):
            k = start + tl.arange(0, inner)
            a = tl.load(
                hidden + token[:, None] * dim + k[None, :],
                mask=there[:, None] & (k[None, :] < dim),
                other=0.0,
            )
            inside = (n[None, :] < width) & (k[:, None] < dim)
            at = n[None, :] * dim + k[:, None]
            b = tl.load(weight + at, mask=inside, other=0.0)
            gate = tl.dot(a, b, gate, input_precision=precision)
            b = tl.load(weight + width * dim + at, mask=inside, other=0.0)
            up = tl.dot(a, b, up, input_precision=precision)
        made = gate / (1.0 + tl.exp(-gate)) * up
        tl.store(
            middle + place.to(tl.int64)[:, None] * width + n[None, :],
            made,
            mask=there[:, None] & (n[None, :] < width),
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
        place = tile * rows + tl.arange(0, rows)
        pair = tl.load(pairs + place)
        there = pair < total
        n = tl.program_id(1) * cols + tl.arange(0, cols)
        weight = down + expert * expert_stride
        made = tl.zeros((rows, cols), tl.float32)
        for start in range(0, dim, inner):
            k = start + tl.arange(0, inner)
            a = tl.load(
                middle + place.to(tl.int64)[:, None] * dim + k[None, :],
                mask=there[:, None] & (k[None, :] < dim),
                other=0.0,
            )
            b = tl.load(
                weight + n[None, :] * dim + k[:, None],
                mask=(n[None, :] < width) & (k[:, None] < dim),
                other=0.0,
            )
            made = tl.dot(a, b, made, input_precision=precision)
        share = tl.load(weights + pair, mask=there, other=0.0).to(tl.float32)
        tl.store(
            parts + pair.to(tl.int64)[:, None] * width + n[None, :],
            made * share[:, None],
            mask=there[:, None] & (n[None, :] < width),
        )


@triton.jit
def _add_up(parts, mixed, chosen: tl.constexpr, width: tl.constexpr, cols: tl.constexpr):
    # In a fixed order: atomic additions would give other last digits on every run.
    token = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * cols + tl.arange(0, cols)
    total = tl.zeros((cols,), tl.float32)
    for place in tl.static_range(chosen):
        at = parts + (token * chosen + place) * width + n
        total += tl.load(at, mask=n < width, other=0.0)
    tl.store(mixed + token * width + n, total, mask=n < width)
