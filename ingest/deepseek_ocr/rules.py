"""The decoding rules as transformers asks for them: banned ids, and when a row has ended.

Both look at generated ids only: a decoder started from embeddings has no others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from .loops import LoopDetector
from .ngram import NoRepeat, banned_in_window

__all__ = ["NoRepeatInWindow", "RowEnds"]

_LOOK_EVERY = 32  # tokens between looks for a loop; a look takes as long as a tenth of a step


class NoRepeatInWindow(LogitsProcessor):  # type: ignore[misc]  # no annotations
    """Bans ids that would repeat an n-gram within a window (see :mod:`.ngram`)."""

    def __init__(self, rule: NoRepeat, allowed: Collection[int]) -> None:
        self._rule = rule
        self._allowed = frozenset(allowed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores with minus infinity at banned ids. Shapes ``[rows, ids]``, ``[rows, vocab]``."""
        if input_ids.shape[1] < self._rule.size:
            return scores
        scores = scores.clone()
        recent = input_ids[:, -self._rule.window :].tolist()
        for row, ids in enumerate(recent):
            banned = banned_in_window(ids, self._rule.size, self._rule.window, self._allowed)
            if banned:
                scores[row, list(banned)] = -torch.inf
        return scores


class RowEnds(StoppingCriteria):  # type: ignore[misc]  # no annotations
    """Ends a row when its budget is used up or its text goes round in circles.

    ``looped`` holds, per row, whether the second was the reason.
    """

    def __init__(self, budgets: Sequence[int], is_loop: LoopDetector) -> None:
        self._budgets = list(budgets)
        self._is_loop = is_loop
        self.looped = [False] * len(budgets)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether each row has ended. Shapes ``[rows, ids]`` to ``[rows]``."""
        length = input_ids.shape[1]
        if length % _LOOK_EVERY == 0:
            for row, ids in enumerate(input_ids.tolist()):
                self.looped[row] = self.looped[row] or self._is_loop(ids)
        ended = [
            loop or length >= budget
            for loop, budget in zip(self.looped, self._budgets, strict=True)
        ]
        return torch.tensor(ended, device=input_ids.device)
