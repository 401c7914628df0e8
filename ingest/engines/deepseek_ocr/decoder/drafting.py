"""Guess the next ids of a page: prompt-lookup decoding, with the page's draft as the lookup text.

The draft is text that the page may hold, such as its text layer or an earlier answer. Guesses
never change the answer: a guess is accepted only if greedy decoding chooses the same id.

The offset in the draft is looked up anew at each step, by the last ids written, because an answer
holds what the draft lacks (boxes, table tags, heading marks) and the other way round. The markup
that opens a block is guessed from a template instead. Decoded one id a step, it took a quarter to
two thirds of the steps on pages with boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .slots import Rows

__all__ = ["MATCH_LENGTH", "BlockTemplate", "propose"]

MATCH_LENGTH: Final = 3
"""Longest match between history and draft, in ids; rows keep at least so much history."""

# A match of a single id counts only this close after the cursor: elsewhere it is chance.
_NEAR: Final = 32
# The match with the lowest cost wins. Its cost is its distance from the cursor in ids, plus a
# penalty for fewer than three matching ids.
_TWO: Final = 256
_ONE: Final = 1 << 20  # a single id wins only if there is no other match
_NO_MATCH: Final = 1 << 40
_BACKWARDS: Final = 4  # distance backwards counts four times, because pages are read forwards

_SIGNS: Final = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>")
_BLOCK: Final = "{}text{}{}[[0, 0, 0, 0]]{}\n".format(*_SIGNS)


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """The markup that opens a block: its label and its box, with arbitrary label and numbers."""

    ids: Tensor  # [length]
    anchors: Tensor  # offsets in ``ids`` of special tokens, each of which occurs once, [n]

    @classmethod
    def of(cls, encode: Callable[[str], Sequence[int]], device: torch.device) -> BlockTemplate:
        """Encode the template. Signs that are not a single token give no anchor."""
        ids = list(encode(_BLOCK))
        signs = [encode(sign) for sign in _SIGNS]
        offsets = [ids.index(sign[0]) for sign in signs if len(sign) == 1]
        return cls(torch.tensor(ids, device=device), torch.tensor(offsets, device=device))

    def next_offset(self, history: Tensor) -> Tensor:
        """Offset of the next id: that of the last anchor written, plus the ids written since.

        Shape: ``history [rows, window]`` to ``[rows]``. A row outside of block markup gets an
        offset of at least ``len(ids)``.
        """
        length = len(self.ids)
        recent = history[:, -length:]
        since = torch.arange(recent.shape[1], 0, -1, device=history.device)
        following = self.anchors + since[:, None]  # [window, anchors]
        same = recent[..., None] == self.ids[self.anchors]
        # The anchor written last is the one since which the fewest ids were written.
        least, which = torch.where(same, since[:, None], length).flatten(1).min(dim=1)
        return torch.where(least < length, following.flatten()[which], length)

    def ids_from(self, offsets: Tensor, count: int) -> Tensor:
        """Ids from these offsets on, -1 past the end. Shape: ``[rows]`` to ``[rows, count]``."""
        wanted = offsets[:, None] + torch.arange(count, device=offsets.device)
        last = len(self.ids) - 1
        return self.ids[wanted.clamp(max=last)].masked_fill(wanted > last, -1)


def propose(rows: Rows, count: int, template: BlockTemplate) -> tuple[Tensor, Tensor]:
    """Guess the next ids of each row.

    Inside block markup guesses come from the template, elsewhere from the draft: after the best
    match, or from the cursor if nothing matches.

    Returns:
        Guesses, ``[rows, count]``, -1 for none; and the offset in the draft of the first one,
        ``[rows]``, -1 if they come from the template.
    """
    guesses, starts = _from_draft(rows, count)
    offsets = template.next_offset(rows.history)
    is_markup = offsets < len(template.ids)
    guesses = torch.where(is_markup[:, None], template.ids_from(offsets, count), guesses)
    return guesses, starts.masked_fill(is_markup, -1)


def _from_draft(rows: Rows, count: int) -> tuple[Tensor, Tensor]:
    drafts = rows.drafts
    three, two, one = (
        rows.history[:, -MATCH_LENGTH:, None].expand(-1, -1, drafts.shape[1]).unbind(1)
    )
    match1 = drafts == one
    match2 = match1 & (drafts.roll(1, 1) == two)
    match3 = match2 & (drafts.roll(2, 1) == three)
    after = torch.arange(1, drafts.shape[1] + 1, device=drafts.device)
    ahead = after - rows.cursors[:, None]
    distance = torch.where(ahead < 0, -_BACKWARDS * ahead, ahead)
    cost = torch.full_like(drafts, _NO_MATCH)
    cost = torch.where(match1 & (ahead >= 0) & (ahead < _NEAR), distance + _ONE, cost)
    cost = torch.where(match2, distance + _TWO, cost)
    cost = torch.where(match3, torch.minimum(distance, cost), cost)
    least, best = cost.min(dim=1)
    starts = torch.where(least < _NO_MATCH, best + 1, rows.cursors)
    offsets = starts[:, None] + torch.arange(count, device=drafts.device)
    inside = offsets < drafts.shape[1]
    guesses = drafts.gather(1, offsets.clamp(max=drafts.shape[1] - 1))
    return guesses.masked_fill(~inside, -1), starts
