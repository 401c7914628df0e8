"""Splits regions at the gutters between blocks of text, after regions are in order. Pure.

The layout model joins two addresses or signatures in one region of text, or takes them for a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .geometry import Rect, centre_inside
from .gutters import blocks_beside
from .regions import Region
from .text_layer.extract import Drawing
from .text_layer.words import LayoutWord

__all__ = ["with_blocks_beside"]

_MARGIN: Final = 2.0  # points around a table in which its rules lie


def with_blocks_beside(
    regions: Sequence[Region],
    contents: Sequence[Sequence[LayoutWord]],
    drawings: Sequence[Drawing],
    rtl: bool,
) -> list[Region]:
    """Replace a region by its blocks in reading order. A table with drawings stays a table."""
    split: list[Region] = []
    for region, words in zip(regions, contents, strict=True):
        blocks = _blocks(region, words, drawings)
        split += [Region("text", rect) for rect in (blocks[::-1] if rtl else blocks)] or [region]
    return split


def _blocks(region: Region, words: Sequence[LayoutWord], drawings: Sequence[Drawing]) -> list[Rect]:
    if region.label not in ("text", "table"):
        return []
    blocks = blocks_beside(words)
    drawn = blocks and any(centre_inside(d.rect, region.rect, _MARGIN) for d in drawings)
    return [] if region.label == "table" and drawn else blocks
