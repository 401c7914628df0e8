"""Guess what comes next from text that the page may hold: its text layer, an earlier reading.

A guess costs no exactness: it is written only where the model would have written the same. The
page's place in the draft is found again and again from the last three ids, because an answer has
what the draft has not (boxes, table tags, headings' marks), and the other way round. Nothing
leaves the device.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from .slots import Rows

__all__ = ["MATCHED", "guess"]

MATCHED: Final = 3
"""Ids by which the place in a draft is found: so many of history are needed."""

# One id alone is found everywhere; near the place where the draft was left it means something.
_NEAR: Final = 32
# Costs in ids of distance: a match of two is worth a match of three this much farther away; one of
# one is taken only if there is no other.
_TWO: Final = 256
_ONE: Final = 1 << 20
_NONE: Final = 1 << 40
_BACKWARDS: Final = 4  # how much farther back seems than forward: pages are read on


def guess(rows: Rows, count: int) -> tuple[Tensor, Tensor]:
    """Ids that may follow.

    Returns:
        Guesses ``[rows, count]``, -1 where there is none, and where in the draft they begin,
        ``[rows]``. Behind a box, where nothing matches, they go on where the draft was left.
    """
    drafts = rows.drafts
    three, two, one = rows.history[:, -MATCHED:, None].expand(-1, -1, drafts.shape[1]).unbind(1)
    match1 = drafts == one
    match2 = match1 & (drafts.roll(1, 1) == two)
    match3 = match2 & (drafts.roll(2, 1) == three)
    after = torch.arange(1, drafts.shape[1] + 1, device=drafts.device)
    ahead = after - rows.cursors[:, None]
    distance = torch.where(ahead < 0, -_BACKWARDS * ahead, ahead)
    cost = torch.full_like(drafts, _NONE)
    cost = torch.where(match1 & (ahead >= 0) & (ahead < _NEAR), distance + _ONE, cost)
    cost = torch.where(match2, distance + _TWO, cost)
    cost = torch.where(match3, torch.minimum(distance, cost), cost)
    least, place = cost.min(dim=1)
    starts = torch.where(least < _NONE, place + 1, rows.cursors)
    places = starts[:, None] + torch.arange(count, device=drafts.device)
    inside = places < drafts.shape[1]
    guesses = drafts.gather(1, places.clamp(max=drafts.shape[1] - 1))
    return guesses.masked_fill(~inside, -1), starts
