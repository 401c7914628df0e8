"""Prefills and decode steps on the device: propose, run the layers, choose, accept.

Nothing here synchronizes with the host: whatever depends on values stays in tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .drafting import MATCH_LENGTH, BlockTemplate, propose
from .forward import Forward, PrefillSlot, SlotView
from .greedy import Greedy
from .slots import Rows, Slots

__all__ = ["Shape", "Stepper"]

Shape = tuple[tuple[int, int], ...]
"""Per class of slots: how many leading slots take part, and their span (see ``SlotView``)."""


@dataclass(frozen=True, slots=True)
class Stepper:
    """The device's half of decoding."""

    forward: Forward
    greedy: Greedy
    eos: int  # end-of-sentence id
    template: BlockTemplate

    @property
    def window(self) -> int:
        """Ids of history that rows must keep."""
        return max(self.greedy.rule.window, MATCH_LENGTH)

    def prefill(
        self, packed: Tensor, slots: Sequence[PrefillSlot], new: Rows
    ) -> tuple[Tensor, Rows]:
        """Prefill pages (see :meth:`.Forward.prefill`) with rows of :func:`.slots.upload_rows`.

        Returns:
            The first ids, ``[pages, 1]``, and the rows to put into the slots.
        """
        scores = self.forward.prefill(packed, slots)[:, None]
        no_guesses = new.ids[:, None][:, :0]
        chosen = self.greedy.choose(scores, new.history, no_guesses, new.generated)
        return self._accept(new, chosen, no_guesses, new.cursors)

    def step(self, classes: Sequence[Slots], shape: Shape, guesses: int) -> Tensor:
        """Advance every active row of ``shape`` by one id and by its accepted guesses.

        Returns:
            Ids written, ``[rows, 1 + guesses]``, padded with -1 on the right; inactive rows hold
            -1 only.
        """
        parts = [(s, n, span) for s, (n, span) in zip(classes, shape, strict=True) if n]
        stored = [slots.rows.first(count) for slots, count, _ in parts]
        views = [SlotView(slots.cache, count, span) for slots, count, span in parts]
        rows = Rows.concat(stored)
        if guesses:
            guessed, starts = propose(rows, guesses, self.template)
        else:
            guessed, starts = rows.ids[:, None][:, :0], rows.cursors
        ids = torch.cat([rows.ids[:, None], guessed.clamp(min=0)], dim=1)
        positions = rows.lengths[:, None] + torch.arange(1 + guesses, device=ids.device)
        scores = self.forward.step(ids, positions, views)
        chosen = self.greedy.choose(scores, rows.history, guessed, rows.generated)
        written, new = self._accept(rows, chosen, guessed, starts)
        for old, part in zip(stored, new.split([count for _, count, _ in parts]), strict=True):
            old.update(part)
        return written

    def _accept(
        self, rows: Rows, chosen: Tensor, guessed: Tensor, starts: Tensor
    ) -> tuple[Tensor, Rows]:
        # Accept the guesses up to the first one that differs from the choice, and the id chosen
        # after them. Stop at the end-of-sentence id and at the budget.
        right = (chosen[:, :-1] == guessed).long().cumprod(dim=1).sum(dim=1)
        room = torch.minimum(right + 1, rows.budgets - rows.generated) * rows.active
        keep = torch.arange(chosen.shape[1], device=chosen.device) < room[:, None]
        ends = (chosen == self.eos) & keep
        keep &= ends.long().cumsum(dim=1) - ends.long() == 0
        count = keep.sum(dim=1)
        window = rows.history.shape[1]
        history = torch.cat([rows.history, chosen], dim=1)
        recent = count[:, None] + torch.arange(window, device=chosen.device)
        last = chosen.gather(1, (count - 1).clamp(min=0)[:, None])[:, 0]
        generated = rows.generated + count
        new = Rows(
            ids=torch.where(count > 0, last, rows.ids),
            lengths=rows.lengths + count,
            generated=generated,
            budgets=rows.budgets,
            active=rows.active & (generated < rows.budgets) & ~ends.any(dim=1),
            history=history.gather(1, recent),
            drafts=rows.drafts,
            cursors=torch.where((right > 0) & (starts >= 0), starts + right, rows.cursors),
        )
        return chosen.masked_fill(~keep, -1), new
