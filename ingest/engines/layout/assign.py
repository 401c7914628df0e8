"""Which word belongs to which region: every word to exactly one. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .pieces import Piece, Rect, centre_inside, overlap, union, vertical_overlap
from .regions import Region

__all__ = ["UNASSIGNED", "assign", "regions_for_rest", "with_numbers"]

UNASSIGNED: Final = "unassigned"
"""Label of regions made for words the layout model put nowhere."""

_HEADINGS: Final = frozenset({"title", "section-header"})
_NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})*|[IVX]{1,5}|[A-Z])[.)]?")
_NUMBER_GAP: Final = 4.0
"""Heights of a heading's number between it and the heading."""
_MARGIN: Final = 1.0
_LINE_GAP: Final = 1.5
"""A word this many font sizes or less from a neighbour in its line belongs to it: bullets and
section numbers stand outside the model's boxes."""


def assign(
    pieces: Sequence[Piece], regions: Sequence[Region]
) -> tuple[list[list[Piece]], list[Piece]]:
    """Deal words out to the smallest region around them.

    Returns:
        The words of each region, in source order, and those that belong to none.
    """
    homes = [_home(piece, regions) for piece in pieces]
    lines: dict[int, list[int]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        lines[piece.line].append(i)
    for members in lines.values():
        _adopt(members, pieces, homes)
    dealt: list[list[Piece]] = [[] for _ in regions]
    rest: list[Piece] = []
    for piece, home in zip(pieces, homes, strict=True):
        (rest if home is None else dealt[home]).append(piece)
    return dealt, rest


def regions_for_rest(rest: Sequence[Piece], regions: Sequence[Region]) -> list[Region]:
    """Make regions for words that belong to none.

    One for each paragraph, or for each line where the paragraph reaches into another region.
    """
    made: list[Region] = []
    for block in _grouped(rest, by_line=False):
        rect = _around(block)
        if not any(overlap(rect, region.rect) for region in regions):
            made.append(Region(UNASSIGNED, rect))
        else:
            made += [Region(UNASSIGNED, _around(line)) for line in _grouped(block, by_line=True)]
    return made


def with_numbers(regions: Sequence[Region], dealt: Sequence[Sequence[Piece]]) -> list[Region]:
    """Join headings to their numbers where the model saw two headings side by side."""
    joined: dict[int, Region] = {}
    gone: set[int] = set()
    for i, (number, pieces) in enumerate(zip(regions, dealt, strict=True)):
        if number.label not in _HEADINGS or not _NUMBER.fullmatch("".join(p.text for p in pieces)):
            continue
        reach = _NUMBER_GAP * (number.rect[3] - number.rect[1])
        for j, heading in enumerate(regions):
            beside = vertical_overlap(number.rect, heading.rect) > 0.5
            gap = heading.rect[0] - number.rect[2]
            if j != i and heading.label in _HEADINGS and beside and 0 <= gap <= reach:
                joined[j] = Region(heading.label, union((number.rect, heading.rect)))
                gone.add(i)
    return [joined.get(i, r) for i, r in enumerate(regions) if i not in gone]


def _around(pieces: Sequence[Piece]) -> Rect:
    return union(p.rect for p in pieces)


def _grouped(pieces: Sequence[Piece], by_line: bool) -> list[list[Piece]]:
    groups: dict[int, list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.line if by_line else piece.block].append(piece)
    return list(groups.values())


def _home(piece: Piece, regions: Sequence[Region]) -> int | None:
    around = [i for i, r in enumerate(regions) if centre_inside(piece.rect, r.rect, _MARGIN)]
    return min(around, key=lambda i: _area(regions[i].rect), default=None)


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _adopt(members: Sequence[int], pieces: Sequence[Piece], homes: list[int | None]) -> None:
    """Let homeless words follow their neighbour in the line, first forwards, then backwards."""
    for step in (members, members[::-1]):
        for before, here in pairwise(step):
            if homes[here] is None and homes[before] is not None:
                gap = _gap(pieces[before].rect, pieces[here].rect)
                if gap <= _LINE_GAP * pieces[here].size:
                    homes[here] = homes[before]


def _gap(a: Rect, b: Rect) -> float:
    across = max(a[0], b[0]) - min(a[2], b[2])
    down = max(a[1], b[1]) - min(a[3], b[3])
    return max(across, down)
