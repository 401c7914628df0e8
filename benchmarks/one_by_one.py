"""The decoding rules as transformers asks for them: banned ids, and when a row has ended.

Both look at generated ids only: a decoder started from embeddings has no others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from ..vision import FinishReason
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
    """Ends each row at its end of sentence, its budget, or when it goes round in circles.

    ``ends`` holds, per row, why and after how many ids it ended. What the library pads an
    ended row with is not looked at.
    """

    def __init__(self, eos: int, budgets: Sequence[int], is_loop: LoopDetector) -> None:
        self._eos = eos
        self._is_loop = is_loop
        self._open = set(range(len(budgets)))
        self.ends: list[tuple[FinishReason, int]] = [("length", budget) for budget in budgets]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether each row has ended. Shapes ``[rows, ids]`` to ``[rows]``."""
        length = input_ids.shape[1]
        last = input_ids[:, -1].tolist()
        for row in sorted(self._open):
            if last[row] == self._eos:
                self.ends[row] = "eos", length - 1
            elif length % _LOOK_EVERY == 0 and self._is_loop(input_ids[row].tolist()):
                self.ends[row] = "loop", length
            elif length < self.ends[row][1]:
                continue
            self._open.remove(row)
        ended = [row not in self._open for row in range(len(last))]
        return torch.tensor(ended, device=input_ids.device)
