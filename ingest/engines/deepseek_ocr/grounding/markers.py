"""Splits an answer with boxes into segments: a marker and the content after it. Pure.

The model writes a marker, ``<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>``, and then
its content. Coordinates are integers from 0 to 999 over the displayed page, whatever its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

from ....core.records import BlockKind, Box

__all__ = ["COORDINATE_MAX", "KINDS", "WHOLE_PAGE", "Marker", "Segment", "read_segments", "scrub"]

KINDS: dict[str, BlockKind] = {
    # Labels in the model's published outputs.
    "title": BlockKind.TITLE,
    "sub_title": BlockKind.HEADING,
    "text": BlockKind.TEXT,
    "table": BlockKind.TABLE,
    "table_caption": BlockKind.CAPTION,
    "table_footnote": BlockKind.FOOTNOTE,
    "image": BlockKind.FIGURE,
    "image_caption": BlockKind.CAPTION,
    "equation": BlockKind.FORMULA,
    # Labels of its successors, and of the data sets that such models are trained on.
    "image_footnote": BlockKind.FOOTNOTE,
    "footnote": BlockKind.FOOTNOTE,
    "page_footnote": BlockKind.FOOTNOTE,
    "figure": BlockKind.FIGURE,
    "figure_caption": BlockKind.CAPTION,
    "chart": BlockKind.FIGURE,
    "chart_caption": BlockKind.CAPTION,
    "caption": BlockKind.CAPTION,
    "formula": BlockKind.FORMULA,
    "header": BlockKind.PAGE_HEADER,
    "page_header": BlockKind.PAGE_HEADER,
    "footer": BlockKind.PAGE_FOOTER,
    "page_footer": BlockKind.PAGE_FOOTER,
    "page_number": BlockKind.PAGE_FOOTER,
    "list": BlockKind.LIST_ITEM,
    "list_item": BlockKind.LIST_ITEM,
    "code": BlockKind.CODE,
    "algorithm": BlockKind.CODE,
}
"""All known labels, with the kind of block each one names."""

WHOLE_PAGE = Box(0.0, 0.0, 1.0, 1.0)
"""The box of a marker without a valid box."""

COORDINATE_MAX = 999
"""The largest coordinate, at the right or lower edge of the page."""

_TOKEN = re.compile(
    r"<\|(/?(?:ref|det))\|>|<\|(?:grounding|User|Assistant|EOT)\|>|<｜[^<>｜\n]{1,40}｜>"
)
_TOKEN_OR_PART = re.compile(
    _TOKEN.pattern + r"|<\|/?(?:ref|det|grounding)\b\|?>?|\|?/?\b(?:ref|det|grounding)\|>|<｜"
)
_SPECIALS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<｜end▁of▁sentence｜>")
_COORDINATES = re.compile(r"[\s\[\]()+\-0-9.,;]*")
_BRACKET = re.compile(r"\[([^\[\]]*)")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Marker:
    """A label and its box. ``cut``: the answer ends inside the marker."""

    label: str
    box: Box = WHOLE_PAGE
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and the content after it. ``marker`` is None for content before the first one."""

    marker: Marker | None
    content: str


def scrub(text: str) -> str:
    """Remove special tokens, whole or broken."""
    return _TOKEN_OR_PART.sub(" ", text).strip()


def read_segments(raw: str, *, truncated: bool) -> list[Segment]:
    """Split an answer at its markers, including broken ones. No text is lost.

    If the model was stopped (``truncated``), half a label at the end is dropped.
    """
    tokens = _Tokens(_without_cut_token(raw))
    segments: list[Segment] = []
    marker: Marker | None = None
    content: list[str] = []
    while (kind := tokens.next_kind()) is not None:
        if kind in ("ref", "det"):
            found, rest = _read_marker(tokens, truncated=truncated)
            if found is not None:
                segments.append(Segment(marker, "".join(content)))
                marker, content = found, []
            content.append(rest)
        else:
            content.append(tokens.take(kind) or " ")
    segments.append(Segment(marker, "".join(content)))
    return [s for s in segments if s.marker is not None or s.content.strip()]


