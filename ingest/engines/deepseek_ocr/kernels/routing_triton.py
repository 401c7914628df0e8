"""The mixture-of-experts router in one Triton kernel instead of five launches."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .tiles import Tile

__all__ = ["route"]


def route(hidden: Tensor, router: Tensor, top_k: int, tile: Tile) -> tuple[Tensor, Tensor]:
    """See :func:`.routing.route`; here the weights are sorted, largest first."""
    tokens, dim = hidden.shape
    experts = router.shape[0]
    weights = torch.empty(tokens, top_k, dtype=torch.float32, device=hidden.device)
    index = torch.empty(tokens, top_k, dtype=torch.int64, device=hidden.device)
    _route[(triton.cdiv(tokens, tile.rows),)](
        hidden,
        router,
        weights,
        index,
        tokens,
        hidden.stride(0),
        router.stride(0),
        experts=experts,
        dim=dim,
        top_k=top_k,
        rows=tile.rows,
        cols=max(16, triton.next_power_of_2(experts)),
        inner=tile.inner,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return weights, index


@triton.jit
def _route(
    hidden,
    router,
    weights,
    index,
    tokens,
    hidden_stride,
    router_stride,
    experts: tl.constexpr,
    dim: tl.constexpr,
    top_k: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    inner: tl.constexpr,
):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    expert = tl.arange(0, cols)
    scores = tl.zeros((rows, cols), tl.float32)
    for start in range(0, dim, inner):
        k = start + tl.arange(0, inner)
        a = tl.load(
            hidden + row[:, None] * hidden_stride + k[None, :],
            mask=(row[:, None] < tokens) & (k[None, :] < dim),
            other=0.0,
        )
        b = tl.load(
            router + expert[None, :] * router_stride + k[:, None],
            mask=(expert[None, :] < experts) & (k[:, None] < dim),
            other=0.0,
        )
        # ieee: tf32 has a 10-bit mantissa and would select other experts.
        scores = tl.dot(a.to(tl.float32), b.to(tl.float32), scores, input_precision="ieee")
    scores = tl.where(expert[None, :] < experts, scores, float("-inf"))
    scores = tl.exp(scores - tl.max(scores, 1)[:, None])
    scores = scores / tl.sum(scores, 1)[:, None]
    scores = tl.where(expert[None, :] < experts, scores, -1.0)
    for rank in tl.static_range(top_k):
        best = tl.argmax(scores, 1)
        tl.store(weights + row * top_k + rank, tl.max(scores, 1), mask=row < tokens)
        tl.store(index + row * top_k + rank, best.to(tl.int64), mask=row < tokens)
        scores = tl.where(expert[None, :] == best[:, None], -1.0, scores)
