"""Finds a table's row that stands alone at the edge of a page, such as a header row. Pure.

The layout model takes a single ruled row for a footer, a heading or text. The rules around its
cells say what it is. Its label stays if it is that of a footer or header: whether these are left
out is decided by comparing pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .geometry import Rect, centre_inside, union, vertical_overlap
from .regions import CellSlot, GridPlan, Region
from .text_layer.extract import Drawing
from .text_layer.words import LayoutWord

__all__ = ["with_cells_joined", "with_edge_rows"]

_EDGES: Final = frozenset({"page-header", "page-footer"})
_TEXT: Final = frozenset({"text", "section-header", "list-item", "caption", "unassigned"})
_THIN: Final = 3.0
"""Largest width in points of a line; wider shapes have two sides."""
_SAME_SIDE: Final = 2.0  # points between the sides of neighbouring cells
_TALLEST: Final = 8.0
"""Largest height of a row, in heights of its text; a taller frame holds more than a row."""
_BESIDE: Final = 0.5  # vertical overlap of the cells of a row
_SLACK: Final = 2.0  # points by which letters may reach over a rule


def with_cells_joined(
    regions: Sequence[Region],
    contents: Sequence[Sequence[LayoutWord]],
    drawings: Sequence[Drawing],
) -> tuple[list[Region], list[list[LayoutWord]]]:
    """Join regions side by side at the edge of a page that rules draw as the cells of one row.

    The model takes each name of a header row with wide cells for a footer of its own.
    """
    found, held = list(regions), [list(words) for words in contents]
    for i in _at_edges(regions, contents, least=1):
        group = [k for k in range(len(found)) if _is_beside(found[k], found[i]) and held[k]]
        words = [w for k in group for w in held[k]]
        if len(group) < 2 or not held[i] or _row_grid(words, drawings) is None:
            continue
        found[i] = Region(found[i].label, union(found[k].rect for k in group))
        for k in group:
            held[k] = words if k == i else []
    gone = {k for k, words in enumerate(held) if not words and contents[k]}
    kept = [k for k in range(len(found)) if k not in gone]
    return [found[k] for k in kept], [held[k] for k in kept]


def _is_beside(region: Region, other: Region) -> bool:
    both = region.label in _EDGES | _TEXT
    return both and vertical_overlap(region.rect, other.rect) > _BESIDE


def with_edge_rows(
    regions: Sequence[Region],
    contents: Sequence[Sequence[LayoutWord]],
    drawings: Sequence[Drawing],
) -> list[Region]:
    """Give regions at the edges of a page the cells that rules draw around their words."""
    found = list(regions)
    for i in _at_edges(regions, contents):
        grid = _row_grid(contents[i], drawings)
        if grid is not None:
            label = regions[i].label if regions[i].label in _EDGES else "table"
            rect = union(slot.rect for slot in grid.slots)
            found[i] = Region(label, rect, grid)
    return found


def _at_edges(
    regions: Sequence[Region], contents: Sequence[Sequence[LayoutWord]], least: int = 2
) -> list[int]:
    """Positions of headers and footers, and of the last text above the footers."""
    filled = [i for i, words in enumerate(contents) if len(words) >= least]
    edges = [i for i in filled if regions[i].label in _EDGES]
    others = [i for i in filled if regions[i].label not in _EDGES]
    last = max(others, key=lambda i: regions[i].rect[3], default=None)
    if last is not None and regions[last].label in _TEXT:
        edges.append(last)
    return edges


def _row_grid(words: Sequence[LayoutWord], drawings: Sequence[Drawing]) -> GridPlan | None:
    """The cells of one row around words; None if rules do not part the words into cells."""
    rect = union(word.rect for word in words)
    around = [d.rect for d in drawings if d.is_rect and _spans(d.rect, rect)]
    sides = _merged(sorted(side for drawn in around for side in _sides(drawn)))
    if len(sides) < 3:
        return None
    top, bottom = max(r[1] for r in around), min(r[3] for r in around)
    cells = [(left, top, right, bottom) for left, right in pairwise(sides)]
    held = [sum(centre_inside(word.rect, cell, _SLACK) for word in words) for cell in cells]
    if sum(held) != len(words) or sum(map(bool, held)) < 2:
        return None
    slots = tuple(CellSlot(0, col, 1, 1, cell) for col, cell in enumerate(cells))
    return GridPlan(1, len(cells), slots)


def _spans(drawn: Rect, text: Rect) -> bool:
    """Whether a rule or box reaches from above a row of text to below it, and not much further."""
    if drawn[1] > text[1] + _SLACK or drawn[3] < text[3] - _SLACK:
        return False
    return drawn[3] - drawn[1] <= _TALLEST * (text[3] - text[1])


def _sides(drawn: Rect) -> tuple[float, ...]:
    if drawn[2] - drawn[0] <= _THIN:
        return ((drawn[0] + drawn[2]) / 2,)
    return (drawn[0], drawn[2])


def _merged(sides: Sequence[float]) -> list[float]:
    merged: list[float] = []
    for side in sides:
        if not merged or side - merged[-1] > _SAME_SIDE:
            merged.append(side)
    return merged
