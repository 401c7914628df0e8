"""Attention of the SAM encoder that never holds the full relative position bias in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..kernels.attention import Qkv
from ..kernels.dispatch import Kernels

__all__ = ["RelativeAttention", "replace_attention"]


def replace_attention(tower: Any, kernels: Kernels) -> None:
    """Replace the attention of every SAM layer of a vision tower, sharing the weights."""
    for layer in tower.sam_encoder.layers:
        layer.attn = RelativeAttention(layer.attn, kernels)


class RelativeAttention(nn.Module):
    """Drop-in replacement of ``UnlimitedOcrSamVisionAttention`` with the same weights."""

    def __init__(self, original: Any, kernels: Kernels) -> None:
        super().__init__()
        self.qkv, self.proj = original.qkv, original.proj
        self.rel_pos_h, self.rel_pos_w = original.rel_pos_h, original.rel_pos_w
        self._heads = int(original.num_attention_heads)
        self._get_rel_pos = original.get_rel_pos
        self.kernels = kernels
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, None]:
        """Attend within each view. Shape: ``[views, side, side, dim]``."""
        views, side = hidden_states.shape[:2]
        heads = self.qkv(hidden_states).view(views, side * side, 3, self._heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        by_row, by_column = self._table(side)
        query_grid = query.unflatten(2, (side, side))
        rows = torch.einsum("vnhwc,hkc->vnhwk", query_grid, by_row).flatten(2, 3)
        columns = torch.einsum("vnhwc,wkc->vnhwk", query_grid, by_column).flatten(2, 3)
        mixed = self.kernels.attend_relative(Qkv(query, key, value), rows, columns)
        return self.proj(mixed.transpose(1, 2).reshape(hidden_states.shape)), None

    def _table(self, side: int) -> tuple[Tensor, Tensor]:
        # As in the published code, tables for another side than the trained one are resized in
        # float32.
        if side not in self._tables:
            by_row, by_column = (
                self._get_rel_pos(side, side, table.float()).to(self.qkv.weight.dtype)
                for table in (self.rel_pos_h, self.rel_pos_w)
            )
            self._tables[side] = by_row, by_column
        return self._tables[side]
