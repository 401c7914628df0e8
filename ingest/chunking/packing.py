"""Groups pieces into chunks. Pure: sizes come from a callback.

Every page begins a new chunk, so that an edited page changes only its own chunks. An element
that crosses a page break (a paragraph, a table) belongs to the page it begins on. Headings at
the foot of a page join the first chunk of the next page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from ..core.records import BlockKind
from .cutting import Piece
from .elements import CAPTIONED

__all__ = ["pack"]

_SMALL_SECTION: Final = 0.5
"""A section shorter than this share of the target is merged with the next of its rank."""
_SMALL_REST: Final = 0.4
"""A chunk shorter than this share of the previous one takes some of its text."""
_BELOW: Final = frozenset({BlockKind.FOOTNOTE, BlockKind.PAGE_FOOTER, BlockKind.COMMENT})
"""Kinds that belong to what stands above them."""

Sizes = Callable[[Sequence[Piece]], int]


def pack(pieces: Sequence[Piece], size: Sizes, target: int, cap: int) -> Iterator[list[Piece]]:
    """Group the pieces of a document into chunks, in order.

    ``size`` estimates the tokens of some pieces as one chunk. Neighbours are merged up to
    ``target``, a caption and its table up to ``cap``.
    """
    carried: list[Piece] = []
    for _, run in groupby(pieces, key=lambda piece: piece.element.page):
        groups = _Packer(size, target, cap).groups([*carried, *run])
        carried = groups.pop() if groups and all(p.element.rank for p in groups[-1]) else []
        yield from groups
    if carried:
        yield carried


class _Packer:
    def __init__(self, size: Sizes, target: int, cap: int) -> None:
        self.size = size
        self.target = target
        self.cap = cap

    def groups(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """Group the pieces of a page greedily from the top; headings go with what follows."""
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
        only_headings = all(_leads(p) for p in group)
        room = self.cap if only_headings or _belongs(group[-1], piece) else self.target
        if piece.part or group[-1].part:
            # Parts of a long element fill their chunk; only headings and captions join them.
            near = only_headings or _belongs(group[-1], piece)
            return near and self.size([*group, piece]) <= room
        if piece.element.rank and not only_headings:
            return self._merges_section(group, piece)
        return self.size([*group, piece]) <= room

    def _merges_section(self, group: list[Piece], piece: Piece) -> bool:
        """Whether a new section may join a small one: never across a higher heading."""
        ranks = {p.element.rank for p in group if p.element.rank}
        # Below the highest heading of the group, or beside it if all have the same rank.
        follows = bool(ranks) and (piece.element.rank > min(ranks) or ranks == {piece.element.rank})
        small = self.size(group) < self.target * _SMALL_SECTION
        return follows and small and self.size([*group, piece]) <= self.target

    def _balance(self, done: list[list[Piece]], at: int) -> None:
        """Move text from a chunk to the next one in the same section if that is far smaller."""
        before, rest = done[at - 1], done[at]
        if any(p.part for p in before) or rest[0].element.rank or rest[0].part:
            return
        least = self.size(before) * _SMALL_REST
        while self.size(rest) < least and len(before) > 1:
            moved = before[-1]
            bound = moved.element.rank or before[-2].element.rank or _belongs(before[-2], moved)
            smaller = self.size(before[:-1])
            if bound or moved.element.path != rest[0].element.path:
                return
            if self.size([moved, *rest]) > min(self.target, smaller):
                return
            rest.insert(0, before.pop())


def _leads(piece: Piece) -> bool:
    """Whether a piece is a heading, or a line above all headings of its page."""
    return bool(piece.element.rank) or piece.element.kind is BlockKind.PAGE_HEADER


def _belongs(before: Piece, piece: Piece) -> bool:
    """Whether two neighbours are a caption and its element, or a text and a line below it."""
    if piece.element.kind in _BELOW:
        return True
    one, other = before.element, piece.element
    if one.kind in CAPTIONED:
        return one.introduced_by == other.number
    return other.kind in CAPTIONED and other.introduced_by == one.number


def _split_off_headings(group: list[Piece], following: Piece) -> tuple[list[Piece], list[Piece]]:
    """Split off the headings at the end of a group that lead to ``following``."""
    cut = len(group)
    rank = following.element.rank
    while (
        cut
        and group[cut - 1].element.rank
        and not group[cut - 1].part
        and (not rank or group[cut - 1].element.rank < rank)
    ):
        cut -= 1
    return group[:cut], group[cut:]
