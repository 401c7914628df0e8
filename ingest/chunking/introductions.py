"""Finds the element that introduces another: its caption, lead-in or parent list item. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..core.records import BlockKind
from .captions import labels_code
from .elements import CAPTIONED, Element

__all__ = ["link_introductions"]

_NUMBER: Final = re.compile(r"\s*\(?(\d{1,3})[.)]")


def link_introductions(elements: Sequence[Element]) -> list[Element]:
    """Set ``introduced_by`` of each element.

    A caption introduces its table, figure or listing. A parent item, or the sentence that leads
    to the list, introduces a list item. An item introduces the other elements inside it.
    """
    found = dict(_leads(elements)) | dict(_captions(elements))
    return [replace(element, introduced_by=found.get(element.number)) for element in elements]


def _captions(elements: Sequence[Element]) -> Iterator[tuple[int, int]]:
    taken: set[int] = set()
    for at, element in enumerate(elements):
        caption = _caption(elements, at, taken) if element.kind in CAPTIONED else None
        if caption is not None:
            taken.add(caption)
            yield element.number, caption


def _caption(elements: Sequence[Element], at: int, taken: set[int]) -> int | None:
    """The caption beside an element: the nearer one; in doubt, above a table, below a figure."""
    element = elements[at]
    beside = [
        elements[n]
        for n in (at - 1, at + 1)
        if 0 <= n < len(elements)
        and elements[n].kind is BlockKind.CAPTION
        and elements[n].number not in taken
        and elements[n].page in {s.page for s in element.fragments}
        and (element.kind is not BlockKind.CODE or labels_code(elements[n].text))
    ]
    if len(beside) < 2:
        return beside[0].number if beside else None
    boxes = [_gap(element, caption) for caption in beside]
    if None not in boxes and boxes[0] != boxes[1]:
        return beside[int(boxes[1] < boxes[0])].number  # type: ignore[operator]
    return beside[element.kind is BlockKind.FIGURE].number


def _gap(element: Element, caption: Element) -> float | None:
    """Vertical gap between an element and a caption, in fractions of the page's height."""
    own = caption.fragments[0]
    other = next(s for s in element.fragments if s.page == own.page)
    if own.block.box is None or other.block.box is None:
        return None
    a, b = own.block.box, other.block.box
    return max(0.0, a.y0 - b.y1, b.y0 - a.y1)


def _leads(elements: Sequence[Element]) -> Iterator[tuple[int, int]]:
    reader = _ListReader()
    for at, element in enumerate(elements):
        if element.kind is BlockKind.LIST_ITEM:
            yield from reader.item(element, elements[at - 1] if at else None)
        else:
            yield from reader.other(element)


class _ListReader:
    """Follows lists in reading order and keeps track of the open items."""

    def __init__(self) -> None:
        self._lead: int | None = None
        self._open: list[Element] = []  # one item of each level, outermost first
        self._between: list[Element] = []  # after the last item, perhaps outside the list

    def item(self, element: Element, before: Element | None) -> Iterator[tuple[int, int]]:
        """Take an item; yield pairs of an element's number and its introduction's."""
        if self._open and self._between and not self._goes_on(element):
            self._open = []
        if not self._open:
            self._lead = before.number if before and _leads_to_list(before) else None
        for inside in self._between if self._open else ():
            yield inside.number, self._open[-1].number
        self._between = []
        while self._open and _level(self._open[-1]) >= _level(element):
            self._open.pop()
        above = self._open[-1].number if self._open else self._lead
        self._open.append(element)
        if above is not None:
            yield element.number, above

    def other(self, element: Element) -> Iterator[tuple[int, int]]:
        """Take another element; if it is indented, it belongs to the last item."""
        if element.rank:
            self._open, self._between = [], []
        elif self._open and _level(element) and not self._between:
            yield element.number, self._open[-1].number
        elif self._open:
            self._between.append(element)

    def _goes_on(self, element: Element) -> bool:
        """Whether an item's number follows an open item's: numbered steps with code between."""
        number = _NUMBER.match(element.text)
        last = next((u for u in self._open if _level(u) == _level(element)), None)
        counted = _NUMBER.match(last.text) if last else None
        return bool(number and counted and int(number[1]) == int(counted[1]) + 1)


def _level(element: Element) -> int:
    return element.fragments[0].block.level


def _leads_to_list(element: Element) -> bool:
    return element.kind is BlockKind.TEXT and element.text.rstrip(" \n*_").endswith((":", "："))
