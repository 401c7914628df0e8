"""Greedy choice under the no-repeat n-gram rule, for many rows and positions at once.

The rule is that of the published vLLM logits processor, in tensors, so that it runs on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .ngram import NoRepeat

__all__ = ["Greedy"]


@dataclass(frozen=True, slots=True)
class Greedy:
    """Chooses the id with the highest score that the rule allows."""

    rule: NoRepeat
    allowed: Sequence[int]  # ids that are never banned

    def choose(self, scores: Tensor, history: Tensor, guesses: Tensor, generated: Tensor) -> Tensor:
        """Choose an id at every position.

        Position j assumes that the first j guesses are accepted. If one of them is not, the id
        chosen at j is meaningless.

        Args:
            scores: ``[rows, 1 + guesses, vocabulary]``, float32; changed in place.
            history: the last ids written, padded with -1 on the left, at least the rule's window.
            guesses: ``[rows, guesses]``.
            generated: number of ids written, ``[rows]``.
        """
        size, window = self.rule.size, self.rule.window
        if 2 <= size <= window:
            self._ban(scores, torch.cat([history[:, -window:], guesses], dim=1), generated)
        return scores.argmax(dim=-1)

    def _ban(self, scores: Tensor, ids: Tensor, generated: Tensor) -> None:
        size = self.rule.size
        # [rows, positions, starts, size]: per position, every n-gram in its window
        grams = ids.unfold(1, self.rule.window, 1).unfold(2, size, 1)
        # [rows, positions, size - 1]: the ids before each position
        prefixes = ids[:, self.rule.window - size + 1 :].unfold(1, size - 1, 1)
        count = generated[:, None] + torch.arange(scores.shape[1], device=ids.device)
        again = (grams[..., :-1] == prefixes[:, :, None]).all(-1) & (count >= size)[:, :, None]
        last = grams[..., -1]
        for token in self.allowed:
            again &= last != token
        penalty = torch.full_like(scores[..., :1], torch.inf).expand(last.shape)
        penalty = penalty.masked_fill(again, -torch.inf)
        scores.scatter_reduce_(-1, last.clamp(min=0), penalty, "amin")
