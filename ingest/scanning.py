"""Markdown that came without a layout: which blocks there are, and where. Pure.

Reads what other readers and models write: ATX and underlined headings, fences, lists, pipe and
HTML tables (also in the middle of a paragraph, or cut off), display formulas, images and
footnotes. It is no full Markdown parser: what it does not know is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
_TABLE_TAG: Final = re.compile(
    r"<(/?)table\b[^<>]*>?|^ {0,3}#{1,6}\s", re.IGNORECASE | re.MULTILINE
)
_TABLE_PART: Final = re.compile(r"\s*</?t(?:able|head|body|foot|[rhd])\b", re.IGNORECASE)
_TITLE: Final = re.compile(
    r"<table\b[^<>]*>\s*<caption\b[^<>]*>(.{1,2000}?)</caption\s*>", re.IGNORECASE | re.DOTALL
)


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
        for p in _Scanner(text).parts()
    ]
    return PageMarkdown(index, label, text, tuple(spans))


class _Scanner:
    """Goes through a text once; what would need a look ahead is looked up before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = list(_lines(text))
        self.table_ends = _table_ends(text)
        self.unclosed: set[str] = set()  # formula delimiters with no further closing one

    def parts(self) -> Iterator[_Part]:
        """The blocks, in order."""
        at = 0
        while at < len(self.lines):
            if not self.lines[at].text.strip():
                at += 1
                continue
            end, kind = self._block_end(at)
            start, stop = self.lines[at].start, self.lines[end - 1].end
            if kind is BlockKind.TABLE and not _TABLE.match(self.lines[at].text.lstrip()):
                yield from _table(self.text, start, stop)
            elif kind in (BlockKind.CODE, BlockKind.FORMULA):
                yield _Part(kind, *_strip(self.text, start, stop))
            else:
                yield from self._with_tables(kind, start, stop)
            at = end

    def _block_end(self, at: int) -> tuple[int, BlockKind]:
        """The line behind the block that begins at a line, and what it is."""
        line = self.lines[at].text
        if fence := _FENCE.match(line):
            closing = re.compile(rf"\s*{fence[1]}{fence[1][0]}*\s*$")
            return self._closed_by(at, closing) or len(self.lines), BlockKind.CODE
        if math := _MATH.match(line):
            return self._math_end(at, math[1]), BlockKind.FORMULA
        if _TABLE.match(line.lstrip()):
            return self._html_end(at), BlockKind.TABLE
        if _ATX.match(line):
            return at + 1, BlockKind.HEADING
        if self._is_pipe_table(at):
            return self._while(at + 2, lambda other: "|" in other), BlockKind.TABLE
        if _IMAGE.match(line):
            return at + 1, BlockKind.FIGURE
        return self._paragraph_end(at, _paragraph_kind(line))

    def _paragraph_end(self, at: int, kind: BlockKind) -> tuple[int, BlockKind]:
        end = at + 1
        while end < len(self.lines) and self.lines[end].text.strip() and not self._interrupts(end):
            underlined = end == at + 1 and _UNDERLINE.match(self.lines[end].text)
            if kind is BlockKind.TEXT and underlined:
                return end + 1, BlockKind.HEADING
            end += 1
        return end, kind

    def _interrupts(self, at: int) -> bool:
        """Whether a line begins a new block although no empty line is above it."""
        line = self.lines[at].text
        starts = (_FENCE, _ATX, _ITEM, _FOOTNOTE, _MATH, _IMAGE)
        if any(pattern.match(line) for pattern in starts) or _TABLE.match(line.lstrip()):
            return True
        return self._is_pipe_table(at)

    def _is_pipe_table(self, at: int) -> bool:
        below = self.lines[at + 1].text if at + 1 < len(self.lines) else ""
        return "|" in self.lines[at].text and is_pipe_rule(below)

    def _closed_by(self, at: int, closing: re.Pattern[str]) -> int | None:
        for end in range(at + 1, len(self.lines)):
            if closing.match(self.lines[end].text):
                return end + 1
        return None

    def _math_end(self, at: int, opening: str) -> int:
        closing = "\\]" if opening == "\\[" else opening
        if closing in self.lines[at].text.strip()[len(opening) :]:
            return at + 1
        end = None
        if opening not in self.unclosed:
            end = self._closed_by(at, re.compile(rf".*{re.escape(closing)}\s*$"))
        if end is None:
            self.unclosed.add(opening)
        # One that is never closed ends with its paragraph.
        return end or self._while(at + 1, str.strip)

    def _html_end(self, at: int) -> int:
        line = self.lines[at]
        close = self.table_ends.get(line.start + line.text.index("<"))
        end = at + 1
        if close is not None:
            while self.lines[end - 1].end < close:
                end += 1
            return end
        # One that was cut off ends with its last tag or the paragraph behind it.
        while end < len(self.lines):
            text = self.lines[end].text
            below = self.lines[end + 1].text if end + 1 < len(self.lines) else ""
            if _TABLE.match(text.lstrip()) or not (text.strip() or _TABLE_PART.match(below)):
                break
            end += 1
        return end

    def _while(self, at: int, belongs: Callable[[str], object]) -> int:
        while at < len(self.lines) and self.lines[at].text.strip() and belongs(self.lines[at].text):
            at += 1
        return at

    def _with_tables(self, kind: BlockKind, start: int, stop: int) -> Iterator[_Part]:
        """A block, and the HTML tables that stand in its lines."""
        level = 0
        if kind is BlockKind.HEADING:
            level = _heading_level(self.text[start:stop].strip())
            kind = BlockKind.TITLE if level == 1 else kind
            level = max(level - 1, 1)
        elif kind is BlockKind.LIST_ITEM:
            level = 1 + (_strip(self.text, start, stop)[0] - start) // 2
        start, stop = _strip(self.text, start, stop)
        while start < stop:
            table = _TABLE.search(self.text, start, stop)
            tag = table.start() if table else stop
            if tag > start:
                kind = BlockKind.TEXT if kind is BlockKind.TABLE else kind
                yield _Part(kind, *_strip(self.text, start, tag), level)
                end = tag
            else:
                end = min(self.table_ends.get(tag, stop), stop)
                yield from _table(self.text, start, end)
            start, stop = _strip(self.text, end, stop)
            kind, level = BlockKind.TEXT, 0


