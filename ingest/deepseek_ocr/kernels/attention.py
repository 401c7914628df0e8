"""Attention of a step's few tokens to all that their slots hold."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["attend"]


def attend(
    query: torch.Tensor, cache: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Causal attention over slots of different lengths.

    Args:
        query: ``[rows, tokens, heads, dim]``, rotated; the tokens are the last of their slots.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer.
        slots: int, ``[rows]``.
        lengths: int, ``[rows]``: what each slot holds, the tokens of ``query`` included.

    Returns:
        ``[rows, tokens, heads, dim]``.
    """
    tokens = query.shape[1]
    keys, values = cache[:, slots].unbind(0)
    last = lengths.unsqueeze(1) - tokens + torch.arange(tokens, device=query.device)
    seen = torch.arange(keys.shape[1], device=query.device) <= last.unsqueeze(2)
    mixed = functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=seen.unsqueeze(1),
    )
    return mixed.transpose(1, 2)
