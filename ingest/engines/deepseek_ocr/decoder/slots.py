"""Slots: where running pages keep their keys, their values and how far they are.

All tensors are made once and written in place, so that a step recorded as a CUDA graph finds them
where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from ..device.transfer import upload
from .forward import Place
from .plan import SlotClass

__all__ = ["Rows", "Slots", "Start", "starting"]


@dataclass(frozen=True, slots=True)
class Rows:
    """How far pages are: one row per slot. Everything is int64 but ``active``.

    ``ids`` is the token written last, which no layer has seen yet; ``lengths`` counts keys in the
    slot, which is also the position of that token. ``history`` is the end of what was written,
    -1 before its beginning. ``drafts`` is text the page may hold, -1 behind its end, and
    ``cursors`` where in it the page is.

    Shape: ``[rows]``; ``history [rows, window]``; ``drafts [rows, draft]``.
    """

    ids: Tensor
    lengths: Tensor
    written: Tensor
    budgets: Tensor
    active: Tensor
    history: Tensor
    drafts: Tensor
    cursors: Tensor

    @classmethod
    def empty(cls, rows: int, window: int, draft: int, device: torch.device) -> Rows:
        """Rows of no page."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.long, device=device)

        return cls(
            ids=zeros(rows),
            lengths=zeros(rows),
            written=zeros(rows),
            budgets=zeros(rows),
            active=zeros(rows).bool(),
            history=zeros(rows, window) - 1,
            drafts=zeros(rows, draft) - 1,
            cursors=zeros(rows),
        )

    def first(self, count: int) -> Rows:
        """Views of the first rows."""
        return Rows(*(tensor[:count] for tensor in self._tensors()))

    def put(self, rows: Tensor, new: Rows) -> None:
        """Write rows at these places. Shape: ``rows [n]``."""
        for old, value in zip(self._tensors(), new._tensors(), strict=True):
            old.index_copy_(0, rows, value)

    def take(self, row: int, other: Rows, there: int) -> None:
        """Copy a row of others to one of these."""
        for old, value in zip(self._tensors(), other._tensors(), strict=True):
            old[row] = value[there]

    def copy(self) -> Rows:
        """The same in memory of its own."""
        return Rows(*(tensor.clone() for tensor in self._tensors()))

    def advance(self, new: Rows) -> None:
        """Take over what a step changes: all but budgets and drafts."""
        for field in fields(self):
            if field.name not in ("budgets", "drafts"):
                getattr(self, field.name).copy_(getattr(new, field.name))

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Rows of several classes, one after the other; a single part is not copied."""
        if len(parts) == 1:
            return parts[0]
        return cls(*map(torch.cat, zip(*(part._tensors() for part in parts), strict=True)))

    def split(self, sizes: Sequence[int]) -> list[Rows]:
        """The reverse of :meth:`joined`."""
        parts = zip(*(torch.split(t, list(sizes)) for t in self._tensors()), strict=True)
        return [Rows(*part) for part in parts]

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


class Start(NamedTuple):
    """A page that starts: where, with how many rows, and what it may write."""

    slot: int
    length: int
    budget: int
    draft: Sequence[int]


def starting(
    pages: Sequence[Start], window: int, draft: int, device: torch.device
) -> tuple[Tensor, Rows]:
    """Rows of pages before anything is written, by one copy to the device.

    Args:
        pages: at least one.
        window: ids of history kept.
        draft: ids of draft kept.
        device: where the slots are.

    Returns:
        The slots they go to, ``[pages]``, and the rows; ``lengths`` is one less than the page's.
    """
    longest = min(draft, max(len(page.draft) for page in pages))
    host = torch.full((len(pages), 3 + longest), -1)
    for line, page in zip(host, pages, strict=True):
        numbers = (page.slot, page.length - 1, page.budget, *page.draft[:longest])
        line[: len(numbers)] = torch.tensor(numbers)
    slots, lengths, budgets, drafts = torch.split(upload(host, device), [1, 1, 1, longest], 1)
    rows = Rows.empty(len(pages), window, draft, device)
    rows.active.fill_(True)
    rows.lengths.copy_(lengths[:, 0])
    rows.budgets.copy_(budgets[:, 0])
    rows.drafts[:, :longest] = drafts
    return slots[:, 0], rows


class Slots:
    """All slots of one length.

    Shape: ``cache`` is ``[layers, 2, slots, length, heads, head_dim]``, keys before values.

    Args:
        size: how many, and how long.
        like: an empty ``[layers, 2, 0, 0, heads, head_dim]`` with the dtype and device.
        window: ids of history kept.
        draft: ids of draft kept.
    """

    def __init__(self, size: SlotClass, like: Tensor, window: int, draft: int) -> None:
        layers, two, _, _, heads, dim = like.shape
        # Zeros, not rubbish: a masked NaN is still a NaN in a sum. On CPUs, memory that no page
        # reaches is never taken.
        self.cache = like.new_zeros(layers, two, size.slots, size.length, heads, dim)
        self.rows = Rows.empty(size.slots, window, draft, like.device)
        self.size = size

    def place(self, slot: int, length: int) -> Place:
        """Where the keys of a page that starts go."""
        return Place(self.cache, slot, length)

    def stop(self, slot: int, *, going: bool = False) -> None:
        """Let the page of a slot write no more; or, ``going``, let it go on."""
        self.rows.active[slot] = going

    def move(self, slot: int, target: Slots, place: int, length: int) -> None:
        """Copy a page to another slot, here or in another class.

        Args:
            slot: where it is.
            target: the class it goes to.
            place: the slot there.
            length: keys to take along, at least as many as there are.
        """
        target.cache[:, :, place, :length] = self.cache[:, :, slot, :length]
        target.rows.take(place, self.rows, slot)
        self.stop(slot)
