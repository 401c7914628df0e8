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
    """Decoding state on the device, one row per slot. All int64, except ``active``.

    Attributes:
        ids: the id written last; no layer has processed it yet. ``[rows]``.
        lengths: KV entries in the slot, and so the position of ``ids``. ``[rows]``.
        generated: number of ids written. ``[rows]``.
        budgets: maximum of ``generated``. ``[rows]``.
        active: whether the page goes on, bool. ``[rows]``.
        history: the last ids written, padded with -1 on the left. ``[rows, window]``.
        drafts: ids of the draft text, padded with -1 on the right. ``[rows, draft]``.
        cursors: offset in the draft of the next expected id. ``[rows]``.
    """

    ids: Tensor
    lengths: Tensor
    generated: Tensor
    budgets: Tensor
    active: Tensor
    history: Tensor
    drafts: Tensor
    cursors: Tensor

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
    """A page about to be prefilled.

    Attributes:
        slot: index in its class.
        length: tokens of the page and its prompt.
        budget: maximum of ids it may write.
        draft: ids of its draft text.
    """

    slot: int
    length: int
    budget: int
    draft: Sequence[int]


def upload_rows(
    pages: Sequence[NewPage], window: int, draft: int, device: torch.device
) -> tuple[Tensor, Rows]:
    """Make the rows of new pages with a single copy from the host.

    Args:
        pages: at least one.
        window: ids of history per row.
        draft: draft ids per row; longer drafts are cut.
        device: of the slots.

    Returns:
        Slot indices, ``[pages]``, and the rows before prefill: ``lengths`` is one less than the
        page's, because prefill counts the first id it writes.
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
    """All slots of one class.

    Args:
        size: number and length of the slots.
        like: an empty ``[layers, 2, 0, 0, heads, head_dim]`` with the dtype and device.
        window: ids of history per row.
        draft: draft ids per row.

    Attributes:
        cache: ``[layers, 2, slots, length, heads, head_dim]``, keys before values.
        rows: state of each slot.
        size: as given.
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
        """Copy a page to another slot and deactivate its old row.

        Args:
            slot: the page's slot.
            target: this class or another.
            target_slot: index in ``target``.
            length: KV entries to copy; at least as many as the page has.
        """
        target.cache[:, :, target_slot, :length] = self.cache[:, :, slot, :length]
        target.rows.copy_row(target_slot, self.rows, slot)
        self.set_active(slot, False)
