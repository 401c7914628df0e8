"""Finds the regions of a page with the layout model, and the cells of its tables.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pymupdf

from .geometry import Rect, area, centre_inside, overlap
from .gutters import tables_beside
from .model.layout_model import LayoutModel, utils
from .tables import CellSlot, GridPlan, PlacedTable, Rules, find_rules, find_tables
from .text_layer.extract import PageFacts
from .text_layer.words import LayoutWord

__all__ = ["CellSlot", "GridPlan", "Region", "find_regions", "split_at_rules", "split_tables"]

_MIN_SIDE: Final = 2.0
"""pymupdf4llm drops thinner boxes: they are rules, not regions."""
_DIVIDES: Final = 0.9  # share of a region's height that a rule must run through to divide it
_WITHIN: Final = 0.6  # share of a region inside a drawn table that makes it part of the table


@dataclass(frozen=True, slots=True)
class Region:
    """A laid-out element of a page, with the layout model's label."""

    label: str
    rect: Rect
    grid: GridPlan | None = None


def find_regions(
    page: pymupdf.Page, facts: PageFacts, model: LayoutModel, words: Sequence[LayoutWord]
) -> list[Region]:
    """Run the layout model on an upright page without rotation, and plan the cells of its tables.

    The model draws the page at one pixel per point. If the page is larger than MuPDF's largest
    picture (about 16,000 points each way), there are no regions: its text is kept without layout.

    Args:
        page: the page.
        facts: its content.
        model: the layout model.
        words: the words that its regions will hold.
    """
    try:
        raw = [b for b in model.lay_out(page) if _is_region(b)]
    except pymupdf.mupdf.FzErrorLimit:
        return []
    found = [Region(b["class_name"], _rect(b["group_bbox"])) for b in raw]
    rules = find_rules(facts.drawings, _rect(page.rect))
    found = split_tables(found, rules, words)
    found = with_cells(
        found, *find_tables([r.rect for r in found if r.label == "table"], rules, words)
    )
    found = split_at_rules(found, rules, words)
    page.layout_information = [[*r.rect, r.label] for r in found]
    utils.clean_pictures(page, facts.blocks)
    utils.add_image_orphans(page, facts.blocks)
    grids = [r.grid for r in found]
    rects = [_rect(box[:4]) for box in page.layout_information]
    grids += [None] * (len(rects) - len(grids))
    labels = [box[4] for box in page.layout_information]
    return [Region(*parts) for parts in zip(labels, rects, grids, strict=True)]


def with_cells(
    regions: Sequence[Region],
    tables: Sequence[Sequence[PlacedTable]],
    missed: Sequence[PlacedTable],
) -> list[Region]:
    """Replace the table regions by their tables, and other regions inside a drawn table.

    Args:
        regions: those of the layout model.
        tables: the tables of each table region, in order.
        missed: tables that the layout model did not find.
    """
    planned = [
        Region("text" if t.is_text else "table", t.rect, t.plan) for group in tables for t in group
    ]
    planned += [Region("table", t.rect, t.plan) for t in missed]
    drawn = [r.rect for r in planned if r.grid is not None]
    others = [r for r in regions if r.label != "table" and not _is_part(r, drawn)]
    return [*others, *planned]


def split_tables(
    regions: Sequence[Region], rules: Rules, words: Sequence[LayoutWord]
) -> list[Region]:
    """Split table regions that hold tables side by side, unless rules hold them together."""
    split: list[Region] = []
    for region in regions:
        parts: list[Rect] = []
        if region.label == "table" and not len(rules.within(region.rect).across):
            parts = tables_beside([w for w in words if centre_inside(w.rect, region.rect)])
        split += [Region("table", rect) for rect in parts] or [region]
    return split


def split_at_rules(
    regions: Sequence[Region], rules: Rules, words: Sequence[LayoutWord]
) -> list[Region]:
    """Split regions of text where a vertical rule divides them, as between cells of long texts.

    The model joins such cells, and their sentences would alternate. A part that belongs to another
    region is dropped.
    """
    split: list[Region] = []
    for region in regions:
        parts = _parts(region, rules, words)
        others = [r.rect for r in regions if r is not region]
        split += parts if len(parts) < 2 else [p for p in parts if not _is_covered(p, others)]
    return split


def _parts(region: Region, rules: Rules, words: Sequence[LayoutWord]) -> list[Region]:
    x0, y0, x1, y1 = region.rect
    if region.grid is not None or region.label in ("table", "picture", "formula"):
        return [region]
    lines = [
        x
        for x, top, bottom in rules.within(region.rect, 0.0).down.tolist()
        if min(bottom, y1) - max(top, y0) >= _DIVIDES * (y1 - y0) and x0 < x < x1
    ]
    if not lines:
        return [region]
    inside = [w.rect for w in words if centre_inside(w.rect, region.rect)]
    cuts = [x for x in lines if not any(left < x < right for left, _, right, _ in inside)]
    edges = [x0, *cuts, x1]
    parts = [(a, b) for a, b in pairwise(edges) if any(a < (r[0] + r[2]) / 2 < b for r in inside)]
    if len(parts) < 2:
        return [region]
    return [Region(region.label, (a, y0, b, y1)) for a, b in parts]


def _is_covered(region: Region, others: Sequence[Rect]) -> bool:
    return sum(overlap(region.rect, other) for other in others) > _WITHIN * area(region.rect)


def _is_part(region: Region, others: Sequence[Rect]) -> bool:
    """Whether a region lies mostly in another, such as a table; a picture around it does not."""
    return any(overlap(region.rect, t) > _WITHIN * max(area(region.rect), 1e-6) for t in others)


def _is_region(box: dict[str, Any]) -> bool:
    x0, y0, x1, y1 = box["group_bbox"]
    return bool(x1 - x0 > _MIN_SIDE and y1 - y0 > _MIN_SIDE)


def _rect(values: Sequence[float]) -> Rect:
    x0, y0, x1, y1 = (float(v) for v in values)
    return (x0, y0, x1, y1)
