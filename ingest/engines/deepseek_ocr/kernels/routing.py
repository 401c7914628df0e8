"""Which experts read a token, and with which weight."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["route"]


def route(
    hidden: torch.Tensor, router: torch.Tensor, chosen: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax over all experts and the best of them; their weights are not made to add up to 1.

    Args:
        hidden: ``[tokens, dim]``.
        router: ``[experts, dim]``; scores are computed in float32 whatever it is stored in.
        chosen: experts per token.

    Returns:
        Weights, float32, and experts, int64; both ``[tokens, chosen]``, in no order.
    """
    scores = functional.linear(hidden.float(), router.float()).softmax(-1)
    weights, experts = scores.topk(chosen, sorted=False)
    return weights, experts
