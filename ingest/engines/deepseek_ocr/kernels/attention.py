"""Attention of a step's few tokens to what their slots hold."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["attend"]


def attend(
    query: torch.Tensor, cache: torch.Tensor, positions: torch.Tensor, span: int
) -> torch.Tensor:
    """Causal attention over slots that are filled to different lengths.

    Args:
        query: ``[slots, tokens, heads, dim]``, rotated.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer; those of the
            tokens are in it.
        positions: int64, ``[slots, tokens]``; a token sees keys up to its own position.
        span: above every position.

    Returns:
        ``[slots, tokens, heads, dim]``.
    """
    keys, values = (part[:, :span].transpose(1, 2) for part in cache)
    seen = torch.arange(span, device=query.device) <= positions[:, :, None]
    mixed = functional.scaled_dot_product_attention(
        query.transpose(1, 2), keys, values, attn_mask=seen[:, None]
    )
    return mixed.transpose(1, 2)
