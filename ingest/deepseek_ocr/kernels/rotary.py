"""Turn queries and keys by their positions, and keep keys and values in their slots."""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Heads", "rotate_and_store"]


class Heads(NamedTuple):
    """What a layer projects its tokens to. Shape: each ``[rows, tokens, heads, dim]``."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def rotate_and_store(
    heads: Heads,
    turn: tuple[torch.Tensor, torch.Tensor],
    positions: torch.Tensor,
    slots: torch.Tensor,
    cache: torch.Tensor,
) -> torch.Tensor:
    """Rotate queries and keys; write keys and values to ``cache[:, slots, positions]``.

    Args:
        heads: a step's queries, keys and values.
        turn: cosine and sine, each ``[rows, tokens, dim]``, both halves of ``dim`` alike.
        positions: int, ``[rows, tokens]``: where in its slot a token goes.
        slots: int, ``[rows]``; no two rows share one.
        cache: ``[2, slots, length, heads, dim]``, keys and values of one layer.

    Returns:
        Rotated queries, ``[rows, tokens, heads, dim]``.
    """
    cos, sin = (part.unsqueeze(2) for part in turn)
    row = slots.unsqueeze(1).expand_as(positions)
    cache[0, row, positions] = _rotate(heads.key, cos, sin).to(cache.dtype)
    cache[1, row, positions] = heads.value.to(cache.dtype)
    return _rotate(heads.query, cos, sin)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-high, low], dim=-1) * sin
