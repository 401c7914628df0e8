"""Reads the answer of DeepSeek-OCR into blocks. Pure; no text is ever lost.

Markers may be stacked: several markers in a row, then the content of all of them, for example
``table``, ``table_caption``, the caption, the table. An answer without markers (``Free OCR.``) is
read as Markdown. An answer of lines with boxes (``OCR this image.``) has the text of each line as
its label; each line becomes a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ....core.records import Block, BlockKind, TextSource
from ....markdown.table_parsing import parse_html_table, strip_tags
from ...quality.assessment import Markup
from .content import (
    BlockContent,
    Passage,
    read_headings,
    read_prose,
    split_paragraphs,
    split_passages,
    strip_fences,
)
from .dialects import as_written
from .drift import LOOP_LENGTH, cut_drift
from .grammar import count_markup
from .markers import KINDS, Marker, Segment, read_segments, scrub

__all__ = ["Grounding", "parse_transcript", "read_grounding"]

# Blocks of these kinds are kept without text, for their boxes.
_BOX_ONLY = frozenset({BlockKind.FIGURE, BlockKind.TABLE})
_COMPANIONS = frozenset({BlockKind.CAPTION, BlockKind.FOOTNOTE})
_HEADINGS = frozenset({BlockKind.TITLE, BlockKind.HEADING})
# Under these labels, a leading number or bullet does not start a list.
_PLAIN = _COMPANIONS | {BlockKind.PAGE_HEADER, BlockKind.PAGE_FOOTER}
_IDENTIFIER = re.compile(r"[a-z][a-z_]{2,30}")
_CENTER = re.compile(r"</?center>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grounding:
    """The blocks of an answer, the number of repetitions that were cut, and its markup."""

    blocks: tuple[Block, ...]
    drifted: int
    markup: Markup


def parse_transcript(raw: str, *, truncated: bool = False) -> tuple[Block, ...]:
    """Read an answer into blocks; see :func:`read_grounding`."""
    return read_grounding(raw, truncated=truncated).blocks


def read_grounding(raw: str, *, truncated: bool = False) -> Grounding:
    """Read an answer into blocks, in the order written, and cut loops. Never raises.

    A block has the box of its marker: the box around all of them if it has several, the whole page
    if none is valid. ``truncated``: whether the model was stopped before its end.
    """
    text = as_written(raw.replace("\r\n", "\n"))
    text = text.replace("\\coloneqq", ":=").replace("\\eqqcolon", "=:")
    markup = count_markup(text, truncated=truncated)
    segments, drifted = cut_drift(read_segments(text, truncated=truncated), truncated=truncated)
    if _has_lines_only(segments):
        lines = _scrubbed(_line(s.marker) for s in segments if s.marker)
        return Grounding(tuple(lines), drifted, markup)
    found = list(_scrubbed(b for stack in _stacks(segments) for b in _read_stack(stack)))
    blocks = list(_without_repeats(found))
    return Grounding(tuple(blocks), drifted + len(found) - len(blocks), markup)


def _has_lines_only(segments: Sequence[Segment]) -> bool:
    """Whether the labels are recognised lines, even if some of them read ``text`` or ``image``."""
    unknown = sum(s.marker is not None and s.marker.label not in KINDS for s in segments)
    return 2 * unknown > len(segments) and not any(s.content.strip() for s in segments)


def _line(marker: Marker) -> Block:
    return Block(BlockKind.TEXT, marker.box, marker.label, source=TextSource.MODEL)


def _stacks(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Group segments into stacks that share the content of their last segment."""
    stack: list[Segment] = []
    for segment in segments:
        if stack and not _is_stacked(stack[-1], segment):
            yield stack
            stack = []
        stack.append(segment)
    if stack:
        yield stack


def _is_stacked(upper: Segment, lower: Segment) -> bool:
    """Whether two markers share their content. Across an empty line, only captions and notes do."""
    if upper.marker is None or lower.marker is None or upper.content.strip():
        return False
    return upper.content.count("\n") < 2 or KINDS.get(lower.marker.label) in _COMPANIONS


def _read_stack(stack: Sequence[Segment]) -> Iterator[Block]:
    markers = [s.marker for s in stack if s.marker is not None] or [Marker("")]
    content = _CENTER.sub(" ", stack[-1].content)
    if _kind(markers[-1]) is BlockKind.CODE:
        passages = [Passage(BlockKind.CODE, strip_fences(content))] if content.strip() else []
    else:
        passages = split_passages(content)
    assigned = list(_assign([_kind(marker) for marker in markers], passages))
    filled = {index for index, _ in assigned}
    for index, marker in enumerate(markers):
        yield from _blocks_without_content(marker, filled=index in filled)
    has_formula = any(passage.kind is BlockKind.FORMULA for passage in passages)
    begun: set[int] = set()
    for index, passage in assigned:
        marker = markers[index]
        for block in _read_passage(passage, marker, first=index not in begun):
            if block.kind is BlockKind.FORMULA and passage.kind is BlockKind.TEXT and has_formula:
                block = replace(block, kind=BlockKind.TEXT)  # words beside the formula
            yield _complete(block, marker)
        begun.add(index)


