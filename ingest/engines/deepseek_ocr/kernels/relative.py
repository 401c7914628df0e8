"""Attention with decomposed relative position biases, as in the SAM encoder.

The full bias has heads x positions^2 elements: 0.8 GB in float32 for one view of 1,024 pixels. It
is the sum of a bias by row and a bias by column, each with heads x positions x side elements.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from .attention import Qkv

__all__ = ["attend_relative"]

# Bias held at once. In float32, a view of 640 pixels needs less than this. A view of 1,280 pixels
# needs 2 GB at once; in parts it is as fast, and the process takes a quarter of the memory.
_CPU_BYTES: Final = 128 * 1024**2
_GPU_BYTES: Final = 512 * 1024**2


def attend_relative(qkv: Qkv, rows: Tensor, columns: Tensor) -> Tensor:
    """Compute softmax attention with the scores ``query . key / sqrt(dim) + rows + columns``.

    Queries are processed in parts, so that the full bias is never in memory. The result, shaped
    like the queries, equals that of one call with the full bias.

    Args:
        qkv: each ``[views, heads, side * side, dim]``, for square views.
        rows: bias by the key's row, ``[views, heads, side * side, side]``.
        columns: bias by the key's column, same shape as ``rows``.
    """
    query, key, value = qkv
    side = rows.shape[-1]
    limit = _CPU_BYTES if query.device.type == "cpu" else _GPU_BYTES
    per_line = rows.shape[0] * rows.shape[1] * side**3 * query.element_size()
    step = side * max(1, min(side, limit // per_line))
    parts = []
    for start in range(0, side**2, step):
        part = slice(start, start + step)
        bias = rows[:, :, part, :, None] + columns[:, :, part, None, :]
        mixed = functional.scaled_dot_product_attention(
            query[:, :, part], key, value, attn_mask=bias.flatten(-2)
        )
        parts.append(mixed)
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
