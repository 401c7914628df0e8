"""Turn queries and keys by their positions, and keep keys and values in their slots."""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

__all__ = ["Heads", "rotate_and_store"]


class Heads(NamedTuple):
    """What a layer projects tokens to. Shape: in a step ``[slots, tokens, heads, dim]`` each."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def rotate_and_store(
    heads: Heads,
    turns: tuple[torch.Tensor, torch.Tensor],
    positions: torch.Tensor,
    cache: torch.Tensor,
) -> torch.Tensor:
    """Rotate queries and keys; write keys and values to ``cache[:, slot, position]``.

    Args:
        heads: a step's queries, keys and values.
        turns: cosine and sine, each ``[slots, tokens, dim]``, both halves of ``dim`` alike.
        positions: int64, ``[slots, tokens]``: where in its slot a token goes.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer.

    Returns:
        Rotated queries, ``[slots, tokens, heads, dim]``.
    """
    query: torch.Tensor
    query, key = apply_rotary_pos_emb(heads.query, heads.key, *turns, unsqueeze_dim=2)
    slots = torch.arange(len(query), device=query.device)[:, None]
    cache[0, slots, positions] = key
    cache[1, slots, positions] = heads.value
    return query
