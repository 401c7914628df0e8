"""Cuts elements into pieces that fit into a chunk. Pure.

An element that fits stays whole. A longer one is cut at natural boundaries, and every piece can
be read alone: code keeps its fence, a formula its delimiters, a table its header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind, Box
from ..markdown.delimiters import (
    Delimited,
    Nesting,
    enclosure,
    inner_spans,
    protected_ranges,
    spans_that_fit,
    wrap,
)
from ..markdown.render import BlockSpan
from .elements import Element, Fragment, Provenance
from .table_cutting import cut_table
from .text_cutting import cut_text

__all__ = ["Piece", "cut"]

_KEEP_TOGETHER: Final = 2
"""Characters of an inline span, per token of room, up to which the span is not cut. At four
characters a token, that is half of the room."""
_EVEN: Final = 1.15
"""Slack over the average size, so that a piece can end with a sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An element, or (``part``) one part of an element that is too long for a chunk.

    ``tokens`` is its share of its chunk's tokens.
    """

    element: Element
    text: str
    provenance: tuple[Provenance, ...]
    part: bool = False
    tokens: int = 0


def cut(
    element: Element, size: Callable[[str], int], room: int, first_room: int
) -> Iterator[Piece]:
    """Cut an element into pieces, in order.

    Args:
        element: the element.
        size: counts the tokens of a text together with its context in a chunk.
        room: the largest size of a piece.
        first_room: the largest size of the first piece, which may share its chunk with headings.
    """
    if element.table is not None:
        pieces = list(cut_table(element.table, size, room))
        for text, provenance in pieces:
            yield Piece(element, text, provenance, len(pieces) > 1)
    elif not element.text or size(element.text) <= first_room:
        yield Piece(element, element.text, _provenance(element, 0, len(element.text)))
    else:
        yield from _cut_long_text(element, size, room, first_room)


def _cut_long_text(
    element: Element, size: Callable[[str], int], room: int, first_room: int
) -> Iterator[Piece]:
    text = element.text

    def fits(marks: str) -> bool:
        # Delimiters that take more than half of the room would leave too little text.
        return size(marks) - size("") <= (min(room, first_room) - size("")) / 2

    frame = enclosure(element.kind, text)  # the delimiters that every piece gets
    if frame is None or not fits(frame.opens + frame.closes):
        frame = Delimited(0, len(text), "", "", 0, len(text))
    start, end = frame.start, frame.end
    spans = spans_that_fit(
        inner_spans(element.kind, text, start, end),
        lambda marks: fits(frame.opens + marks + frame.closes),
    )
    nesting = Nesting(spans)

    def written(a: int, b: int) -> str:
        return f"{frame.opens}{wrap(nesting, text, start + a, start + b)}{frame.closes}"

    even = _even(size(text) - size(""), room - size("")) + size("")
    ranges = list(
        cut_text(
            text[start:end],
            lambda a, b: size(written(a, b)),
            lambda a: even if a else min(even, first_room),
            [(a - start, b - start) for a, b in protected_ranges(spans, _KEEP_TOGETHER * room)],
            lines=element.kind is BlockKind.CODE,
        )
    )
    for number, (a, b) in enumerate(ranges):
        # The first and the last piece cover the element's own delimiters.
        left = 0 if number == 0 else start + a
        right = len(text) if number == len(ranges) - 1 else start + b
        yield Piece(element, written(a, b), _provenance(element, left, right), part=len(ranges) > 1)


def _even(total: int, room: int) -> int:
    """The room that gives pieces of about equal size, instead of a short last one."""
    pieces = -(-total // max(room, 1))
    return min(room, int(total / pieces * _EVEN) + 1)


def _provenance(element: Element, start: int, end: int) -> tuple[Provenance, ...]:
    """The provenance of ``element.text[start:end]``, page by page."""
    found: list[Provenance] = []
    for number, fragment in enumerate(element.fragments):
        last = number == len(element.fragments) - 1
        stop = len(element.text) if last else element.fragments[number + 1].at
        if (start < stop and end > fragment.at) or fragment.start == fragment.end:
            found.append(_fragment_provenance(fragment, start, end, to_the_end=end >= stop))
    return tuple(found)


def _fragment_provenance(
    fragment: Fragment, start: int, end: int, *, to_the_end: bool
) -> Provenance:
    block = fragment.block
    a = min(fragment.start + max(start - fragment.at, 0), fragment.end)
    # A hyphen dropped at the page break belongs to the piece that crosses the break.
    b = fragment.end if to_the_end else min(fragment.start + end - fragment.at, fragment.end)
    exact = (a, b) == (block.start, block.end) or block.box is None
    box = block.box if exact else _interpolated_box(block, a, b)
    return Provenance(fragment.page, block.index, ((a, b),), box, exact)


def _interpolated_box(block: BlockSpan, start: int, end: int) -> Box | None:
    """The share of a block's box that some of its characters take, by their number."""
    if block.box is None:
        return None
    x0, y0, x1, y1 = block.box.as_tuple()
    length = max(block.end - block.start, 1)
    top = y0 + (y1 - y0) * (start - block.start) / length
    bottom = y0 + (y1 - y0) * (end - block.start) / length
    return Box.clipped(x0, top, x1, bottom)
