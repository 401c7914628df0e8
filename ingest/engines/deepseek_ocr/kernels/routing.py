"""Mixture-of-experts router: which experts process a token, and with which weight."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["route"]


def route(hidden: Tensor, router: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Take the softmax over all experts and select the best. Their weights are not renormalized.

    Shape: ``hidden [tokens, dim]``, ``router [experts, dim]`` (scores are float32 whatever their
    dtype) to weights, float32, and expert indices, int64; both ``[tokens, top_k]``, unsorted.
    """
    scores = functional.linear(hidden.float(), router.float()).softmax(-1)
    weights, experts = scores.topk(top_k, sorted=False)
    return weights, experts