def _lines(text: str) -> Iterator[_Line]:
    offset = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
        yield _Line(offset, offset + len(body), body)
        offset += len(line)


def _table_ends(text: str) -> dict[int, int]:
    """Where each HTML table that is closed begins and ends; no table goes over a heading."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for tag in _TABLE_TAG.finditer(text):
        if tag[1] is None:
            opened.clear()
        elif not tag[1]:
            opened.append(tag.start())
        elif opened:
            ends[opened.pop()] = tag.end()
    return ends


def _paragraph_kind(line: str) -> BlockKind:
    if _FOOTNOTE.match(line):
        return BlockKind.FOOTNOTE
    return BlockKind.LIST_ITEM if _ITEM.match(line) else BlockKind.TEXT


def _strip(text: str, start: int, stop: int) -> tuple[int, int]:
    """A range without white space at its edges; empty if there is nothing else."""
    body = text[start:stop]
    left = len(body) - len(body.lstrip())
    return start + left, max(start + left, start + len(body.rstrip()))


def _table(text: str, start: int, stop: int) -> Iterator[_Part]:
    start, stop = _strip(text, start, stop)
    title = _TITLE.match(text, start, stop)
    if title and title[1].strip() and place_table(text[title.end() : stop]):
        yield _Part(BlockKind.CAPTION, *_strip(text, *title.span(1)))
        start, stop = _strip(text, title.end(), stop)
    body = text[start:stop]
    placed = place_table(body) if body.startswith("<") else place_pipe_table(body)
    kind = BlockKind.TABLE if placed else BlockKind.TEXT
    yield _Part(kind, start, stop, header_rows=placed.grid.header_rows if placed else 0)


def _heading_level(body: str) -> int:
    if marks := _ATX.match(body):
        return len(marks[1])
    return 1 if body.endswith("=") else 2
