"""The decoder's layers over pages that start and over slots that go on.

The weights are used where transformers' model holds them; what may have a kernel is asked of
:mod:`.kernels`. Nothing here waits for the device.
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

__all__ = ["Forward", "Place", "SlotView"]


@dataclass(frozen=True, slots=True)
class SlotView:
    """The slots of one class that take part in a step.

    Shape: ``cache [layers, 2, slots, length, heads, head_dim]``. Of every slot the first
    ``span`` keys may be looked at: no page in it is longer after the step.
    """

    cache: Tensor
    slots: int
    span: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the keys of a page that starts are to go, and how many there are."""

    cache: Tensor
    slot: int
    length: int


class Forward:
    """Runs the text part of transformers' model over our own cache.

    Args:
        network: ``UnlimitedOcrForConditionalGeneration``.
        kernels: of its device; plain torch if not given.
    """

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
        """Whether time depends on :attr:`SlotView.span` when so many slots take part.

        The kernel reads lengths and looks at no more keys, so a graph with it serves any span.
        """
        return not self._kernels.tiles.find("attend", slots)

    @property
    def empty_cache(self) -> Tensor:
        """A cache without slots, of the right numbers on the right device."""
        like: Tensor = self._head.weight
        return like.new_zeros(self.layers, 2, 0, 0, self._heads, self.head_dim)

    def launching(self) -> AbstractContextManager[None]:
        """See :func:`.transfer.on_device_of`; not to be held while others run in this thread."""
        return on_device_of(self._head.weight)

    def start(self, packed: Tensor, places: Sequence[Place]) -> Tensor:
        """Read pages from their beginning and keep their keys.

        Args:
            packed: ``[tokens, hidden]``, page after page.
            places: where the keys go, page by page.

        Returns:
            Scores of the first token of each answer, ``[pages, vocabulary]``, float32.
        """
        sizes = [place.length for place in places]
        positions = torch.cat([torch.arange(n, device=packed.device) for n in sizes])[None]
        hidden = packed[None]
        turns = self._text.rotary_emb(hidden, position_ids=positions)
        for number, layer in enumerate(self._text.layers):
            q, k, v = self._project(layer, hidden)
            q, k = apply_rotary_pos_emb(q, k, *turns, unsqueeze_dim=2)
            _keep(number, k[0], v[0], places)
            mixed = _attend_pages(Qkv(q[0], k[0], v[0]), sizes)
            hidden = self._finish(layer, hidden, mixed[None])
        # Ends by number, not by a tensor of the host, which the device would have to wait for.
        return self._scores(torch.stack([hidden[0, end - 1] for end in accumulate(sizes)]))

    def step(self, ids: Tensor, positions: Tensor, views: Sequence[SlotView]) -> Tensor:
        """Go on by one token, or by several whose scores are all wanted.

        Args:
            ids: ``[rows, tokens]``, the rows of all views one after the other.
            positions: ``[rows, tokens]``.
            views: where their keys are.

        Returns:
            Scores of what follows each token, ``[rows, tokens, vocabulary]``, float32.
        """
        hidden = self._text.embed_tokens(ids)
        sizes = [view.slots for view in views]
        turns = self._text.rotary_emb(hidden, position_ids=positions)
        places = list(zip(*(t.split(sizes) for t in (*turns, positions)), views, strict=True))
        for number, layer in enumerate(self._text.layers):
            heads = [torch.split(part, sizes) for part in self._project(layer, hidden)]
            mixed = [
                self._attend_slots(number, Qkv(*of_view), *place)
                for of_view, place in zip(zip(*heads, strict=True), places, strict=True)
            ]
            hidden = self._finish(layer, hidden, torch.cat(mixed))
        return self._scores(hidden)

    def _attend_slots(
        self, layer: int, qkv: Qkv, cos: Tensor, sin: Tensor, positions: Tensor, view: SlotView
    ) -> Tensor:
        # Writes the keys and values of new tokens to their slots, then attends over these.
        cache = view.cache[layer, :, : view.slots]
        query = self._kernels.rotate_and_store(qkv, (cos, sin), positions, cache)
        return self._kernels.attend(query, cache, positions, view.span)

    def _project(self, layer: Any, hidden: Tensor) -> list[Tensor]:
        # Three of [rows, tokens, heads, head_dim].
        normed = layer.input_layernorm(hidden)
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [part(normed).unflatten(-1, (self._heads, self.head_dim)) for part in parts]

    def _finish(self, layer: Any, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + layer.self_attn.o_proj(mixed.flatten(-2))
        normed = layer.post_attention_layernorm(hidden)
        return hidden + self._feed_forward(layer.mlp, normed)

    def _feed_forward(self, part: Any, hidden: Tensor) -> Tensor:
        # What layer.mlp computes, the dense ones excepted, with our router where that is faster.
        flat = hidden.flatten(0, 1)
        if not hasattr(part, "experts") or not self._kernels.tiles.find("route", len(flat)):
            result: Tensor = part(hidden)
            return result
        weights, index = self._kernels.route(flat, part.gate.weight, part.gate.top_k)
        mixed = self._kernels.experts(part.experts, flat, index, weights).view_as(hidden)
        shared: Tensor = part.shared_experts(hidden)
        return mixed + shared

    def _scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self._head(self._text.norm(hidden)).float()
        return scores


def _attend_pages(qkv: Qkv, sizes: list[int]) -> Tensor:
    """Causal attention of packed pages, each within itself.

    Shape: all ``[tokens, heads, head_dim]``, page after page.
    """
    # [heads, tokens, head_dim] per page
    split = [torch.split(t.transpose(0, 1), sizes, dim=1) for t in qkv]
    mixed = [
        scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        for q, k, v in zip(*split, strict=True)
    ]
    return torch.cat(mixed, dim=1).transpose(0, 1)


def _keep(layer: int, keys: Tensor, values: Tensor, places: Sequence[Place]) -> None:
    sizes = [place.length for place in places]
    for k, v, place in zip(
        torch.split(keys, sizes), torch.split(values, sizes), places, strict=True
    ):
        place.cache[layer, 0, place.slot, : place.length] = k
        place.cache[layer, 1, place.slot, : place.length] = v
