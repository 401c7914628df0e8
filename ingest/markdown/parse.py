"""Parses Markdown without a layout into blocks with offsets. Pure.

Reads the Markdown of other readers and models: ATX and underlined headings, fences, lists, pipe
and HTML tables (also inside a paragraph, or cut off), display formulas, images, footnotes,
comments and front matter. Everything else is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind
from .html_tables import is_wrapping, strip_range, table_ends, table_tag, table_title, tables_in
from .render import COMMENT_MARK, BlockSpan, PageMarkdown
from .table_parsing import is_pipe_rule, locate_table, parse_html_table

__all__ = ["parse_markdown"]

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_FENCE: Final = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)\s*$")
_ITEM: Final = re.compile(r"(\s*)(?:[-*+•◦▪]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
_FOOTNOTE: Final = re.compile(r" {0,3}\[\^[^\]\s]{1,40}\]:\s")
_IMAGE: Final = re.compile(r"\s*(!\[[^\]]*\])\([^)]*\)\s*$")
_MATH: Final = re.compile(r"\s*(\$\$|\\\[)")
_AFTER_MATH: Final = r"[\s.,;:()\d]*$"  # such as an equation number, "(3)"
_BLANK: Final = re.compile(r"\s*$")
_QUOTE: Final = re.compile(r" {0,3}>")
_TABLE_PART: Final = re.compile(r"\s*</?t(?:able|head|body|foot|[rhd])\b", re.IGNORECASE)
_STARTS: Final = (_FENCE, _ATX, _ITEM, _FOOTNOTE, _MATH, _IMAGE, _BLANK)
_LINE_ENDS: Final = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_INSIDE_ITEM: Final = 2  # columns


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int  # without the line break
    text: str

    @property
    def indent(self) -> int:
        """Columns of leading white space."""
        shown = self.text.expandtabs(4)
        return len(shown) - len(shown.lstrip())


@dataclass(frozen=True, slots=True)
class _Part:
    kind: BlockKind
    start: int
    end: int
    level: int = 0
    header_rows: int = 0


def parse_markdown(text: str, index: int = 0, label: str = "1") -> PageMarkdown:
    """Locate the blocks of a page's Markdown. They have no boxes.

    ``level`` is the depth of a heading. For every other kind it is the depth inside a list, or
    0 outside lists. ``index`` is the 0-based page, ``label`` its printed number.
    """
    spans = (
        BlockSpan(number, p.kind, p.start, p.end, p.level, header_rows=p.header_rows)
        for number, p in enumerate(_Parser(text).parts())
    )
    return PageMarkdown(index, label, text, tuple(spans))


class _Parser:
    """Goes through a text once. Lookups that would scan ahead are prepared or remembered."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = list(_lines(text))
        self.table_ends = table_ends(text)
        self.unclosed: dict[str, int] = {}  # by delimiter: not closed before this line
        self.in_list = False

    def parts(self) -> Iterator[_Part]:
        at = self._front_matter_end()
        if at:
            yield _Part(BlockKind.OTHER, *strip_range(self.text, 0, self.lines[at - 1].end))
        while at < len(self.lines):
            if _BLANK.match(self.lines[at].text):
                at += 1
                continue
            end, kind = self._block_end(at)
            level = self._level(kind, self.lines[at])
            self.in_list = level > 0
            yield from self._parts(kind, level, self.lines[at].start, self.lines[end - 1].end)
            at = end

    def _level(self, kind: BlockKind, line: _Line) -> int:
        """The depth of a block in a list; a block indented below an item belongs to it."""
        if kind is BlockKind.LIST_ITEM:
            return 1 + line.indent // 2
        inside = self.in_list and line.indent >= _INSIDE_ITEM and kind is not BlockKind.HEADING
        return line.indent // 2 if inside else 0

    def _front_matter_end(self) -> int:
        """The position of the line after the front matter; 0 without front matter."""
        if not self.lines or self.lines[0].text.rstrip() != "---":
            return 0
        end, closed = self._find(0, re.compile(r"(?:---|\.\.\.)\s*$"), _BLANK)
        return end if closed else 0

    def _block_end(self, at: int) -> tuple[int, BlockKind]:
        """The position of the line after the block that begins at ``at``, and the block's kind."""
        line = self.lines[at].text
        if fence := _FENCE.match(line):
            closing = re.compile(rf"\s*{fence[1]}{fence[1][0]}*\s*$")
            return self._find(at, closing)[0], BlockKind.CODE
        if (math := _MATH.match(line)) and (end := self._math_end(at, math[1])):
            return end, BlockKind.FORMULA
        if line.lstrip().startswith("<!--") and (end := self._comment_end(at)):
            return end, BlockKind.OTHER
        if table_tag(self.text, self.lines[at].start) is not None:
            return self._html_end(at), BlockKind.TABLE
        if _ATX.match(line):
            return at + 1, BlockKind.HEADING
        if self._is_pipe_table(at):
            return self._while(at + 2, _is_pipe_row), BlockKind.TABLE
        if _IMAGE.match(line):
            return at + 1, BlockKind.FIGURE
        return self._paragraph_end(at, _paragraph_kind(line))

    def _paragraph_end(self, at: int, kind: BlockKind) -> tuple[int, BlockKind]:
        end = at + 1
        while end < len(self.lines):
            if kind is BlockKind.FOOTNOTE and self._goes_on_indented(end):
                end += 2
            elif self._interrupts(end):
                break
            elif (
                kind is BlockKind.TEXT and end == at + 1 and _UNDERLINE.match(self.lines[end].text)
            ):
                return end + 1, BlockKind.HEADING
            else:
                end += 1
        return end, kind

    def _goes_on_indented(self, at: int) -> bool:
        """Whether an empty line is followed by another paragraph of the footnote."""
        if at + 1 >= len(self.lines) or not _BLANK.match(self.lines[at].text):
            return False
        below = self.lines[at + 1]
        return below.indent >= 4 and not _BLANK.match(below.text)

    def _interrupts(self, at: int) -> bool:
        """Whether a line ends the block above it: it is empty or begins another block."""
        line = self.lines[at].text
        return (
            any(pattern.match(line) for pattern in _STARTS)
            or self._is_pipe_table(at)
            or ("<" in line and table_tag(self.text, self.lines[at].start) is not None)
        )

    def _is_pipe_table(self, at: int) -> bool:
        below = self.lines[at + 1].text if at + 1 < len(self.lines) else ""
        return "|" in self.lines[at].text and is_pipe_rule(below)

    def _find(
        self, at: int, closing: re.Pattern[str], barrier: re.Pattern[str] | None = None
    ) -> tuple[int, bool]:
        """Position after the next ``closing`` line and True; at a barrier or the end, and False."""
        for end in range(at + 1, len(self.lines)):
            if closing.match(self.lines[end].text):
                return end + 1, True
            if barrier and barrier.match(self.lines[end].text):
                return end, False
        return len(self.lines), False

    def _math_end(self, at: int, opening: str) -> int | None:
        """The position of the line after a display formula; None if it is only text."""
        closing = "\\]" if opening == "\\[" else opening
        rest = self.lines[at].text.strip()[len(opening) :]
        if closing in rest:
            after = rest.split(closing, 1)[1]
            return at + 1 if re.match(_AFTER_MATH, after) else None
        if at >= self.unclosed.get(opening, 0):
            # A delimiter alone on its line may enclose empty lines, but not a heading.
            end, closed = self._find(
                at, re.compile(rf".*{re.escape(closing)}{_AFTER_MATH}"), _BLANK if rest else _ATX
            )
            if closed:
                return end
            self.unclosed[opening] = end
        # A formula that was cut off ends with its paragraph.
        return None if rest else self._while(at + 1, bool)

    def _comment_end(self, at: int) -> int | None:
        close = self.text.find("-->", self.lines[at].start)
        return None if close < 0 else self._line_after(at, close)

    def _html_end(self, at: int) -> int:
        tag = table_tag(self.text, self.lines[at].start)
        close = self.table_ends.get(tag if tag is not None else -1)
        if close is not None:
            return self._line_after(at, close)
        # A table that was cut off ends with its last tag or the paragraph after it.
        end = at + 1
        while end < len(self.lines):
            line = self.lines[end]
            below = self.lines[end + 1].text if end + 1 < len(self.lines) else ""
            blank = _BLANK.match(line.text) and not _TABLE_PART.match(below)
            if blank or table_tag(self.text, line.start) is not None:
                break
            end += 1
        return end

    def _line_after(self, at: int, offset: int) -> int:
        """The position of the line after the one that holds a text offset."""
        while self.lines[at].end < offset:
            at += 1
        return at + 1

    def _while(self, at: int, belongs: Callable[[str], object]) -> int:
        while at < len(self.lines) and self.lines[at].text.strip() and belongs(self.lines[at].text):
            at += 1
        return at

    def _parts(self, kind: BlockKind, level: int, start: int, stop: int) -> Iterator[_Part]:
        start, stop = strip_range(self.text, start, stop)
        if kind is BlockKind.HEADING:
            level = _heading_level(self.text[start:stop])
            kind, level = BlockKind.TITLE if level == 1 else kind, max(level - 1, 1)
        embedded = _IMAGE.match(self.text[start:stop]) if kind is BlockKind.FIGURE else None
        if embedded and "](data:" in embedded[0]:
            stop = start + embedded.end(1)  # without the encoded picture
        if kind in (BlockKind.CODE, BlockKind.FORMULA, BlockKind.OTHER, BlockKind.FIGURE):
            yield _Part(kind, start, stop, level)
        elif kind is BlockKind.TABLE and self.text[start] != "<":
            yield from _table(self.text, start, stop, level)
        else:
            yield from self._with_tables(kind, level, start, stop)

    def _with_tables(self, kind: BlockKind, level: int, start: int, stop: int) -> Iterator[_Part]:
        """A block and the HTML tables inside its lines."""
        kind = BlockKind.TEXT if kind is BlockKind.TABLE else kind
        for tag in tables_in(self.text, start, stop):
            if tag < start:
                continue  # inside the previous table
            yield from self._text(kind, level, start, tag)
            end = min(self.table_ends.get(tag, stop), stop)
            yield from _table(self.text, tag, end, level)
            kind, start = BlockKind.TEXT, end
        yield from self._text(kind, level, start, stop)

    def _text(self, kind: BlockKind, level: int, start: int, stop: int) -> Iterator[_Part]:
        start, stop = strip_range(self.text, start, stop)
        if stop > start and not is_wrapping(self.text[start:stop]):
            yield _Part(kind, start, stop, level)


