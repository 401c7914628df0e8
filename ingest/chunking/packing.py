"""Which pieces share a chunk. Pure: knows sizes, not how they were counted.

Chunks begin anew with every page, so that an edited page changes only its own chunks; what goes
on over a page break (a paragraph, a table, a heading at the foot) belongs to the page it begins on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from ..core.records import BlockKind
from .cutting import Piece
from .units import CAPTIONED

__all__ = ["pack"]

_SMALL_SECTION: Final = 0.5
"""A section shorter than this share of the target is merged with the next of its rank."""
_SMALL_REST: Final = 0.4
"""A last chunk shorter than this share of the one before takes some of it."""

Sizes = Callable[[Sequence[Piece]], int]


def pack(pieces: Sequence[Piece], size: Sizes, target: int, cap: int) -> Iterator[list[Piece]]:
    """Group pieces into chunks, in order.

    Args:
        pieces: of a document.
        size: tokens of pieces as one chunk, at least about.
        target: what neighbours are merged up to.
        cap: what a caption and its table may take together.
    """
    carried: list[Piece] = []
    for _, run in groupby(pieces, key=lambda piece: piece.unit.page):
        groups = _Packer(size, target, cap).groups([*carried, *run])
        carried = groups.pop() if groups and all(p.unit.rank for p in groups[-1]) else []
        yield from groups
    if carried:
        yield carried


class _Packer:
    def __init__(self, size: Sizes, target: int, cap: int) -> None:
        self.size = size
        self.target = target
        self.cap = cap

    def groups(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """Greedily from the top; headings go with what follows them."""
        done: list[list[Piece]] = []
        group: list[Piece] = []
        for piece in pieces:
            if group and not self._joins(group, piece):
                keep, carry = _split_off_headings(group, piece)
                if keep:
                    done.append(keep)
                group = carry if self.size([*carry, piece]) <= self.cap else []
                if carry and not group:
                    done.append(carry)
            group.append(piece)
        if group:
            done.append(group)
        for at in range(1, len(done)):
            self._balance(done, at)
        return done

    def _joins(self, group: list[Piece], piece: Piece) -> bool:
        only_headings = all(p.unit.rank for p in group)
        room = self.cap if only_headings or _belongs(group[-1], piece) else self.target
        if piece.part or group[-1].part:
            # Parts of a long unit fill their chunk; headings and captions still find room.
            near = only_headings or _belongs(group[-1], piece)
            return near and self.size([*group, piece]) <= room
        if piece.unit.rank and not only_headings:
            return self._merges_section(group, piece)
        return self.size([*group, piece]) <= room

    def _merges_section(self, group: list[Piece], piece: Piece) -> bool:
        """Whether a new section may follow a small one: never across a higher heading."""
        ranks = {p.unit.rank for p in group if p.unit.rank}
        # Below the highest heading of the group, or beside it where all are of one rank.
        follows = bool(ranks) and (piece.unit.rank > min(ranks) or ranks == {piece.unit.rank})
        small = self.size(group) < self.target * _SMALL_SECTION
        return follows and small and self.size([*group, piece]) <= self.target

    def _balance(self, done: list[list[Piece]], at: int) -> None:
        """Move text from one chunk to a far smaller one behind it in the same section."""
        before, rest = done[at - 1], done[at]
        if any(p.part for p in before) or rest[0].unit.rank or rest[0].part:
            return
        least = self.size(before) * _SMALL_REST
        while self.size(rest) < least and len(before) > 1:
            moved = before[-1]
            bound = moved.unit.rank or before[-2].unit.rank or _belongs(before[-2], moved)
            smaller = self.size(before[:-1])
            if bound or moved.unit.path != rest[0].unit.path:
                return
            if self.size([moved, *rest]) > min(self.target, smaller):
                return
            rest.insert(0, before.pop())


def _belongs(before: Piece, piece: Piece) -> bool:
    """Whether two neighbours are a caption and what it explains, or a text and its footnote."""
    if piece.unit.kind is BlockKind.FOOTNOTE:
        return True
    one, other = before.unit, piece.unit
    if one.kind in CAPTIONED:
        return one.companion == other.number
    return other.kind in CAPTIONED and other.companion == one.number


def _split_off_headings(group: list[Piece], following: Piece) -> tuple[list[Piece], list[Piece]]:
    """Take headings that end a group and lead to ``following`` over to the next one."""
    cut = len(group)
    rank = following.unit.rank
    while (
        cut
        and group[cut - 1].unit.rank
        and not group[cut - 1].part
        and (not rank or group[cut - 1].unit.rank < rank)
    ):
        cut -= 1
    return group[:cut], group[cut:]
