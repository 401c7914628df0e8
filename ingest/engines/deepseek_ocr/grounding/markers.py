"""A grounded transcript cut into its markers and what is written after each. Pure.

The model writes ``<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>`` and then the
content. Coordinates are integers 0..999 of the displayed page, whatever its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from ....core.records import BlockKind, Box

__all__ = [
    "KINDS",
    "LOOP_LENGTH",
    "WHOLE_PAGE",
    "Marker",
    "Segment",
    "cut_drift",
    "read_segments",
    "scrub",
]

KINDS: dict[str, BlockKind] = {
    # Labels found in the model's published outputs.
    "title": BlockKind.TITLE,
    "sub_title": BlockKind.HEADING,
    "text": BlockKind.TEXT,
    "table": BlockKind.TABLE,
    "table_caption": BlockKind.CAPTION,
    "table_footnote": BlockKind.FOOTNOTE,
    "image": BlockKind.FIGURE,
    "image_caption": BlockKind.CAPTION,
    "equation": BlockKind.FORMULA,
    # Labels of its successors and of the data sets such models learn from.
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
"""Every label known, and the kind of block it names."""

WHOLE_PAGE = Box(0.0, 0.0, 1.0, 1.0)
"""The box of a marker that names no place."""

_SCALE = 999
LOOP_LENGTH = 6
"""As many equal blocks in a row are a loop: rows of icons are seldom that long."""

# Coordinates are rounded to integers, so that an even step varies by one of them.
_STEP_TOLERANCE = 1.5 / _SCALE

_TOKEN = re.compile(
    r"<\|(/?(?:ref|det))\|>|<\|(?:grounding|User|Assistant|EOT)\|>|<｜[^<>｜\n]{1,40}｜>"
)
_PIECE = re.compile(
    _TOKEN.pattern + r"|<\|/?(?:ref|det|grounding)\b\|?>?|\|?/?\b(?:ref|det|grounding)\|>|<｜"
)
_SPECIALS = (
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    "<｜end▁of▁sentence｜>",
)
_COORDINATES = re.compile(r"[\s\[\]()+\-0-9.,;]*")
_BRACKET = re.compile(r"\[([^\[\]]*)")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Marker:
    """A label and its place. ``cut`` says that the transcript ends inside the marker."""

    label: str
    box: Box = WHOLE_PAGE
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """What is written after a marker; before the first one, ``marker`` is None."""

    marker: Marker | None
    content: str


def scrub(text: str) -> str:
    """Leave out special tokens and their broken pieces."""
    return _PIECE.sub(" ", text).strip()


def read_segments(raw: str, *, truncated: bool) -> list[Segment]:
    """Cut a transcript at its markers, broken ones included. No text is lost.

    Args:
        raw: what the model wrote, special tokens kept.
        truncated: whether the model was stopped before its end: half a label is dropped.
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
    """The transcript as ``ref /ref det /det`` tokens and ``text`` between them, in order."""

    def __init__(self, raw: str) -> None:
        self._items = list(_tokenize(raw))
        self._at = 0

    def next_kind(self) -> str | None:
        """The kind of the next token, or None at the end."""
        return self._items[self._at][0] if self._at < len(self._items) else None

    def take(self, kind: str) -> str | None:
        """The next token's text if it is of that kind, else None and nothing is taken."""
        if self.next_kind() != kind:
            return None
        self._at += 1
        return self._items[self._at - 1][1]

    def skip_blank(self) -> None:
        """Pass over white space."""
        if self.next_kind() == "text" and not self._items[self._at][1].strip():
            self._at += 1


def _tokenize(raw: str) -> Iterator[tuple[str, str]]:
    text: list[str] = []
    position = 0
    for match in _TOKEN.finditer(raw):
        text.append(raw[position : match.start()])
        position = match.end()
        if match[1] is None:
            text.append(" ")  # a token that marks nothing on the page
            continue
        if any(text):
            yield "text", "".join(text)
        text = []
        yield match[1], ""
    text.append(raw[position:])
    if any(text):
        yield "text", "".join(text)


