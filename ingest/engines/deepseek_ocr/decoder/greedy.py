"""The likeliest id that the no-repeat rule allows, for many rows and positions at once.

The same rule as :mod:`.ngram`, in tensors: nothing leaves the device.
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
    """Chooses ids.

    Args:
        rule: which n-grams may not come twice.
        allowed: ids that are never banned.
    """

    rule: NoRepeat
    allowed: Sequence[int]

    def choose(self, scores: Tensor, history: Tensor, guesses: Tensor, written: Tensor) -> Tensor:
        """The best allowed id at every position.

        Position j is judged as if the first j guesses had been written. Where one of them was
        not, the answer means nothing.

        Args:
            scores: ``[rows, 1 + guesses, vocabulary]``, float32; changed in place.
            history: ``[rows, at least window]``, the end of what was written, -1 before its
                beginning.
            guesses: ``[rows, guesses]``.
            written: ``[rows]``, how many ids were.

        Returns:
            ``[rows, 1 + guesses]``.
        """
        size, window = self.rule.size, self.rule.window
        if 2 <= size <= window:
            self._ban(scores, torch.cat([history[:, -window:], guesses], dim=1), written)
        return scores.argmax(dim=-1)

    def _ban(self, scores: Tensor, ids: Tensor, written: Tensor) -> None:
        size = self.rule.size
        # [rows, positions, starts, size]: every n-gram that ends inside the window
        grams = ids.unfold(1, self.rule.window, 1).unfold(2, size, 1)
        ends = ids[:, self.rule.window - size + 1 :].unfold(1, size - 1, 1)
        count = written[:, None] + torch.arange(scores.shape[1], device=ids.device)
        again = (grams[..., :-1] == ends[:, :, None]).all(-1) & (count >= size)[:, :, None]
        last = grams[..., -1]
        for token in self.allowed:
            again &= last != token
        penalty = torch.full_like(scores[..., :1], torch.inf).expand(last.shape)
        penalty = penalty.masked_fill(again, -torch.inf)
        scores.scatter_reduce_(-1, last.clamp(min=0), penalty, "amin")
