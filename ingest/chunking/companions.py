"""What a unit needs beside it to be understood: its caption, its lead-in, its list item. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..core.records import BlockKind
from .captions import labels_code
from .units import CAPTIONED, Unit

__all__ = ["with_companions"]

_NUMBER: Final = re.compile(r"\s*\(?(\d{1,3})[.)]")


def with_companions(units: Sequence[Unit]) -> list[Unit]:
    """Units with the number of the unit that explains each.

    A table, figure or listing has its caption; a list item the item it stands under, or the
    sentence that leads to the list; what goes on inside an item has that item.
    """
    companions = dict(_leads(units)) | dict(_captions(units))
    return [replace(unit, companion=companions.get(unit.number)) for unit in units]


# -- captions ------------------------------------------------------------------------------


def _captions(units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    taken: set[int] = set()
    for at, unit in enumerate(units):
        caption = _caption(units, at, taken) if unit.kind in CAPTIONED else None
        if caption is not None:
            taken.add(caption)
            yield unit.number, caption


def _caption(units: Sequence[Unit], at: int, taken: set[int]) -> int | None:
    """The caption next to a table or figure: above tables and below figures, if it is open."""
    unit = units[at]
    beside = [
        units[n]
        for n in (at - 1, at + 1)
        if 0 <= n < len(units)
        and units[n].kind is BlockKind.CAPTION
        and units[n].number not in taken
        and units[n].page in {s.page for s in unit.stretches}
        and (unit.kind is not BlockKind.CODE or labels_code(units[n].text))
    ]
    if len(beside) < 2:
        return beside[0].number if beside else None
    boxes = [_gap(unit, caption) for caption in beside]
    if None not in boxes and boxes[0] != boxes[1]:
        return beside[int(boxes[1] < boxes[0])].number  # type: ignore[operator]
    return beside[unit.kind is BlockKind.FIGURE].number


def _gap(unit: Unit, caption: Unit) -> float | None:
    """Height between a caption and what it may belong to."""
    own = caption.stretches[0]
    other = next(s for s in unit.stretches if s.page == own.page)
    if own.block.box is None or other.block.box is None:
        return None
    a, b = own.block.box, other.block.box
    return max(0.0, a.y0 - b.y1, b.y0 - a.y1)


# -- lists ---------------------------------------------------------------------------------


def _leads(units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    reader = _ListReader()
    for at, unit in enumerate(units):
        if unit.kind is BlockKind.LIST_ITEM:
            yield from reader.item(unit, units[at - 1] if at else None)
        else:
            yield from reader.other(unit)


class _ListReader:
    """Follows lists: which items are open, and what stands between them."""

    def __init__(self) -> None:
        self._lead: int | None = None
        self._open: list[Unit] = []  # an item of each level, the outermost first
        self._between: list[Unit] = []  # units behind the last item that may be outside the list

    def item(self, unit: Unit, before: Unit | None) -> Iterator[tuple[int, int]]:
        """Take an item and say what it stands under."""
        if self._open and self._between and not self._goes_on(unit):
            self._open = []
        if not self._open:
            self._lead = before.number if before and _leads_to_list(before) else None
        for inside in self._between if self._open else ():
            yield inside.number, self._open[-1].number
        self._between = []
        while self._open and _level(self._open[-1]) >= _level(unit):
            self._open.pop()
        above = self._open[-1].number if self._open else self._lead
        self._open.append(unit)
        if above is not None:
            yield unit.number, above

    def other(self, unit: Unit) -> Iterator[tuple[int, int]]:
        """Take what is no item; indented, it belongs to the last one."""
        if unit.rank:
            self._open, self._between = [], []
        elif self._open and _level(unit) and not self._between:
            yield unit.number, self._open[-1].number
        elif self._open:
            self._between.append(unit)

    def _goes_on(self, unit: Unit) -> bool:
        """Whether an item counts on from one that is open: steps with code between them."""
        number = _NUMBER.match(unit.text)
        last = next((u for u in self._open if _level(u) == _level(unit)), None)
        counted = _NUMBER.match(last.text) if last else None
        return bool(number and counted and int(number[1]) == int(counted[1]) + 1)


def _level(unit: Unit) -> int:
    return unit.stretches[0].block.level


def _leads_to_list(unit: Unit) -> bool:
    return unit.kind is BlockKind.TEXT and unit.text.rstrip(" \n*_").endswith((":", "："))
