"""Joins the parts of a code listing that the layout model made regions of. Pure.

A part alone has lost its indentation, which depends on the other lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .assign import UNASSIGNED
from .geometry import union
from .regions import Region
from .text_layer.words import LayoutWord

__all__ = ["join_listings"]

_LABELS: Final = frozenset({"code", "text", "formula", UNASSIGNED})
_GAP: Final = 2.2  # font sizes between two parts: a blank line and the spaces around it
_DEEPEST: Final = 15.0  # font sizes that a part may be indented: three tabs of eight letters
_SAME_SIZE: Final = 0.05  # share by which font sizes of a listing differ


def join_listings(
    regions: Sequence[Region], contents: Sequence[Sequence[LayoutWord]]
) -> tuple[list[Region], list[list[LayoutWord]]]:
    """Join regions of fixed-width letters that follow each other; return all, with their words."""
    joined: list[Region] = []
    words: list[list[LayoutWord]] = []
    for region, own in zip(regions, contents, strict=True):
        if joined and _goes_on(joined[-1], words[-1], region, own):
            joined[-1] = Region("code", union((joined[-1].rect, region.rect)))
            words[-1] = [*words[-1], *own]
        else:
            joined.append(region)
            words.append(list(own))
    return joined, words


def _goes_on(
    above: Region, first: Sequence[LayoutWord], below: Region, second: Sequence[LayoutWord]
) -> bool:
    if not _is_part(above, first) or not _is_part(below, second):
        return False
    size = first[0].size
    top, foot = union(w.rect for w in first), union(w.rect for w in second)
    near = -0.5 * size <= foot[1] - top[3] <= _GAP * size
    alike = abs(second[0].size - size) <= _SAME_SIZE * size
    return near and alike and abs(foot[0] - top[0]) <= _DEEPEST * size


def _is_part(region: Region, words: Sequence[LayoutWord]) -> bool:
    if region.label not in _LABELS or region.grid is not None:
        return False
    return bool(words) and all(w.mono for w in words)
