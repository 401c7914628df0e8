"""Joins a tick or a cross with the empty box that it is drawn over. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ..geometry import union
from .words import LayoutWord

__all__ = ["with_ticks"]

_BOXES: Final = frozenset("□☐❏❐❑❒▢◻")
_STATES: Final = dict.fromkeys("✓✔√", "☑") | dict.fromkeys("✗✘×✕✖", "☒")
_OVER: Final = 0.3  # share of the box's width that the mark covers


def with_ticks(words: Sequence[LayoutWord]) -> list[LayoutWord]:
    """Replace each box and the mark over it by ☑ or ☒. Other marks and boxes stay."""
    found = list(words)
    if not any(w.text in _STATES for w in words):
        return found
    for i, (first, second) in enumerate(pairwise(words)):
        box, mark = (second, first) if second.text in _BOXES else (first, second)
        if box.text in _BOXES and mark.text in _STATES and _covers(mark, box):
            rect = union((box.rect, mark.rect))
            ticked = replace(first, text=_STATES[mark.text], rect=rect, size=box.size)
            found[i : i + 2] = [ticked, replace(second, text="")]
    return [word for word in found if word.text]


def _covers(mark: LayoutWord, box: LayoutWord) -> bool:
    across = min(mark.rect[2], box.rect[2]) - max(mark.rect[0], box.rect[0])
    down = min(mark.rect[3], box.rect[3]) - max(mark.rect[1], box.rect[1])
    width, height = box.rect[2] - box.rect[0], box.rect[3] - box.rect[1]
    return across > _OVER * width and down > _OVER * height
