"""One step of decoding for all slots: what was written last goes in, what comes next is chosen.

The no-repeat rule, the choice, the end of a page and the check of guesses all happen on the
device; nothing in a step waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .drafting import MATCHED, Marks, guess
from .forward import Forward, Place, SlotView
from .greedy import Greedy
from .slots import Rows, Slots

__all__ = ["Shape", "Stepper"]

Shape = tuple[tuple[int, int], ...]
"""Per class of slots: how many take part, and how many keys of each are looked at."""


@dataclass(frozen=True, slots=True)
class Stepper:
    """The device's half of decoding.

    Args:
        forward: the network.
        greedy: the rule of choice.
        eos: the id that ends a page.
        marks: how a block begins.
    """

    forward: Forward
    greedy: Greedy
    eos: int
    marks: Marks

    @property
    def window(self) -> int:
        """Ids of history that slots have to keep."""
        return max(self.greedy.rule.window, MATCHED)

    def start(self, packed: Tensor, places: Sequence[Place], new: Rows) -> tuple[Tensor, Rows]:
        """Read pages and write the first id of each.

        Args:
            packed: ``[tokens, hidden]``, page after page.
            places: where their keys go.
            new: their rows before anything is written: ``lengths`` is one less than the page's.

        Returns:
            What was written, ``[pages, 1]``, and the rows to put into the slots.
        """
        scores = self.forward.start(packed, places)[:, None]
        none = new.ids[:, None][:, :0]
        chosen = self.greedy.choose(scores, new.history, none, new.written)
        return self._written(new, chosen, none, new.cursors)

    def step(self, classes: Sequence[Slots], shape: Shape, guesses: int) -> Tensor:
        """Advance the slots of a shape, by one id each or by as many guesses as were right.

        Returns:
            What was written, ``[rows, 1 + guesses]``, -1 behind its end and in idle slots.
        """
        parts = [(s, n, span) for s, (n, span) in zip(classes, shape, strict=True) if n]
        kept = [slots.rows.first(count) for slots, count, _ in parts]
        views = [SlotView(slots.cache, count, span) for slots, count, span in parts]
        rows = Rows.joined(kept)
        if guesses:
            ahead, starts = guess(rows, guesses, self.marks)
        else:
            ahead, starts = rows.ids[:, None][:, :0], rows.cursors
        ids = torch.cat([rows.ids[:, None], ahead.clamp(min=0)], dim=1)
        positions = rows.lengths[:, None] + torch.arange(1 + guesses, device=ids.device)
        scores = self.forward.step(ids, positions, views)
        chosen = self.greedy.choose(scores, rows.history, ahead, rows.written)
        written, new = self._written(rows, chosen, ahead, starts)
        for old, part in zip(kept, new.split([count for _, count, _ in parts]), strict=True):
            old.advance(part)
        return written

    def _written(
        self, rows: Rows, chosen: Tensor, ahead: Tensor, starts: Tensor
    ) -> tuple[Tensor, Rows]:
        # Right guesses are kept, and the first id behind them, up to an end or the budget.
        right = (chosen[:, :-1] == ahead).long().cumprod(dim=1).sum(dim=1)
        room = torch.minimum(right + 1, rows.budgets - rows.written) * rows.active
        keep = torch.arange(chosen.shape[1], device=chosen.device) < room[:, None]
        ends = (chosen == self.eos) & keep
        keep &= ends.long().cumsum(dim=1) - ends.long() == 0
        count = keep.sum(dim=1)
        window = rows.history.shape[1]
        history = torch.cat([rows.history, chosen], dim=1)
        places = count[:, None] + torch.arange(window, device=chosen.device)
        last = chosen.gather(1, (count - 1).clamp(min=0)[:, None])[:, 0]
        written = rows.written + count
        new = Rows(
            ids=torch.where(count > 0, last, rows.ids),
            lengths=rows.lengths + count,
            written=written,
            budgets=rows.budgets,
            active=rows.active & (written < rows.budgets) & ~ends.any(dim=1),
            history=history.gather(1, places),
            drafts=rows.drafts,
            cursors=torch.where((right > 0) & (starts >= 0), starts + right, rows.cursors),
        )
        return chosen.masked_fill(~keep, -1), new
