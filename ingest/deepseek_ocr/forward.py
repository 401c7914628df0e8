"""The decoder's layers over pages that start and over slots that go on.

The weights are used where transformers' model holds them. What may have a faster kernel
is in :class:`Operations`, in plain torch; a subclass takes its place where one was measured.
Nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import apply_rotary_pos_emb

__all__ = ["Forward", "Operations", "Place", "SlotView"]


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


class Operations:
    """What a layer does, in plain torch. One per network.

    Attributes:
        needs_span: whether time depends on :attr:`SlotView.span`; kernels that are told lengths
            look at no more than those, and a graph then serves any span.
    """

    needs_span = True

    def attend_pages(self, q: Tensor, k: Tensor, v: Tensor, places: Sequence[Place]) -> Tensor:
        """Causal attention of packed pages, each within itself.

        Shape: all ``[tokens, heads, head_dim]``, page after page.
        """
        sizes = [place.length for place in places]
        # [heads, tokens, head_dim] per page
        split = [torch.split(t.transpose(0, 1), sizes, dim=1) for t in (q, k, v)]
        mixed = [
            scaled_dot_product_attention(a[None], b[None], c[None], is_causal=True)[0]
            for a, b, c in zip(*split, strict=True)
        ]
        return torch.cat(mixed, dim=1).transpose(0, 1)

    def rotate(self, q: Tensor, k: Tensor, turns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Rotary positions. Shape: ``[rows, tokens, heads, head_dim]``."""
        rotated: tuple[Tensor, Tensor] = apply_rotary_pos_emb(q, k, *turns, unsqueeze_dim=2)
        return rotated

    def attend_slots(
        self, q: Tensor, k: Tensor, v: Tensor, cache: Tensor, positions: Tensor, span: int
    ) -> Tensor:
        """Write the keys and values of new tokens to their slots, then attend over these.

        Args:
            q: ``[slots, tokens, heads, head_dim]``, rotated; ``k`` and ``v`` alike.
            k: see ``q``.
            v: see ``q``.
            cache: of one layer, ``[2, slots, length, heads, head_dim]``.
            positions: ``[slots, tokens]``; a token sees keys up to its own position.
            span: keys that need looking at.

        Returns:
            As ``q``.
        """
        rows = torch.arange(len(q), device=q.device)[:, None]
        cache[0, rows, positions] = k
        cache[1, rows, positions] = v
        seen = torch.arange(span, device=q.device) <= positions[:, :, None]
        keys, values = (cache[i, :, :span].transpose(1, 2) for i in (0, 1))
        out = scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=seen[:, None])
        return out.transpose(1, 2)

    def feed_forward(self, layer: Any, hidden: Tensor) -> Tensor:
        """The dense or the expert part of a layer; experts run as the network was told to.

        Shape: ``[rows, tokens, hidden]``.
        """
        result: Tensor = layer.mlp(hidden)
        return result


class Forward:
    """Runs the text part of transformers' model over our own cache.

    Args:
        network: ``UnlimitedOcrForConditionalGeneration``.
        operations: how; plain torch if not given.
    """

    def __init__(self, network: Any, operations: Operations | None = None) -> None:
        self._text = network.model.language_model
        self._head = network.lm_head
        self.operations = operations or Operations()
        config = network.config.text_config
        self._heads = int(config.num_attention_heads)
        self.layers = int(config.num_hidden_layers)
        self.head_dim = int(config.hidden_size) // self._heads
        self.vocabulary = int(config.vocab_size)

    @property
    def empty_cache(self) -> Tensor:
        """A cache without slots, of the right numbers on the right device."""
        like: Tensor = self._head.weight
        return like.new_zeros(self.layers, 2, 0, 0, self._heads, self.head_dim)

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
            q, k = self.operations.rotate(q, k, turns)
            _keep(number, k[0], v[0], places)
            mixed = self.operations.attend_pages(q[0], k[0], v[0], places)
            hidden = self._finish(layer, hidden, mixed[None])
        ends = torch.tensor(sizes, device=packed.device).cumsum(0) - 1
        return self._scores(hidden[0, ends])

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
        turns = self._text.rotary_emb(hidden, position_ids=positions)
        sizes = [view.slots for view in views]
        places = torch.split(positions, sizes)
        for number, layer in enumerate(self._text.layers):
            q, k, v = self._project(layer, hidden)
            q, k = self.operations.rotate(q, k, turns)
            parts = zip(*(torch.split(t, sizes) for t in (q, k, v)), places, views, strict=True)
            mixed = [
                self.operations.attend_slots(
                    a, b, c, view.cache[number, :, : view.slots], where, view.span
                )
                for a, b, c, where, view in parts
            ]
            hidden = self._finish(layer, hidden, torch.cat(mixed))
        return self._scores(hidden)

    def _project(self, layer: Any, hidden: Tensor) -> list[Tensor]:
        # Three of [rows, tokens, heads, head_dim].
        normed = layer.input_layernorm(hidden)
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [part(normed).unflatten(-1, (self._heads, self.head_dim)) for part in parts]

    def _finish(self, layer: Any, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + layer.self_attn.o_proj(mixed.flatten(-2))
        normed = layer.post_attention_layernorm(hidden)
        return hidden + self.operations.feed_forward(layer, normed)

    def _scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self._head(self._text.norm(hidden)).float()
        return scores


def _keep(layer: int, keys: Tensor, values: Tensor, places: Sequence[Place]) -> None:
    sizes = [place.length for place in places]
    for k, v, place in zip(
        torch.split(keys, sizes), torch.split(values, sizes), places, strict=True
    ):
        place.cache[layer, 0, place.slot, : place.length] = k
        place.cache[layer, 1, place.slot, : place.length] = v
