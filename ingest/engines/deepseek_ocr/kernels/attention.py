"""Attention of the new tokens of a decode step over the KV cache of their slots."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Qkv", "attend"]


class Qkv(NamedTuple):
    """Queries, keys and values of the same tokens, of equal shape."""

    query: Tensor
    key: Tensor
    value: Tensor


def attend(query: Tensor, cache: Tensor, positions: Tensor, span: int) -> Tensor:
    """Compute causal attention over slots that are filled to different lengths.

    Args:
        query: ``[slots, tokens, heads, dim]``, rotated; the result has the same shape.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer, including those
            of the new tokens.
        positions: int64, ``[slots, tokens]``; a token attends to keys up to its own position.
        span: number of leading keys to read in each slot; larger than every position.
    """
    keys, values = (part[:, :span].transpose(1, 2) for part in cache)
    visible = torch.arange(span, device=query.device) <= positions[:, :, None]
    mixed = functional.scaled_dot_product_attention(
        query.transpose(1, 2), keys, values, attn_mask=visible[:, None]
    )
    return mixed.transpose(1, 2)
