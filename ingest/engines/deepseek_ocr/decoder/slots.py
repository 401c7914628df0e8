"""Slots: the KV cache of running pages, and one row of decoding state per slot.

Every tensor is allocated once and updated in place, so that a captured CUDA graph finds it at the
same address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from ..device.transfer import upload
from .plan import SlotClass

__all__ = ["NewPage", "Rows", "Slots", "upload_rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoding state on the device, one row per slot: int64 ``[rows]`` unless noted."""

    ids: Tensor  # the id written last; no layer has processed it yet
    lengths: Tensor  # KV entries in the slot, and so the position of ``ids``
    generated: Tensor  # number of ids written
    budgets: Tensor  # maximum of ``generated``
    active: Tensor  # whether the page goes on, bool
    history: Tensor  # the last ids written, padded with -1 on the left, [rows, window]
    drafts: Tensor  # ids of the draft text, padded with -1 on the right, [rows, draft]
    cursors: Tensor  # offset in the draft of the next expected id

    @classmethod
    def empty(cls, rows: int, window: int, draft: int, device: torch.device) -> Rows:
        """Allocate inactive rows."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.long, device=device)

        return cls(
            ids=zeros(rows),
            lengths=zeros(rows),
            generated=zeros(rows),
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
        """Overwrite the rows at these indices. Shape: ``rows [n]``."""
        for old, value in zip(self._tensors(), new._tensors(), strict=True):
            old.index_copy_(0, rows, value)

    def copy_row(self, row: int, source: Rows, source_row: int) -> None:
        """Overwrite a row with one of ``source``."""
        for old, value in zip(self._tensors(), source._tensors(), strict=True):
            old[row] = value[source_row]

    def clone(self) -> Rows:
        """A copy in memory of its own."""
        return Rows(*(tensor.clone() for tensor in self._tensors()))

    def update(self, new: Rows) -> None:
        """Overwrite what a step changes: everything but ``budgets`` and ``drafts``."""
        for field in fields(self):
            if field.name not in ("budgets", "drafts"):
                getattr(self, field.name).copy_(getattr(new, field.name))

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """Concatenate the rows of several classes. A single part is returned as it is."""
        if len(parts) == 1:
            return parts[0]
        return cls(*map(torch.cat, zip(*(part._tensors() for part in parts), strict=True)))

    def split(self, sizes: Sequence[int]) -> list[Rows]:
        """Undo :meth:`concat`."""
        parts = zip(*(torch.split(t, list(sizes)) for t in self._tensors()), strict=True)
        return [Rows(*part) for part in parts]

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


class NewPage(NamedTuple):
    """A page about to be prefilled."""

    slot: int  # index in its class
    length: int  # tokens of the page and its prompt
    budget: int  # maximum of ids it may write
    draft: Sequence[int]


def upload_rows(
    pages: Sequence[NewPage], window: int, draft: int, device: torch.device
) -> tuple[Tensor, Rows]:
    """Make the rows of new pages, at least one, with a single copy from the host.

    Returns:
        Slot indices, ``[pages]``, and the rows before prefill: ``lengths`` is one less than the
        page's, because prefill counts the first id it writes. Drafts are cut to ``draft`` ids.
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
    """All slots of one class; ``cache`` is ``[layers, 2, slots, length, heads, head_dim]``.

    Args:
        size: number and length of the slots.
        like: an empty ``[layers, 2, 0, 0, heads, head_dim]`` with the dtype and device.
        window: ids of history per row.
        draft: draft ids per row.
    """

    def __init__(self, size: SlotClass, like: Tensor, window: int, draft: int) -> None:
        layers, two, _, _, heads, dim = like.shape
        # Zeros, because a NaN in uninitialized memory survives masking: 0 * NaN is NaN. On a CPU
        # the system commits zeroed pages only when they are written.
        self.cache = like.new_zeros(layers, two, size.slots, size.length, heads, dim)
        self.rows = Rows.empty(size.slots, window, draft, like.device)
        self.size = size

    def set_active(self, slot: int, active: bool) -> None:
        """Pause or resume the page of a slot. An inactive row writes no ids."""
        self.rows.active[slot] = active

    def move(self, slot: int, target: Slots, target_slot: int, length: int) -> None:
        """Copy ``length`` KV entries (at least all of the page) and the row; deactivate the old."""
        target.cache[:, :, target_slot, :length] = self.cache[:, :, slot, :length]
        target.rows.copy_row(target_slot, self.rows, slot)
        self.set_active(slot, False)
