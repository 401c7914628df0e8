"""Mixture-of-experts router: which experts process a token, and with which weight."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["route"]


def route(
    hidden: torch.Tensor, router: torch.Tensor, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take the softmax over all experts and select the best. Their weights are not renormalized.

    Args:
        hidden: ``[tokens, dim]``.
        router: ``[experts, dim]``; scores are computed in float32 whatever its dtype.
        top_k: experts per token.

    Returns:
        Weights, float32, and expert indices, int64; both ``[tokens, top_k]``, unsorted.
    """
    scores = functional.linear(hidden.float(), router.float()).softmax(-1)
    weights, experts = scores.topk(top_k, sorted=False)
    return weights, experts
