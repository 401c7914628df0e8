"""What DeepSeek-OCR wrote about a page, read into blocks. Pure; no text is ever lost.

Markers may be stacked: two in a row, then the content of both, as in ``table``,
``table_caption``, the caption, the table. Output without markers (``Free OCR.``) is read as
Markdown, and output of lines with boxes (``OCR this image.``), where a line's text stands in
place of the label, as one block a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ....core.records import Block, BlockKind, TableGrid, TextSource
from ....markdown.table_parsing import parse_html_table, strip_tags
from ...quality.assessment import Markup
from .grammar import count_markup
from .markers import (
    KINDS,
    LOOP_LENGTH,
    Marker,
    Segment,
    cut_drift,
    read_segments,
    scrub,
)
from .regions import (
    Piece,
    Region,
    read_flow,
    read_headings,
    split_paragraphs,
    split_regions,
    unfenced,
)

__all__ = ["Grounding", "parse_transcript", "read_grounding"]

# Kinds that say something without text: where on the page they stand.
_PLACES = frozenset({BlockKind.FIGURE, BlockKind.TABLE})
_COMPANIONS = frozenset({BlockKind.CAPTION, BlockKind.FOOTNOTE})
_HEADINGS = frozenset({BlockKind.TITLE, BlockKind.HEADING})
# Under these labels, a leading number or bullet makes no list.
_PLAIN = _COMPANIONS | {BlockKind.PAGE_HEADER, BlockKind.PAGE_FOOTER}
_IDENTIFIER = re.compile(r"[a-z][a-z_]{2,30}")
_CENTER = re.compile(r"</?center>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grounding:
    """The blocks of a transcript, how many were left out as repetitions, and its markup."""

    blocks: tuple[Block, ...]
    drifted: int
    markup: Markup


def parse_transcript(raw: str, *, truncated: bool = False) -> tuple[Block, ...]:
    """Read a transcript into blocks; see :func:`read_grounding`."""
    return read_grounding(raw, truncated=truncated).blocks


def read_grounding(raw: str, *, truncated: bool = False) -> Grounding:
    """Read a transcript into blocks, in the order written, and cut loops.

    Boxes are those of the markers (of several boxes in one, the box around them), and the
    whole page where a marker has none that is valid. Never raises.

    Args:
        raw: what the model wrote, special tokens kept.
        truncated: whether the model was stopped before its end.
    """
    text = raw.replace("\r\n", "\n").replace("\\coloneqq", ":=").replace("\\eqqcolon", "=:")
    markup = count_markup(text, truncated=truncated)
    segments, drifted = cut_drift(read_segments(text, truncated=truncated), truncated=truncated)
    if _has_lines_only(segments):
        lines = _scrubbed(_line(s.marker) for s in segments if s.marker)
        return Grounding(tuple(lines), drifted, markup)
    found = list(_scrubbed(b for stack in _stacks(segments) for b in _read_stack(stack)))
    blocks = list(_without_repeats(found))
    return Grounding(tuple(blocks), drifted + len(found) - len(blocks), markup)


def _has_lines_only(segments: Sequence[Segment]) -> bool:
    """Whether labels are recognised lines: then also one that reads ``text`` or ``image``."""
    unknown = sum(s.marker is not None and s.marker.label not in KINDS for s in segments)
    return 2 * unknown > len(segments) and not any(s.content.strip() for s in segments)


def _line(marker: Marker) -> Block:
    return Block(BlockKind.TEXT, marker.box, marker.label, source=TextSource.MODEL)


def _stacks(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Segments that share the content of the last one."""
    stack: list[Segment] = []
    for segment in segments:
        if stack and not _is_stacked(stack[-1], segment):
            yield stack
            stack = []
        stack.append(segment)
    if stack:
        yield stack


def _is_stacked(upper: Segment, lower: Segment) -> bool:
    """A block ends with an empty line; only captions and notes are looked for beyond one."""
    if upper.marker is None or lower.marker is None or upper.content.strip():
        return False
    return upper.content.count("\n") < 2 or KINDS.get(lower.marker.label) in _COMPANIONS


def _read_stack(stack: Sequence[Segment]) -> Iterator[Block]:
    markers = [s.marker for s in stack if s.marker is not None] or [Marker("")]
    content = _CENTER.sub(" ", stack[-1].content)
    if _kind(markers[-1]) is BlockKind.CODE:
        regions = [Region(BlockKind.CODE, unfenced(content))] if content.strip() else []
    else:
        regions = split_regions(content)
    places = list(_assign([_kind(marker) for marker in markers], regions))
    filled = {place for place, _ in places}
    for index, marker in enumerate(markers):
        yield from _empty(marker, filled=index in filled)
    has_formula = any(region.kind is BlockKind.FORMULA for region in regions)
    begun: set[int] = set()
    for place, region in places:
        marker = markers[place]
        for piece in _read_region(region, marker, first=place not in begun):
            if piece.kind is BlockKind.FORMULA and region.kind is BlockKind.TEXT and has_formula:
                piece = replace(piece, kind=BlockKind.TEXT)  # words beside the formula
            yield _block(piece, marker)
        begun.add(place)