def _without_cut_token(raw: str) -> str:
    at = max(raw.rfind("<|"), raw.rfind("<｜"))
    tail = raw[at:] if at >= 0 else ""
    return raw[:at] if tail and any(special.startswith(tail) for special in _SPECIALS) else raw


class _Tokens:
    """A cursor over ``ref``, ``/ref``, ``det``, ``/det`` tokens and the ``text`` between them."""

    def __init__(self, raw: str) -> None:
        self._items = list(_tokenize(raw))
        self._at = 0

    def next_kind(self) -> str | None:
        return self._items[self._at][0] if self._at < len(self._items) else None

    def take(self, kind: str) -> str | None:
        """Take the next token and return its text if it is of this kind."""
        if self.next_kind() != kind:
            return None
        self._at += 1
        return self._items[self._at - 1][1]

    def skip_blank(self) -> None:
        if self.next_kind() == "text" and not self._items[self._at][1].strip():
            self._at += 1


def _tokenize(raw: str) -> Iterator[tuple[str, str]]:
    text: list[str] = []
    position = 0
    for match in _TOKEN.finditer(raw):
        text.append(raw[position : match.start()])
        position = match.end()
        if match[1] is None:
            text.append(" ")  # a special token outside markers
            continue
        if any(text):
            yield "text", "".join(text)
        text = []
        yield match[1], ""
    text.append(raw[position:])
    if any(text):
        yield "text", "".join(text)


def _read_marker(tokens: _Tokens, *, truncated: bool) -> tuple[Marker | None, str]:
    """Read a marker. Also return the text inside it that is neither label nor coordinates."""
    begun = tokens.take("ref") is not None
    label = (tokens.take("text") or "") if begun else ""
    closed = tokens.take("/ref") is not None
    if closed:
        tokens.skip_blank()
    if tokens.take("det") is None:
        if closed:
            return Marker(label.strip(), cut=tokens.next_kind() is None), ""
        return _read_open_label(label, cut=truncated and tokens.next_kind() is None)
    inside = tokens.take("text") or ""
    is_closed = tokens.take("/det") is not None
    cut = not is_closed and tokens.next_kind() is None
    end = _coordinates_end(inside, is_closed=is_closed, cut=cut)
    return Marker(label.strip(), _read_box(inside[:end]), cut), inside[end:]


def _read_open_label(label: str, *, cut: bool) -> tuple[Marker | None, str]:
    """Read an unclosed label: a known label on its first line, or else text."""
    first, _, rest = label.partition("\n")
    if first.strip() in KINDS:
        return Marker(first.strip(), cut=not rest.strip()), rest
    begun = label.strip()
    return None, "" if cut and any(known.startswith(begun) for known in KINDS) else label


def _coordinates_end(inside: str, *, is_closed: bool, cut: bool) -> int:
    """Return the offset at which the coordinates end in the text after ``<|det|>``."""
    # In a closed marker, all digits are coordinates. So are those of an answer that ends inside a
    # list of boxes. In other unclosed markers, digits after the last ``]`` may be text of the page.
    match = _COORDINATES.match(inside)
    end = match.end() if match else 0
    in_list = end == len(inside) and inside.count("[") > inside.count("]")
    if is_closed or (cut and in_list):
        return end
    bracket = inside.rfind("]", 0, end)
    return bracket + 1 if bracket >= 0 else end if "[" in inside[:end] else 0


def _read_box(text: str) -> Box:
    """Return the box around all boxes of a marker; the whole page if none of them has an area."""
    boxes = []
    for bracket in _BRACKET.finditer(text):
        numbers = [float(number) / COORDINATE_MAX for number in _NUMBER.findall(bracket[1])]
        if len(numbers) == 4:
            boxes.append(Box.clipped(*numbers))
    boxes = [box for box in boxes if box.area > 0]
    return reduce(Box.union, boxes) if boxes else WHOLE_PAGE