def _read_marker(tokens: _Tokens, *, truncated: bool) -> tuple[Marker | None, str]:
    """The marker that begins here, and text inside it that is neither label nor coordinates."""
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
    shut = tokens.take("/det") is not None
    cut = not shut and tokens.next_kind() is None
    end = _coordinates_end(inside, shut=shut, cut=cut)
    return Marker(label.strip(), _read_box(inside[:end]), cut), inside[end:]


def _read_open_label(label: str, *, cut: bool) -> tuple[Marker | None, str]:
    """A label that nothing closes is text, unless its first line is a label we know."""
    first, _, rest = label.partition("\n")
    if first.strip() in KINDS:
        return Marker(first.strip(), cut=not rest.strip()), rest
    begun = label.strip()
    return None, "" if cut and any(known.startswith(begun) for known in KINDS) else label


def _coordinates_end(inside: str, *, shut: bool, cut: bool) -> int:
    """Where coordinates end; in a marker that nothing closes, digits may be the page's.

    In one that is cut they are not, while a list of boxes is open.
    """
    match = _COORDINATES.match(inside)
    end = match.end() if match else 0
    is_open = end == len(inside) and inside.count("[") > inside.count("]")
    if shut or (cut and is_open):
        return end
    bracket = inside.rfind("]", 0, end)
    return bracket + 1 if bracket >= 0 else end if "[" in inside[:end] else 0


def _read_box(text: str) -> Box:
    """The box around all boxes of a marker; the whole page where none has an area."""
    boxes = []
    for bracket in _BRACKET.finditer(text):
        numbers = [float(number) / _SCALE for number in _NUMBER.findall(bracket[1])]
        if len(numbers) == 4:
            boxes.append(Box.clipped(*numbers))
    boxes = [box for box in boxes if box.area > 0]
    return reduce(Box.union, boxes) if boxes else WHOLE_PAGE


def cut_drift(segments: Sequence[Segment], *, truncated: bool) -> tuple[list[Segment], int]:
    """Keep the first segment of each loop, and count the others.

    A loop is the same label and content six times or more; without content, also with boxes
    that advance by an even step. The same recognised line six times is a table's column,
    unless each box overlaps the one before.
    """
    kept: list[Segment] = []
    at = dropped = 0
    while at < len(segments):
        end = _run_end(segments, at)
        if end - at < LOOP_LENGTH:
            end = at + 1
        elif truncated and end == len(segments) - 1 and _is_start(segments[end], segments[at]):
            end += 1
        kept.append(segments[at])
        dropped += end - at - 1
        at = end
    return kept, dropped


def _run_end(segments: Sequence[Segment], start: int) -> int:
    first, end = segments[start], start + 1
    if first.marker is None:
        return end
    words = first.content.split()
    while end < len(segments) and _label(segments[end]) == first.marker.label:
        if segments[end].content.split() != words:
            break
        if not words and not _drifts(segments, start, end):
            break
        end += 1
    return end


def _label(segment: Segment) -> str | None:
    return segment.marker.label if segment.marker else None


def _is_start(last: Segment, first: Segment) -> bool:
    return _label(last) == _label(first) and first.content.strip().startswith(last.content.strip())


def _drifts(segments: Sequence[Segment], start: int, at: int) -> bool:
    """Whether the box at ``at`` follows its predecessor as the second box follows the first."""
    a, b, c, d = (_box(segments[i]) for i in (start, start + 1, at - 1, at))
    even = all(
        abs((v2 - v1) - (u2 - u1)) <= _STEP_TOLERANCE
        for u1, u2, v1, v2 in zip(
            a.as_tuple(), b.as_tuple(), c.as_tuple(), d.as_tuple(), strict=True
        )
    )
    return even and (_label(segments[at]) in KINDS or _overlap(c, d))


def _box(segment: Segment) -> Box:
    return segment.marker.box if segment.marker else WHOLE_PAGE


def _overlap(a: Box, b: Box) -> bool:
    return max(a.x0, b.x0) < min(a.x1, b.x1) and max(a.y0, b.y0) < min(a.y1, b.y1)
