"""Finds the tables of a page and their cells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..geometry import Rect, area, centre_inside, overlap, union
from ..text_layer.words import LayoutWord
from .lattice import Lattice, find_lattices
from .opened import plan_open
from .prose import prose_beside
from .records import GridPlan
from .ruled import is_table, plan_ruled, tidied
from .rules import Rules
from .turning import turned_back, turned_plan, turned_rules, upright_rect, upright_words

__all__ = ["PlacedTable", "find_tables", "plan_table"]

_HELD: Final = 0.9  # share of a region's words that are in the drawn grid which is the table
_PART: Final = 0.25  # share of a region's words in a drawn grid which is a table of its own
_MOST_GROWTH: Final = 20.0  # times the region's area; its empty columns may be most of a table
_MARGIN: Final = 1.0  # points
_FEW: Final = 4  # words; the smallest table has two rows and two columns


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table on a page; ``plan`` is None if it has a single column.

    ``is_text``: it is a paragraph beside a table instead.
    """

    rect: Rect
    plan: GridPlan | None
    is_text: bool = False


def find_tables(
    regions: Sequence[Rect], rules: Rules, words: Sequence[LayoutWord]
) -> tuple[list[list[PlacedTable]], list[PlacedTable]]:
    """Plan the tables of a page.

    Args:
        regions: the layout model's tables.
        rules: those of the page.
        words: those of the page.

    Returns:
        The tables of each region, and those that the model missed.
    """
    by_turn: dict[int, list[LayoutWord]] = {0: []}
    for word in words:
        by_turn.setdefault(word.turn, []).append(word)
    turns = [_turn_of(rect, by_turn) for rect in regions]
    found: list[list[PlacedTable]] = [[] for _ in regions]
    missed: list[PlacedTable] = []
    for turn, own in by_turn.items():
        if turn and len(own) < _FEW:
            continue
        here = [i for i, t in enumerate(turns) if t == turn]
        rects = [upright_rect(regions[i], turn) for i in here]
        tables, others = _find(rects, turned_rules(rules, turn), upright_words(own, turn))
        for i, group in zip(here, tables, strict=True):
            found[i] = [_back(t, turn) for t in group]
        missed += [_back(t, turn) for t in others]
    return found, missed


def _turn_of(rect: Rect, by_turn: dict[int, list[LayoutWord]]) -> int:
    """The direction of most words in a region."""
    if len(by_turn) == 1:
        return 0
    counts = {t: len(_inside(own, rect)) for t, own in by_turn.items() if not t or len(own) >= _FEW}
    return max(counts, key=lambda t: (counts[t], -t))


def _back(table: PlacedTable, turn: int) -> PlacedTable:
    plan = turned_plan(table.plan, turn) if table.plan else None
    return PlacedTable(turned_back(table.rect, turn), plan, table.is_text)


def _find(
    regions: Sequence[Rect], rules: Rules, words: Sequence[LayoutWord]
) -> tuple[list[list[PlacedTable]], list[PlacedTable]]:
    lattices = [tidied(x, _inside(words, x.rect)) for x in find_lattices(rules)]
    found = [plan_table(rect, lattices, rules, words) for rect in regions]
    known = [t.rect for tables in found for t in tables]
    missed = []
    for lattice in sorted(lattices, key=lambda x: -area(x.rect)):
        inside = _inside(words, lattice.rect)
        free = all(overlap(lattice.rect, r) < 0.1 * min(area(lattice.rect), area(r)) for r in known)
        if free and inside and is_table(lattice, inside):
            plan = plan_ruled(lattice, inside)
            if plan is not None:
                missed.append(PlacedTable(lattice.rect, plan))
                known.append(lattice.rect)
    return found, missed


def plan_table(
    rect: Rect, lattices: Sequence[Lattice], rules: Rules, words: Sequence[LayoutWord]
) -> list[PlacedTable]:
    """Plan the tables of a region: one, or several if drawn grids stand beside other text."""
    inside = _inside(words, rect)
    if not inside:
        return [PlacedTable(rect, None)]
    for lattice in sorted(lattices, key=lambda x: area(x.rect)):
        held = [w for w in inside if centre_inside(w.rect, lattice.rect, _MARGIN)]
        if len(held) >= _HELD * len(inside) and area(lattice.rect) <= _MOST_GROWTH * area(rect):
            plan = plan_ruled(lattice, _inside(words, lattice.rect), _nested(lattice, lattices))
            if plan is not None:
                return [PlacedTable(_around(lattice.rect, inside), plan)]
    parts = _parts(rect, lattices, inside)
    if parts:
        return [t for part in parts for t in plan_table(part, lattices, rules, words)]
    return _opened(rect, rules, inside)


def _opened(rect: Rect, rules: Rules, words: Sequence[LayoutWord]) -> list[PlacedTable]:
    """Plan a table without drawn cells, and the paragraphs that the model took for its rows."""
    prose = prose_beside(words)
    if not prose:
        return [PlacedTable(rect, plan_open(rect, rules.within(rect), words))]
    apart = {id(w) for part in prose for w in part}
    rows = [w for w in words if id(w) not in apart]
    inner = union(w.rect for w in rows)
    texts = [PlacedTable(union(w.rect for w in part), None, is_text=True) for part in prose]
    return [PlacedTable(inner, plan_open(inner, rules.within(inner), rows)), *texts]


def _nested(lattice: Lattice, lattices: Sequence[Lattice]) -> list[Rect]:
    """The drawn grids in a cell of another one."""
    outer = lattice.rect
    return [x.rect for x in lattices if x is not lattice and centre_inside(x.rect, outer)]


def _around(rect: Rect, words: Sequence[LayoutWord]) -> Rect:
    return union([rect, *(w.rect for w in words)]) if words else rect


def _parts(rect: Rect, lattices: Sequence[Lattice], words: Sequence[LayoutWord]) -> list[Rect]:
    """The drawn grid in a region, and the box around the words on either side of it."""
    for lattice in sorted(lattices, key=lambda x: -area(x.rect)):
        grid = lattice.rect
        held = [w for w in words if centre_inside(w.rect, grid, _MARGIN)]
        if overlap(grid, rect) < 0.5 * area(grid) or len(lattice.faces) < 4:
            continue
        if not _PART * len(words) <= len(held) < len(words) or plan_ruled(lattice, held) is None:
            continue
        left = [w for w in words if w.rect[2] <= grid[0] + _MARGIN]
        right = [w for w in words if w.rect[0] >= grid[2] - _MARGIN]
        if len(held) + len(left) + len(right) == len(words):
            sides = [union(w.rect for w in side) for side in (left, right) if side]
            return [grid, *sides]
    return []


def _inside(words: Sequence[LayoutWord], rect: Rect) -> list[LayoutWord]:
    return [w for w in words if centre_inside(w.rect, rect, _MARGIN)]
