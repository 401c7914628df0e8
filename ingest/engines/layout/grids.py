"""Fills the cells of a table with words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ...core.records import Box, TableCell, TableGrid
from .geometry import Rect, centre_inside
from .tables.records import CellSlot, GridPlan
from .text import rows_of, running_text
from .text_layer.words import LayoutWord

__all__ = ["fill_grid"]

_NUMERIC = re.compile(r"^[\s\d.,:%€$£¥+\-–—()/*]+$")


def fill_grid(
    plan: GridPlan,
    words: Sequence[LayoutWord],
    to_box: Callable[[Rect], Box],
    known: frozenset[str],
) -> TableGrid:
    """Put each word of a table into the cell around its centre, or else into the nearest cell.

    There must be a cell. For ``to_box`` and ``known``, see :class:`.blocks.PageContext`.
    """
    held: list[list[LayoutWord]] = [[] for _ in plan.slots]
    for word in words:
        held[_slot(word, plan.slots)].append(word)
    texts = [running_text(rows_of(inside), known) for inside in held]
    cells = tuple(
        TableCell(slot.row, slot.col, text, slot.row_span, slot.col_span, box=to_box(slot.rect))
        for slot, text in zip(plan.slots, texts, strict=True)
    )
    return TableGrid(plan.rows, plan.cols, cells, _header_rows(plan, cells))


def _slot(word: LayoutWord, slots: Sequence[CellSlot]) -> int:
    inside = [i for i, slot in enumerate(slots) if centre_inside(word.rect, slot.rect)]
    return min(inside or range(len(slots)), key=lambda i: _distance(word.rect, slots[i].rect))


def _distance(a: Rect, b: Rect) -> float:
    across = max(0.0, max(a[0], b[0]) - min(a[2], b[2]))
    down = max(0.0, max(a[1], b[1]) - min(a[3], b[3]))
    return across + down


def _header_rows(plan: GridPlan, cells: Sequence[TableCell]) -> int:
    if plan.rows < 2:
        return 0
    if plan.header_rows >= 0:
        return min(plan.header_rows, plan.rows - 1)
    first = [c.text for c in cells if c.row == 0 and c.text]
    return int(bool(first) and not any(_NUMERIC.match(t) for t in first))
