"""Finds the regions of a page with the layout model, and the cells of its tables.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymupdf

from .extract import PageFacts
from .geometry import Rect, area, overlap
from .layout_model import LayoutModel, utils
from .tables import CellSlot, GridPlan, PlacedTable, find_rules, find_tables
from .words import LayoutWord

__all__ = ["CellSlot", "GridPlan", "Region", "find_regions"]

_MIN_SIDE: Final = 2.0
"""pymupdf4llm drops thinner boxes: they are rules, not regions."""
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
    found = with_cells(
        found, *find_tables([r.rect for r in found if r.label == "table"], rules, words)
    )
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
        missed: tables for which there is no region.
    """
    planned = [Region("table", t.rect, t.plan) for group in tables for t in group]
    planned += [Region("table", t.rect, t.plan) for t in missed]
    drawn = [r.rect for r in planned if r.grid is not None]
    others = [r for r in regions if r.label != "table" and not _is_part(r, drawn)]
    return [*others, *planned]


def _is_part(region: Region, tables: Sequence[Rect]) -> bool:
    """Whether a region is part of a table; a picture around a table is not."""
    return any(overlap(region.rect, t) > _WITHIN * max(area(region.rect), 1e-6) for t in tables)


def _is_region(box: dict[str, Any]) -> bool:
    x0, y0, x1, y1 = box["group_bbox"]
    return bool(x1 - x0 > _MIN_SIDE and y1 - y0 > _MIN_SIDE)


def _rect(values: Sequence[float]) -> Rect:
    x0, y0, x1, y1 = (float(v) for v in values)
    return (x0, y0, x1, y1)
