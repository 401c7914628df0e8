"""Turns sideways words upright, and the tables made of them back. Pure.

A turn counts quarter turns clockwise, as :attr:`.LayoutWord.turn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..geometry import Rect
from ..text_layer.words import LayoutWord
from .records import GridPlan
from .rules import Rules, Segments

__all__ = ["turned_back", "turned_plan", "turned_rules", "upright_rect", "upright_words"]


def upright_rect(rect: Rect, turn: int) -> Rect:
    """Turn a rectangle so that text written at ``turn`` runs to the right."""
    x0, y0, x1, y1 = rect
    turned = (rect, (y0, -x1, y1, -x0), (-x1, -y1, -x0, -y0), (-y1, x0, -y0, x1))
    return turned[turn]


def turned_back(rect: Rect, turn: int) -> Rect:
    """The inverse of :func:`upright_rect`."""
    return upright_rect(rect, -turn % 4)


def upright_words(words: Sequence[LayoutWord], turn: int) -> list[LayoutWord]:
    """Turn words written at ``turn``."""
    if not turn:
        return list(words)
    return [replace(w, rect=upright_rect(w.rect, turn), turn=0) for w in words]


def turned_rules(rules: Rules, turn: int) -> Rules:
    """Turn rules as :func:`upright_rect` turns rectangles."""
    if turn == 0:
        return rules
    if turn == 2:
        parts = (rules.across, rules.down, rules.underlines)
        return Rules(*(_mirrored(part, position=True, ends=True) for part in parts))
    across = _mirrored(rules.down, position=turn == 1, ends=turn == 3)
    down = _mirrored(rules.across, position=turn == 3, ends=turn == 1)
    return Rules(across, down, across)


def turned_plan(plan: GridPlan, turn: int) -> GridPlan:
    """Turn the cells of an upright table back to the page."""
    slots = (replace(slot, rect=turned_back(slot.rect, turn)) for slot in plan.slots)
    return replace(plan, slots=tuple(slots))


def _mirrored(lines: Segments, position: bool, ends: bool) -> Segments:
    where, start, end = lines.T
    if position:
        where = -where
    if ends:
        start, end = -end, -start
    turned = np.stack([where, start, end], axis=1)
    return turned[np.lexsort((turned[:, 1], turned[:, 0]))]
