"""Units to pieces that fit into a chunk. Pure.

A unit that fits stays whole. What is too long is cut at the best places, and every piece is
complete in itself: code is fenced, formulas are delimited, tables have their header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind, Box
from ..markdown.delimiters import (
    Delimited,
    Nesting,
    avoid_cuts,
    enclosure,
    inner_spans,
    short_enough,
    wrap,
)
from .table_cutting import Place, cut_table
from .text_cutting import split_text
from .units import Stretch, Unit

__all__ = ["Piece", "cut"]

_KEEP_TOGETHER: Final = 2
"""Inline spans of up to this many characters per token of the room are not cut: half of it, at
four characters a token."""


_EVEN: Final = 1.15
"""How much longer than the others a piece may be, so that it can end with a sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A unit, or a part of one too long for a chunk (``part``).

    ``text`` is what is embedded, ``tokens`` what it adds to a chunk; ``places`` say where it
    stands on its pages.
    """

    unit: Unit
    text: str
    places: tuple[Place, ...]
    part: bool = False
    tokens: int = 0


def cut(
    unit: Unit, size: Callable[[str], int], room: int, first_room: int | None = None
) -> Iterator[Piece]:
    """Cut a unit into pieces, in order.

    Args:
        unit: the unit.
        size: tokens of a text together with what stands around it in its chunk.
        room: the most that may be.
        first_room: the same for the first piece, which may have to share its chunk with a
            heading.
    """
    if unit.table is not None:
        pieces = list(cut_table(unit.table, size, room))
        for piece in pieces:
            yield Piece(unit, piece.text, piece.places, len(pieces) > 1)
    elif not unit.text or size(unit.text) <= (first_room or room):
        yield Piece(unit, unit.text, _places(unit, 0, len(unit.text)))
    else:
        yield from _cut_text(unit, size, room, first_room or room)


def _cut_text(
    unit: Unit, size: Callable[[str], int], room: int, first_room: int
) -> Iterator[Piece]:
    text = unit.text

    def fits(marks: str) -> bool:
        # Delimiters that take more than half of what is left would hold hardly anything.
        return size(marks) - size("") <= (min(room, first_room) - size("")) / 2

    frame = _frame(unit, fits)
    start, end = frame.start, frame.end
    spans = short_enough(
        inner_spans(unit.kind, text, start, end),
        lambda marks: fits(frame.opens + marks + frame.closes),
    )
    nesting = Nesting(spans)

    def written(a: int, b: int) -> str:
        return f"{frame.opens}{wrap(nesting, text, start + a, start + b)}{frame.closes}"

    even = _even(size(text) - size(""), room - size("")) + size("")
    ranges = list(
        split_text(
            text[start:end],
            lambda a, b: size(written(a, b)),
            lambda a: even if a else min(even, first_room),
            [(a - start, b - start) for a, b in avoid_cuts(spans, _KEEP_TOGETHER * room)],
            lines=unit.kind is BlockKind.CODE,
        )
    )
    for number, (a, b) in enumerate(ranges):
        # The unit's own delimiters stand with its first and last piece.
        left = 0 if number == 0 else start + a
        right = len(text) if number == len(ranges) - 1 else start + b
        yield Piece(unit, written(a, b), _places(unit, left, right), part=len(ranges) > 1)


def _frame(unit: Unit, fits: Callable[[str], bool]) -> Delimited:
    """What every piece stands between: the unit's own delimiters, or nothing."""
    outer = enclosure(unit.kind, unit.text)
    if outer and fits(outer.opens + outer.closes):
        return outer
    return Delimited(0, len(unit.text), "", "", 0, len(unit.text))


def _even(total: int, room: int) -> int:
    """Room that makes pieces of about one size, instead of a last one of a few words."""
    pieces = -(-total // max(room, 1))
    return min(room, int(total / pieces * _EVEN) + 1)


def _places(unit: Unit, start: int, end: int) -> tuple[Place, ...]:
    """Where ``unit.text[start:end]`` stands, page by page."""
    places: list[Place] = []
    for number, stretch in enumerate(unit.stretches):
        last = number == len(unit.stretches) - 1
        behind = len(unit.text) if last else unit.stretches[number + 1].at
        if (start < behind and end > stretch.at) or stretch.start == stretch.end:
            places.append(_place(stretch, start, end, reaches=end >= behind))
    return tuple(places)


def _place(stretch: Stretch, start: int, end: int, *, reaches: bool) -> Place:
    block = stretch.block
    a = min(stretch.start + max(start - stretch.at, 0), stretch.end)
    # What a hyphen took away at the page break belongs to the piece that reaches over it.
    b = stretch.end if reaches else min(stretch.start + end - stretch.at, stretch.end)
    if (a, b) == (block.start, block.end) or block.box is None:
        return Place(stretch.page, block.index, ((a, b),), block.box, exact=True)
    return Place(
        stretch.page, block.index, ((a, b),), _share(block.box, block.start, block.end, a, b), False
    )


def _share(box: Box, start: int, end: int, a: int, b: int) -> Box:
    """The share of a block's height that some of its characters take."""
    length, height = max(end - start, 1), box.y1 - box.y0
    return Box.clipped(
        box.x0,
        box.y0 + height * (a - start) / length,
        box.x1,
        box.y0 + height * (b - start) / length,
    )