def _kind(marker: Marker) -> BlockKind:
    """Return the kind of block that a marker announces; ``OTHER`` for an unknown label."""
    if _IDENTIFIER.fullmatch(marker.label):
        return KINDS.get(marker.label, BlockKind.OTHER)
    return BlockKind.TEXT


def _assign(
    kinds: Sequence[BlockKind], passages: Sequence[Passage]
) -> Iterator[tuple[int, Passage]]:
    """Pair passages with markers of their kind, by index, in order; the last takes the rest."""
    everything = range(len(kinds))
    not_prose = (BlockKind.TABLE, BlockKind.FORMULA, BlockKind.FIGURE)
    prose = [i for i in everything if kinds[i] not in not_prose] or [len(kinds) - 1]
    pools: dict[BlockKind, list[int]] = {BlockKind.TEXT: prose}
    for kind in (BlockKind.TABLE, BlockKind.FORMULA):
        pools[kind] = [i for i in everything if kinds[i] is kind] or prose[-1:]
    used = dict.fromkeys(pools, 0)
    for passage in passages:
        kind = passage.kind if passage.kind in pools else BlockKind.TEXT
        pool = pools[kind]
        parts = [passage]
        if passage.kind is BlockKind.TEXT and len(pool) > 1:
            parts = [Passage(passage.kind, text) for text in split_paragraphs(passage.text)]
        for part in parts:
            yield pool[min(used[kind], len(pool) - 1)], part
            used[kind] += 1


def _blocks_without_content(marker: Marker, *, filled: bool) -> Iterator[Block]:
    """Make the block of a marker by itself: the box of a figure or table, or a line of text."""
    kind = KINDS.get(marker.label)
    if kind is None:
        if not (filled and _kind(marker) is BlockKind.OTHER):
            yield _line(marker)
    elif kind in _BOX_ONLY and not (filled and kind is BlockKind.TABLE) and not marker.cut:
        yield _complete(BlockContent(kind), marker)


def _read_passage(passage: Passage, marker: Marker, *, first: bool) -> list[BlockContent]:
    if passage.kind is BlockKind.TABLE:
        grid = parse_html_table(passage.text)
        words = "" if grid else strip_tags(passage.text)
        return [BlockContent(BlockKind.TABLE if grid else BlockKind.TEXT, words, table=grid)]
    if passage.kind is not BlockKind.TEXT:
        return [BlockContent(passage.kind, passage.text)]
    kind = _kind(marker)
    if kind in _HEADINGS:
        return read_headings(passage.text, kind if first else BlockKind.TEXT)
    if kind in _PLAIN:
        return [BlockContent(kind, text) for text in split_paragraphs(passage.text)]
    if kind is BlockKind.FORMULA:
        return [BlockContent(kind, _undelimited(text)) for text in split_paragraphs(passage.text)]
    return [_as_kind(block, kind) for block in read_prose(passage.text)]


def _undelimited(text: str) -> str:
    inline = text.startswith("\\(") and text.endswith("\\)") and text.count("\\(") == 1
    return text[2:-2].strip() if inline else text


def _as_kind(block: BlockContent, kind: BlockKind) -> BlockContent:
    """Make a paragraph an item under the label of a list, and ``OTHER`` under an unknown label."""
    if block.kind is not BlockKind.TEXT:
        return block
    if kind is BlockKind.LIST_ITEM:
        return replace(block, kind=kind, level=1)
    return replace(block, kind=kind) if kind is BlockKind.OTHER else block


def _complete(block: BlockContent, marker: Marker) -> Block:
    kind, text, level, table = block.kind, block.text, block.level, block.table
    label = marker.label if _IDENTIFIER.fullmatch(marker.label) else ""
    return Block(kind, marker.box, text, level, table, TextSource.MODEL, label)


def _scrubbed(blocks: Iterable[Block]) -> Iterator[Block]:
    """Remove special tokens from blocks, and drop the blocks that are then empty."""
    for block in blocks:
        text = scrub(block.text)
        if text or block.table or (block.kind in _BOX_ONLY and not block.text):
            table = block.table
            if table:
                cells = tuple(replace(cell, text=scrub(cell.text)) for cell in table.cells)
                table = replace(table, cells=cells)
            yield replace(block, text=text, table=table)


def _without_repeats(blocks: Sequence[Block]) -> Iterator[Block]:
    """Cut loops of blocks within the content of one marker, or without any marker."""
    for _, run in groupby(blocks, lambda b: (b.kind, b.text, b.table, b.raw_kind)):
        same = list(run)
        says_something = bool(same[0].text or same[0].table)
        yield from same[:1] if says_something and len(same) >= LOOP_LENGTH else same
