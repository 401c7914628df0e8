"""The decoder's layers over our own KV cache: prefill of new pages, and decode steps over slots.

The weights stay in transformers' modules. Operations that may have a kernel go through
:mod:`..kernels.dispatch`. Nothing here synchronizes with the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

from ..device.transfer import on_device_of
from ..kernels.attention import Qkv
from ..kernels.dispatch import Kernels

__all__ = ["Forward", "PrefillSlot", "SlotView"]


@dataclass(frozen=True, slots=True)
class SlotView:
    """The leading slots of one class that take part in a step."""

    cache: Tensor  # [layers, 2, slots, length, heads, head_dim], keys before values
    slots: int
    span: int  # KV entries that attention reads; no page in the slots is longer after the step


@dataclass(frozen=True, slots=True)
class PrefillSlot:
    """The slot of ``cache`` (see :class:`SlotView`) that a new page is prefilled into."""

    cache: Tensor
    slot: int
    length: int  # tokens of the page and its prompt


class Forward:
    """Runs the text part of transformers' ``UnlimitedOcrForConditionalGeneration``."""

    def __init__(self, network: Any, kernels: Kernels | None = None) -> None:
        self._text = network.model.language_model
        self._head = network.lm_head
        self._kernels = kernels or Kernels()
        config = network.config.text_config
        self._heads = int(config.num_attention_heads)
        self.layers = int(config.num_hidden_layers)
        self.head_dim = int(config.hidden_size) // self._heads
        self.vocabulary = int(config.vocab_size)

    def needs_span(self, slots: int) -> bool:
        """Whether attention over so many slots reads up to their span, not their own lengths."""
        return not self._kernels.tiles.find("attend", slots)

    @property
    def empty_cache(self) -> Tensor:
        """A cache of no slots, with the right dtype and device."""
        like: Tensor = self._head.weight
        return like.new_zeros(self.layers, 2, 0, 0, self._heads, self.head_dim)

    def on_device(self) -> AbstractContextManager[None]:
        """See :func:`.transfer.on_device_of`. Leave it before a generator yields to other code."""
        return on_device_of(self._head.weight)

    def prefill(self, packed: Tensor, slots: Sequence[PrefillSlot]) -> Tensor:
        """Run new pages through the layers and store their keys and values, one slot per page.

        Shape: ``packed [tokens, hidden]``, the pages without padding, to the scores of the first
        id of each answer, ``[pages, vocabulary]``, float32.
        """
        sizes = [slot.length for slot in slots]
        positions = torch.cat([torch.arange(n, device=packed.device) for n in sizes])[None]
        hidden = packed[None]
        angles = self._text.rotary_emb(hidden, position_ids=positions)
        for number, layer in enumerate(self._text.layers):
            q, k, v = self._project(layer, hidden)
            q, k = apply_rotary_pos_emb(q, k, *angles, unsqueeze_dim=2)
            _store(number, k[0], v[0], slots)
            mixed = _attend_pages(Qkv(q[0], k[0], v[0]), sizes)
            hidden = self._finish(layer, hidden, mixed[None])
        # Indexed by Python integers: a tensor of indices would be copied from the host.
        return self._scores(torch.stack([hidden[0, end - 1] for end in accumulate(sizes)]))

    def step(self, ids: Tensor, positions: Tensor, views: Sequence[SlotView]) -> Tensor:
        """Run one decode step: one token per row, or several to verify guesses.

        Shape: ``ids`` and their ``positions`` in the slots, ``[rows, tokens]``, the views one after
        the other, to the scores of the id after each, ``[rows, tokens, vocabulary]``, float32.
        """
        hidden = self._text.embed_tokens(ids)
        sizes = [view.slots for view in views]
        angles = self._text.rotary_emb(hidden, position_ids=positions)
        inputs = list(zip(*(t.split(sizes) for t in (*angles, positions)), views, strict=True))
        for number, layer in enumerate(self._text.layers):
            qkv = [torch.split(part, sizes) for part in self._project(layer, hidden)]
            mixed = [
                self._attend_slots(number, Qkv(*of_view), *rest)
                for of_view, rest in zip(zip(*qkv, strict=True), inputs, strict=True)
            ]
            hidden = self._finish(layer, hidden, torch.cat(mixed))
        return self._scores(hidden)

    def _attend_slots(
        self, layer: int, qkv: Qkv, cos: Tensor, sin: Tensor, positions: Tensor, view: SlotView
    ) -> Tensor:
        # Stores the keys and values of the new tokens first, then attends over the slots.
        cache = view.cache[layer, :, : view.slots]
        query = self._kernels.rotate_and_store(qkv, (cos, sin), positions, cache)
        return self._kernels.attend(query, cache, positions, view.span)

    def _project(self, layer: Any, hidden: Tensor) -> list[Tensor]:
        # Queries, keys and values, each [rows, tokens, heads, head_dim].
        normed = layer.input_layernorm(hidden)
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [part(normed).unflatten(-1, (self._heads, self.head_dim)) for part in parts]

    def _finish(self, layer: Any, hidden: Tensor, mixed: Tensor) -> Tensor:
        # The layer after attention: output projection, residuals, feed-forward.
        hidden = hidden + layer.self_attn.o_proj(mixed.flatten(-2))
        normed = layer.post_attention_layernorm(hidden)
        return hidden + self._feed_forward(layer.mlp, normed)

    def _feed_forward(self, mlp: Any, hidden: Tensor) -> Tensor:
        # As mlp(hidden), but mixture-of-experts layers use the router kernel where it is faster.
        flat = hidden.flatten(0, 1)
        if not hasattr(mlp, "experts") or not self._kernels.tiles.find("route", len(flat)):
            result: Tensor = mlp(hidden)
            return result
        weights, index = self._kernels.route(flat, mlp.gate.weight, mlp.gate.top_k)
        mixed = self._kernels.experts(mlp.experts, flat, index, weights).view_as(hidden)
        shared: Tensor = mlp.shared_experts(hidden)
        return mixed + shared

    def _scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self._head(self._text.norm(hidden)).float()
        return scores


def _attend_pages(qkv: Qkv, sizes: list[int]) -> Tensor:
    """Causal attention within each of several packed pages: ``[tokens, heads, head_dim]``."""
    # [heads, tokens, head_dim] per page
    split = [torch.split(t.transpose(0, 1), sizes, dim=1) for t in qkv]
    mixed = [
        scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        for q, k, v in zip(*split, strict=True)
    ]
    return torch.cat(mixed, dim=1).transpose(0, 1)


def _store(layer: int, keys: Tensor, values: Tensor, slots: Sequence[PrefillSlot]) -> None:
    sizes = [slot.length for slot in slots]
    for k, v, slot in zip(torch.split(keys, sizes), torch.split(values, sizes), slots, strict=True):
        slot.cache[layer, 0, slot.slot, : slot.length] = k
        slot.cache[layer, 1, slot.slot, : slot.length] = v
