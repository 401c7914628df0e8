"""Attention with a bias that depends on how far apart query and key lie, in rows and columns.

The first encoder's. Its bias has heads x positions^2 numbers, 0.8 GB in float32 for one view of
1,024 pixels, but is the sum of two parts with heads x positions x side numbers each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch.nn import functional

__all__ = ["View", "attend_relative"]

# Bias held at once. A view of 640 pixels needs no more in float32; one of 1,280 needs 2 GB in
# all, and is as fast in parts, while a process takes a quarter of the memory.
_CPU_BYTES: Final = 128 * 1024**2
_GPU_BYTES: Final = 512 * 1024**2


class View(NamedTuple):
    """Queries, keys and values of square views. Shape: ``[views, heads, side * side, dim]``."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def attend_relative(view: View, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Softmax over ``query . key / sqrt(dim) + rows + columns``, part of the queries at a time.

    The numbers are those of one call with the whole bias.

    Args:
        view: what attends.
        rows: bias by the key's row, ``[views, heads, side * side, side]``.
        columns: bias by the key's column, as ``rows``.

    Returns:
        ``[views, heads, side * side, dim]``.
    """
    query, key, value = view
    side = rows.shape[-1]
    most = _CPU_BYTES if query.device.type == "cpu" else _GPU_BYTES
    per_line = rows.shape[0] * rows.shape[1] * side**3 * query.element_size()
    step = side * max(1, min(side, most // per_line))
    parts = []
    for start in range(0, side**2, step):
        part = slice(start, start + step)
        bias = rows[:, :, part, :, None] + columns[:, :, part, None, :]
        mixed = functional.scaled_dot_product_attention(
            query[:, :, part], key, value, attn_mask=bias.flatten(-2)
        )
        parts.append(mixed)
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
