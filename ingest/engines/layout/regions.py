"""Finds the regions of a page and the cells of its tables with the layout model.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import pymupdf

from .extract import PageFacts
from .geometry import Rect, area, overlap
from .layout_model import LayoutModel, utils

__all__ = ["CellSlot", "GridPlan", "Region", "find_regions"]

_MIN_SIDE: Final = 2.0
"""pymupdf4llm drops thinner boxes: they are rules, not regions."""
_SAME_TABLE: Final = 0.5  # share of a table region that a found table must cover


@dataclass(frozen=True, slots=True)
class CellSlot:
    """An empty cell of a table."""

    row: int
    col: int
    row_span: int
    col_span: int
    rect: Rect


@dataclass(frozen=True, slots=True)
class GridPlan:
    """The cells of a table. ``header_rows`` is -1 if unknown."""

    rows: int
    cols: int
    slots: tuple[CellSlot, ...]
    header_rows: int = -1


@dataclass(frozen=True, slots=True)
class Region:
    """A laid-out element of a page, with the layout model's label."""

    label: str
    rect: Rect
    grid: GridPlan | None = None


def find_regions(page: pymupdf.Page, facts: PageFacts, model: LayoutModel) -> list[Region]:
    """Run the layout model on an upright page without rotation.

    The model draws the page at one pixel per point. If the page is larger than MuPDF's largest
    picture (about 16,000 points each way), there are no regions: its text is kept without layout.
    """
    try:
        page.layout_information = model.lay_out(page)
    except pymupdf.mupdf.FzErrorLimit:
        return []
    raw = [b for b in page.layout_information if _is_region(b)]
    grids = _grids(page, raw)
    page.layout_information = [[*map(float, b["group_bbox"]), b["class_name"]] for b in raw]
    utils.clean_pictures(page, facts.blocks)
    utils.add_image_orphans(page, facts.blocks)
    found = enumerate(page.layout_information)
    return [Region(box[4], _rect(box[:4]), grids.get(i)) for i, box in found]


def _is_region(box: dict[str, Any]) -> bool:
    x0, y0, x1, y1 = box["group_bbox"]
    is_table_without_grid = box["class_name"] == "table" and not box.get("table_grid")
    return x1 - x0 > _MIN_SIDE and y1 - y0 > _MIN_SIDE and not is_table_without_grid


def _grids(page: pymupdf.Page, raw: Sequence[dict[str, Any]]) -> dict[int, GridPlan]:
    """Find the cells of each table region with at least two columns, by index of the region."""
    tables = {i: box for i, box in enumerate(raw) if box["class_name"] == "table"}
    tables = {i: box for i, box in tables.items() if len(box["table_grid"].v_lines)}
    if not tables:
        return {}
    # The finder fits the model's grid to drawn lines and words, merges spans and finds header
    # rows. It takes 0.1 s, so it runs only on pages with a table.
    found = page.find_tables(use_layout=True, union=True, refine=True).tables
    plans = [(_rect(t.bbox), _plan_of_table(t)) for t in found if t.placements]
    return {i: _best_plan(box, plans) for i, box in tables.items()}


def _best_plan(box: dict[str, Any], plans: Sequence[tuple[Rect, GridPlan]]) -> GridPlan:
    rect = _rect(box["group_bbox"])
    fits = [(overlap(rect, other), plan) for other, plan in plans]
    covered, plan = max(fits, key=lambda x: x[0], default=(0.0, None))
    if plan is None or plan.cols < 2 or covered < _SAME_TABLE * area(rect):
        return _plan_of_grid(rect, box["table_grid"])
    return plan


def _plan_of_table(table: Any) -> GridPlan:
    """Number the finder's cells as HTML numbers the cells of a table with spans."""
    taken: set[tuple[int, int]] = set()
    slots: list[CellSlot] = []
    for row, cells in enumerate(table.placements):
        col = 0
        for cell in cells:
            while (row, col) in taken:
                col += 1
            spans = (max(1, cell.rowspan), max(1, cell.colspan))
            taken |= {(row + r, col + c) for r in range(spans[0]) for c in range(spans[1])}
            if cell.bbox is not None:
                slots.append(CellSlot(row, col, *spans, _rect(cell.bbox)))
            col += spans[1]
    rows = max((r for r, _ in taken), default=-1) + 1
    cols = max((c for _, c in taken), default=-1) + 1
    return GridPlan(rows, cols, tuple(slots), int(table.header_rows))


def _plan_of_grid(rect: Rect, grid: Any) -> GridPlan:
    x = [rect[0], *(rect[0] + float(v) for v in grid.v_lines), rect[2]]
    y = [rect[1], *(rect[1] + float(h) for h in grid.h_lines), rect[3]]
    rows, cols = len(y) - 1, len(x) - 1
    spots = product(range(rows), range(cols))
    slots = (CellSlot(r, c, 1, 1, (x[c], y[r], x[c + 1], y[r + 1])) for r, c in spots)
    return GridPlan(rows, cols, tuple(slots))


def _rect(values: Sequence[float]) -> Rect:
    x0, y0, x1, y1 = (float(v) for v in values)
    return (x0, y0, x1, y1)