def _kind(marker: Marker) -> BlockKind:
    """The kind of what stands under a marker; ``OTHER`` for a label that we do not know."""
    if _IDENTIFIER.fullmatch(marker.label):
        return KINDS.get(marker.label, BlockKind.OTHER)
    return BlockKind.TEXT


def _assign(kinds: Sequence[BlockKind], regions: Sequence[Region]) -> Iterator[tuple[int, Region]]:
    """Give each region the index of its marker: like to like, in order, the last one the rest."""
    everything = range(len(kinds))
    not_prose = (BlockKind.TABLE, BlockKind.FORMULA, BlockKind.FIGURE)
    prose = [i for i in everything if kinds[i] not in not_prose] or [len(kinds) - 1]
    pools: dict[BlockKind, list[int]] = {BlockKind.TEXT: prose}
    for kind in (BlockKind.TABLE, BlockKind.FORMULA):
        pools[kind] = [i for i in everything if kinds[i] is kind] or prose[-1:]
    used = dict.fromkeys(pools, 0)
    for region in regions:
        kind = region.kind if region.kind in pools else BlockKind.TEXT
        pool = pools[kind]
        parts = [region]
        if region.kind is BlockKind.TEXT and len(pool) > 1:
            parts = [Region(region.kind, text) for text in split_paragraphs(region.text)]
        for part in parts:
            yield pool[min(used[kind], len(pool) - 1)], part
            used[kind] += 1


def _empty(marker: Marker, *, filled: bool) -> Iterator[Block]:
    """What a marker says without content: a figure's or table's place, or a line of text."""
    kind = KINDS.get(marker.label)
    if kind is None:
        if not (filled and _kind(marker) is BlockKind.OTHER):
            yield _line(marker)
    elif kind in _PLACES and not (filled and kind is BlockKind.TABLE) and not marker.cut:
        yield _block(Piece(kind), marker)


def _read_region(region: Region, marker: Marker, *, first: bool) -> list[Piece]:
    if region.kind is BlockKind.TABLE:
        grid = parse_html_table(region.text)
        words = "" if grid else strip_tags(region.text)
        return [Piece(BlockKind.TABLE if grid else BlockKind.TEXT, words, table=grid)]
    if region.kind is not BlockKind.TEXT:
        return [Piece(region.kind, region.text)]
    kind = _kind(marker)
    if kind in _HEADINGS:
        return read_headings(region.text, kind if first else BlockKind.TEXT)
    if kind in _PLAIN:
        return [Piece(kind, text) for text in split_paragraphs(region.text)]
    if kind is BlockKind.FORMULA:
        return [Piece(kind, _undelimited(text)) for text in split_paragraphs(region.text)]
    return [_as_kind(piece, kind) for piece in read_flow(region.text)]


def _undelimited(text: str) -> str:
    inline = text.startswith("\\(") and text.endswith("\\)") and text.count("\\(") == 1
    return text[2:-2].strip() if inline else text


def _as_kind(piece: Piece, kind: BlockKind) -> Piece:
    """A paragraph under the label of a list is an item, under an unknown label it is other."""
    if piece.kind is not BlockKind.TEXT:
        return piece
    if kind is BlockKind.LIST_ITEM:
        return replace(piece, kind=kind, level=1)
    return replace(piece, kind=kind) if kind is BlockKind.OTHER else piece


def _block(piece: Piece, marker: Marker) -> Block:
    label = marker.label if _IDENTIFIER.fullmatch(marker.label) else ""
    return Block(
        piece.kind, marker.box, piece.text, piece.level, piece.table, TextSource.MODEL, label
    )


def _scrubbed(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks without special tokens; those that hold nothing else are left out."""
    for block in blocks:
        text = scrub(block.text)
        if text or block.table or (block.kind in _PLACES and not block.text):
            yield replace(block, text=text, table=block.table and _scrubbed_grid(block.table))


def _scrubbed_grid(grid: TableGrid) -> TableGrid:
    return replace(grid, cells=tuple(replace(c, text=scrub(c.text)) for c in grid.cells))


def _without_repeats(blocks: Sequence[Block]) -> Iterator[Block]:
    """Leave out what repeats within one marker's content, or without any marker."""
    for _, run in groupby(blocks, lambda b: (b.kind, b.text, b.table, b.raw_kind)):
        same = list(run)
        says_something = bool(same[0].text or same[0].table)
        yield from same[:1] if says_something and len(same) >= LOOP_LENGTH else same
