"""Guess what comes next from text that the page may hold: its text layer, an earlier reading.

A guess costs no exactness: it is written only where the model would have written the same. The
page's place in the draft is found again and again from the last three ids, because an answer has
what the draft has not (boxes, table tags, headings' marks), and the other way round. The marks of
blocks are guessed from their grammar: an id a step, they were a quarter to two thirds of the steps
of pages with boxes. Nothing leaves the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .slots import Rows

__all__ = ["MATCHED", "Marks", "guess"]

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

_SIGNS: Final = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>")
_BLOCK: Final = "{}text{}{}[[0, 0, 0, 0]]{}\n".format(*_SIGNS)


@dataclass(frozen=True, slots=True)
class Marks:
    """How a block begins: its kind and its box, with numbers that mean nothing.

    Shape: ``ids [length]``; ``signs [n]`` are places in it, of ids that stand nowhere else.
    """

    ids: Tensor
    signs: Tensor

    @classmethod
    def of(cls, encode: Callable[[str], Sequence[int]], device: torch.device) -> Marks:
        """In the ids of a vocabulary. Signs that are more than one id in it are left out."""
        ids = list(encode(_BLOCK))
        signs = [encode(sign) for sign in _SIGNS]
        places = [ids.index(sign[0]) for sign in signs if len(sign) == 1]
        return cls(torch.tensor(ids, device=device), torch.tensor(places, device=device))

    def reached(self, history: Tensor) -> Tensor:
        """Place of the id that comes next, as many behind the last sign as were written since.

        Shape: ``history [rows, window]`` to ``[rows]``; the length where no mark is open.
        """
        length = len(self.ids)
        recent = history[:, -length:]
        since = torch.arange(recent.shape[1], 0, -1, device=history.device)
        following = self.signs + since[:, None]  # [window, signs]
        same = recent[..., None] == self.ids[self.signs]
        # Of all signs the last one counts: the one since which the fewest were written.
        least, which = torch.where(same, since[:, None], length).flatten(1).min(dim=1)
        return torch.where(least < length, following.flatten()[which], length)

    def guess(self, places: Tensor, count: int) -> Tensor:
        """Ids from these places on, -1 behind the end. Shape: ``[rows]`` to ``[rows, count]``."""
        wanted = places[:, None] + torch.arange(count, device=places.device)
        last = len(self.ids) - 1
        return self.ids[wanted.clamp(max=last)].masked_fill(wanted > last, -1)


def guess(rows: Rows, count: int, marks: Marks) -> tuple[Tensor, Tensor]:
    """Ids that may follow.

    Returns:
        Guesses ``[rows, count]``, -1 where there is none, and where in the draft they begin,
        ``[rows]``; -1 if they are of a block's marks. Behind these, where nothing matches, they go
        on where the draft was left.
    """
    guesses, starts = _from_draft(rows, count)
    places = marks.reached(rows.history)
    is_open = places < len(marks.ids)
    guesses = torch.where(is_open[:, None], marks.guess(places, count), guesses)
    return guesses, starts.masked_fill(is_open, -1)


def _from_draft(rows: Rows, count: int) -> tuple[Tensor, Tensor]:
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
