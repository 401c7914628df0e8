"""Markdown that came without a layout: which blocks there are, and where. Pure.

Reads what other readers and models write: ATX and underlined headings, fences, lists, pipe and
HTML tables (also in the middle of a paragraph, or cut off), display formulas, images and
footnotes. It is no full Markdown parser: what it does not know is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from .markdown import BlockSpan, PageMarkdown
from .table_parsing import is_pipe_rule, place_pipe_table, place_table
from .types import BlockKind

__all__ = ["scan_markdown"]

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_FENCE: Final = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)\s*$")
_ITEM: Final = re.compile(r"(\s*)(?:[-*+•◦▪]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
_FOOTNOTE: Final = re.compile(r" {0,3}\[\^[^\]\s]{1,40}\]:\s")
_IMAGE: Final = re.compile(r"\s*!\[[^\]]*\]\([^)]*\)\s*$")
_MATH: Final = re.compile(r"\s*(\$\$|\\\[)")
_TABLE: Final = re.compile(r"<table\b", re.IGNORECASE)
_TABLE_END: Final = re.compile(r"</table\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int  # without the line break
    text: str


@dataclass(frozen=True, slots=True)
class _Part:
    kind: BlockKind
    start: int
    end: int
    level: int = 0
    header_rows: int = 0


def scan_markdown(text: str, index: int = 0, label: str = "1") -> PageMarkdown:
    """Locate the blocks of a page's Markdown. They have no boxes.

    Args:
        text: the Markdown.
        index: 0-based page.
        label: printed page number.
    """
    numbers = count()
    spans = [
        BlockSpan(next(numbers), p.kind, p.start, p.end, p.level, header_rows=p.header_rows)
        for p in _parts(text)
    ]
    return PageMarkdown(index, label, text, tuple(spans))


def _parts(text: str) -> Iterator[_Part]:
    lines = list(_lines(text))
    at = 0
    while at < len(lines):
        if not lines[at].text.strip():
            at += 1
            continue
        end, kind = _block_end(lines, at, text)
        start, stop = lines[at].start, lines[end - 1].end
        if kind is BlockKind.TABLE:
            table_end = _TABLE_END.search(text, start, stop)
            yield from _tables(text, start, table_end.end() if table_end else stop)
            if table_end and table_end.end() < stop:
                yield from _shifted(text, table_end.end(), stop)
        else:
            yield from _trimmed(text, kind, start, stop)
        at = end


def _lines(text: str) -> Iterator[_Line]:
    offset = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
        yield _Line(offset, offset + len(body), body)
        offset += len(line)


def _block_end(lines: Sequence[_Line], at: int, text: str) -> tuple[int, BlockKind]:
    """The line behind the block that begins at a line, and what it is."""
    line = lines[at].text
    if fence := _FENCE.match(line):
        return _closed_by(lines, at, re.compile(rf"\s*{fence[1]}\s*$")), BlockKind.CODE
    if math := _MATH.match(line):
        return _math_end(lines, at, math[1]), BlockKind.FORMULA
    if _TABLE.match(line.lstrip()):
        return _html_end(lines, at), BlockKind.TABLE
    if _ATX.match(line):
        return at + 1, BlockKind.HEADING
    if "|" in line and at + 1 < len(lines) and is_pipe_rule(lines[at + 1].text):
        return _while(lines, at + 2, lambda other: "|" in other), BlockKind.TABLE
    if _IMAGE.match(line):
        return at + 1, BlockKind.FIGURE
    return _paragraph_end(lines, at, _paragraph_kind(line))


def _paragraph_kind(line: str) -> BlockKind:
    if _FOOTNOTE.match(line):
        return BlockKind.FOOTNOTE
    return BlockKind.LIST_ITEM if _ITEM.match(line) else BlockKind.TEXT


def _paragraph_end(lines: Sequence[_Line], at: int, kind: BlockKind) -> tuple[int, BlockKind]:
    end = at + 1
    while end < len(lines) and lines[end].text.strip() and not _interrupts(lines, end):
        if kind is BlockKind.TEXT and end == at + 1 and _UNDERLINE.match(lines[end].text):
            return end + 1, BlockKind.HEADING
        end += 1
    return end, kind


def _interrupts(lines: Sequence[_Line], at: int) -> bool:
    """Whether a line begins a new block although no empty line is above it."""
    line = lines[at].text
    starts = (_FENCE, _ATX, _ITEM, _FOOTNOTE, _MATH, _IMAGE)
    if any(pattern.match(line) for pattern in starts) or _TABLE.match(line.lstrip()):
        return True
    return "|" in line and at + 1 < len(lines) and is_pipe_rule(lines[at + 1].text)


def _closed_by(lines: Sequence[_Line], at: int, closing: re.Pattern[str]) -> int:
    for end in range(at + 1, len(lines)):
        if closing.match(lines[end].text):
            return end + 1
    return len(lines)


def _math_end(lines: Sequence[_Line], at: int, opening: str) -> int:
    closing = "\\]" if opening == "\\[" else opening
    rest = lines[at].text.strip()[len(opening) :]
    if closing in rest:
        return at + 1
    end = _closed_by(lines, at, re.compile(rf".*{re.escape(closing)}\s*$"))
    closed = lines[end - 1].text.rstrip().endswith(closing) and end > at + 1
    # One that is never closed ends with its paragraph.
    return end if closed else _while(lines, at + 1, str.strip)


def _html_end(lines: Sequence[_Line], at: int) -> int:
    for end in range(at, len(lines)):
        if _TABLE_END.search(lines[end].text):
            return end + 1
        if end > at and _ATX.match(lines[end].text):
            return end
    return _while(lines, at + 1, str.strip)


def _while(lines: Sequence[_Line], at: int, belongs: Callable[[str], object]) -> int:
    while at < len(lines) and lines[at].text.strip() and belongs(lines[at].text):
        at += 1
    return at


def _trimmed(text: str, kind: BlockKind, start: int, stop: int) -> Iterator[_Part]:
    body = text[start:stop]
    start += len(body) - len(body.lstrip())
    stop -= len(body) - len(body.rstrip())
    level = 0
    if kind is BlockKind.HEADING:
        level = _heading_level(text[start:stop])
        kind = BlockKind.TITLE if level == 1 else kind
        level = max(level - 1, 1)
    elif kind is BlockKind.LIST_ITEM:
        level = 1 + (len(body) - len(body.lstrip())) // 2
    table = _TABLE.search(text, start, stop) if kind is not BlockKind.CODE else None
    if table and table.start() > start:
        yield _Part(kind, start, start + len(text[start : table.start()].rstrip()), level)
        yield from _shifted(text, table.start(), stop)
    elif stop > start:
        yield _Part(kind, start, stop, level)


def _shifted(text: str, start: int, stop: int) -> Iterator[_Part]:
    """The blocks of a part of the text."""
    for part in _parts(text[start:stop]):
        yield replace(part, start=part.start + start, end=part.end + start)


def _tables(text: str, start: int, stop: int) -> Iterator[_Part]:
    body = text[start:stop]
    start += len(body) - len(body.lstrip())
    stop -= len(body) - len(body.rstrip())
    body = text[start:stop]
    placed = place_table(body) if _TABLE.match(body) else place_pipe_table(body)
    kind = BlockKind.TABLE if placed else BlockKind.TEXT
    yield _Part(kind, start, stop, header_rows=placed.grid.header_rows if placed else 0)


def _heading_level(body: str) -> int:
    if marks := _ATX.match(body):
        return len(marks[1])
    return 1 if body.rstrip().endswith("=") else 2
