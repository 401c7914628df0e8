"""Assigns each word of a page to exactly one region. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from .geometry import Rect, area, overlap, union, vertical_overlap
from .regions import Region
from .text_layer.words import LayoutWord

__all__ = ["UNASSIGNED", "assign", "join_numbers", "regions_for_rest"]

UNASSIGNED: Final = "unassigned"
"""Label of a region made for words outside all regions of the layout model."""

_HEADINGS: Final = frozenset({"title", "section-header"})
_NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})*|[IVX]{1,5}|[A-Z])[.)]?")
_NUMBER_GAP: Final = 4.0
"""Largest gap between a number and its heading, in heights of the number."""
_MARGIN: Final = 1.0  # points around a region that still belong to it
_LINE_GAP: Final = 1.5
"""Largest gap, in font sizes, at which a word follows its neighbour in the line into a region.
Bullets and section numbers stand outside the model's boxes."""


def assign(
    words: Sequence[LayoutWord], regions: Sequence[Region]
) -> tuple[list[list[LayoutWord]], list[LayoutWord]]:
    """Assign each word to the smallest region around its centre.

    Returns:
        The words of each region, in source order, and the words outside all regions.
    """
    homes = _homes(words, regions)
    lines: dict[int, list[int]] = defaultdict(list)
    for i, word in enumerate(words):
        lines[word.line].append(i)
    for members in lines.values():
        if any(homes[i] is None for i in members):
            _adopt(members, words, homes)
    contents: list[list[LayoutWord]] = [[] for _ in regions]
    rest: list[LayoutWord] = []
    for word, home in zip(words, homes, strict=True):
        (rest if home is None else contents[home]).append(word)
    return contents, rest


def regions_for_rest(rest: Sequence[LayoutWord], regions: Sequence[Region]) -> list[Region]:
    """Make a region of each paragraph of the rest, or of each line if it overlaps a region."""
    made: list[Region] = []
    for block in _grouped(rest, by_line=False):
        rect = union(w.rect for w in block)
        overlaps = any(overlap(rect, region.rect) for region in regions)
        parts = _grouped(block, by_line=True) if overlaps else [block]
        made += [Region(UNASSIGNED, union(w.rect for w in part)) for part in parts]
    return made


def join_numbers(
    regions: Sequence[Region], contents: Sequence[Sequence[LayoutWord]]
) -> list[Region]:
    """Join a heading to its number where the model made two headings of them."""
    joined: dict[int, Region] = {}
    gone: set[int] = set()
    for i, (number, words) in enumerate(zip(regions, contents, strict=True)):
        if number.label not in _HEADINGS or not _NUMBER.fullmatch("".join(w.text for w in words)):
            continue
        reach = _NUMBER_GAP * (number.rect[3] - number.rect[1])
        for j, heading in enumerate(regions):
            beside = vertical_overlap(number.rect, heading.rect) > 0.5
            gap = heading.rect[0] - number.rect[2]
            if j != i and heading.label in _HEADINGS and beside and 0 <= gap <= reach:
                joined[j] = Region(heading.label, union((number.rect, heading.rect)))
                gone.add(i)
    return [joined.get(i, r) for i, r in enumerate(regions) if i not in gone]


def _grouped(words: Sequence[LayoutWord], by_line: bool) -> list[list[LayoutWord]]:
    groups: dict[int, list[LayoutWord]] = defaultdict(list)
    for word in words:
        groups[word.line if by_line else word.block].append(word)
    return list(groups.values())


def _homes(words: Sequence[LayoutWord], regions: Sequence[Region]) -> list[int | None]:
    """Return the index of the smallest region around each word's centre, or None."""
    boxes = np.array([w.rect for w in words], float).reshape(-1, 4)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    homes = np.full(len(words), -1)
    for i in sorted(range(len(regions)), key=lambda i: -area(regions[i].rect)):  # small ones last
        x0, y0, x1, y1 = regions[i].rect
        across = (x >= x0 - _MARGIN) & (x <= x1 + _MARGIN)
        homes[across & (y >= y0 - _MARGIN) & (y <= y1 + _MARGIN)] = i
    return [None if i < 0 else i for i in homes.tolist()]


def _adopt(members: Sequence[int], words: Sequence[LayoutWord], homes: list[int | None]) -> None:
    """Move unassigned words into the region of their neighbour, first forwards, then backwards."""
    for step in (members, members[::-1]):
        for before, here in pairwise(step):
            gap = _gap(words[before].rect, words[here].rect)
            if homes[here] is None and gap <= _LINE_GAP * words[here].size:
                homes[here] = homes[before]


def _gap(a: Rect, b: Rect) -> float:
    return max(max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3]))
