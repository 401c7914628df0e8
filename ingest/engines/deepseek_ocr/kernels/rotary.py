"""Rotary position embedding of a step's queries and keys, and the write to the KV cache."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

from .attention import Qkv

__all__ = ["rotate_and_store"]


def rotate_and_store(
    qkv: Qkv, angles: tuple[Tensor, Tensor], positions: Tensor, cache: Tensor
) -> Tensor:
    """Rotate queries and keys; write keys and values to ``cache``; return the queries.

    Args:
        qkv: projections of a step's tokens, each ``[slots, tokens, heads, dim]``.
        angles: cosine and sine, each ``[slots, tokens, dim]``; both halves of ``dim`` are equal.
        positions: int64, ``[slots, tokens]``: position of each token in its slot.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer.
    """
    query: Tensor
    query, key = apply_rotary_pos_emb(qkv.query, qkv.key, *angles, unsqueeze_dim=2)
    slots = torch.arange(len(query), device=query.device)[:, None]
    cache[0, slots, positions] = key
    cache[1, slots, positions] = qkv.value
    return query