def _lines(text: str) -> Iterator[_Line]:
    offset = 0
    for line in text.splitlines(keepends=True):
        # The first line excludes a byte order mark.
        start = offset + int(offset == 0 and line.startswith("\ufeff"))
        body = line[start - offset :].rstrip(_LINE_ENDS)
        yield _Line(start, start + len(body), body)
        offset += len(line)


def _paragraph_kind(line: str) -> BlockKind:
    if _FOOTNOTE.match(line):
        return BlockKind.FOOTNOTE
    if line.strip() == COMMENT_MARK:
        return BlockKind.COMMENT
    return BlockKind.LIST_ITEM if _ITEM.match(line) else BlockKind.TEXT


def _is_pipe_row(line: str) -> bool:
    return "|" in line and not any(p.match(line) for p in (_ATX, _FENCE, _QUOTE))


def _table(text: str, start: int, stop: int, level: int) -> Iterator[_Part]:
    start, stop = strip_range(text, start, stop)
    title = table_title(text, start, stop)
    if title and parse_html_table(text[title[1] : stop]):
        yield _Part(BlockKind.CAPTION, *title[0], level)
        start, stop = strip_range(text, title[1], stop)
    located = locate_table(text[start:stop])
    kind = BlockKind.TABLE if located else BlockKind.TEXT
    yield _Part(kind, start, stop, level, located.grid.header_rows if located else 0)


def _heading_level(body: str) -> int:
    if marks := _ATX.match(body):
        return len(marks[1])
    return 1 if body.endswith("=") else 2
