"""Cuts the content after a marker into headings, paragraphs, list items, tables and so on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ....core.records import BlockKind, TableGrid
from ....markdown.table_parsing import is_pipe_rule, parse_pipe_table

__all__ = [
    "BlockContent",
    "Passage",
    "read_headings",
    "read_prose",
    "split_paragraphs",
    "split_passages",
    "strip_fences",
]

_MARK = re.compile(
    r"(?P<fence>^ {0,3}(?:`{3,}[^\n`]*|~{3,}[^\n]*)$)"
    r"|(?P<table><table\b|<tr\b)|(?P<end></table\s*>)"
    r"|(?P<escaped>\\\\)|(?P<open>\\\[|^[ \t]*\$\$)|(?P<close>\\\]|\$\$)"
    r"|(?P<gap>\n(?:[ \t]*\n)+)",
    re.MULTILINE | re.IGNORECASE,
)
_TABLE_TAG = re.compile(r"</?(?:table|thead|tbody|tr|td|th)\b", re.IGNORECASE)
_GAP = re.compile(r"\n[ \t]*\n")
_HEADING = re.compile(r"[ \t]*(#{1,6})[ \t]+(\S.*)")
_TITLE = re.compile(r"(#{1,6})(?:[ \t]+|$)(.*)", re.MULTILINE)
_ITEM = re.compile(
    r"([ \t]*)"
    r"(?:[-*+·][ \t]+|[•◦▪▫‣⁃●○■□][ \t]*|(\(?[0-9]{1,3}[.)]|\(?[a-z]\))[ \t]+)"
    r"(\S.*)"
)
_FIRST_ITEM = re.compile(r"\(?1[.)]")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the content: prose (``TEXT``), ``CODE``, ``TABLE`` (HTML) or ``FORMULA``.

    ``text`` has no code fences and no formula delimiters.
    """

    kind: BlockKind
    text: str


@dataclass(frozen=True, slots=True)
class BlockContent:
    """A block without the box and the label, which come from its marker."""

    kind: BlockKind
    text: str = ""
    level: int = 0
    table: TableGrid | None = None


def split_passages(text: str) -> list[Passage]:
    r"""Split content at code fences, HTML tables and display formulas (``\[ \]``, ``$$``).

    Unclosed code ends with the content, an unclosed formula with its paragraph, and an unclosed
    table with the paragraph of its last tag.
    """
    splitter = _Splitter(text)
    for mark in _MARK.finditer(text):
        splitter.read(mark)
    return splitter.finish()


class _Splitter:
    """Reads the marks of a text in order, and keeps track of the current passage."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._passages: list[Passage] = []
        self._kind = BlockKind.TEXT
        self._start = 0
        self._closer = ""
        self._depth = 0
        self._gap_end = -1
        self._last_tag = max((tag.end() for tag in _TABLE_TAG.finditer(text)), default=0)

    def read(self, mark: re.Match[str]) -> None:
        if self._kind is BlockKind.CODE:
            self._read_in_code(mark)
        elif self._kind is BlockKind.TABLE:
            self._read_in_table(mark)
        elif self._kind is BlockKind.FORMULA:
            self._read_in_formula(mark)
        else:
            self._read_in_prose(mark)
        if mark.lastgroup == "gap":
            self._gap_end = mark.end()

    def finish(self) -> list[Passage]:
        self._switch(BlockKind.TEXT, len(self._text), len(self._text))
        return self._passages

    def _switch(self, kind: BlockKind, end: int, start: int) -> None:
        """End the current passage at ``end`` and start the next one at ``start``."""
        text = self._text[self._start : end]
        if text.strip():
            text = text.strip("\n") if self._kind is BlockKind.CODE else text.strip()
            self._passages.append(Passage(self._kind, text))
        self._kind, self._start = kind, start

    def _read_in_prose(self, mark: re.Match[str]) -> None:
        group = mark.lastgroup
        if group == "fence":
            fence = mark[0].strip()
            info = fence.lstrip("`~").strip()
            self._closer = fence[: len(fence) - len(fence.lstrip("`~"))]
            # One word after the fence names a language; several words are code.
            kept = len(mark[0].rstrip()) - len(info) if " " in info else len(mark[0])
            self._switch(BlockKind.CODE, mark.start(), mark.start() + kept)
        elif group == "table":
            self._depth = 1
            self._switch(BlockKind.TABLE, mark.start(), mark.start())
        elif group == "open":
            self._closer = "\\]" if mark[0] == "\\[" else "$$"
            self._switch(BlockKind.FORMULA, mark.start(), mark.end())
        elif group == "end":
            self._switch(BlockKind.TEXT, mark.start(), mark.end())

    def _read_in_code(self, mark: re.Match[str]) -> None:
        line = mark[0].strip()
        if mark.lastgroup == "fence" and line.startswith(self._closer) and not line.strip(line[0]):
            self._switch(BlockKind.TEXT, mark.start(), mark.end())

    def _read_in_formula(self, mark: re.Match[str]) -> None:
        if mark[0].strip() == self._closer or mark.lastgroup == "gap":
            self._switch(BlockKind.TEXT, mark.start(), mark.end())
        elif mark.lastgroup in ("fence", "table") or mark[0] == "\\[":
            self._read_in_prose(mark)

    def _read_in_table(self, mark: re.Match[str]) -> None:
        if mark.lastgroup == "table" and mark[0].lower() == "<table":
            if self._gap_end == mark.start():  # after an empty line: a new table, not a nested one
                self._read_in_prose(mark)
            else:
                self._depth += 1
        elif mark.lastgroup == "end":
            self._depth -= 1
            if not self._depth:
                self._switch(BlockKind.TEXT, mark.end(), mark.end())
        elif mark.lastgroup == "gap" and mark.start() >= self._last_tag:
            self._switch(BlockKind.TEXT, mark.start(), mark.end())


def split_paragraphs(text: str) -> list[str]:
    """Split text at empty lines."""
    return [
        "\n".join(line.strip() for line in part.strip().split("\n"))
        for part in _GAP.split(text)
        if part.strip()
    ]


def strip_fences(text: str) -> str:
    """Remove the fences around code."""
    lines = text.strip("\n").split("\n")
    if lines[0].startswith("```") and " " not in lines[0]:
        lines = lines[1:]
    if lines and not lines[-1].strip(" `") and "```" in lines[-1]:
        lines = lines[:-1]
    return "\n".join(lines).strip("\n")


def read_headings(text: str, default: BlockKind) -> list[BlockContent]:
    """Read prose under the label of a heading. The number of ``#`` gives the level.

    The lines of a paragraph form one heading. A first paragraph without ``#`` is of the kind
    ``default``; later ones without it are text.
    """
    blocks: list[BlockContent] = []
    for paragraph in split_paragraphs(text):
        for part in _split_before_headings(paragraph):
            if match := _TITLE.match(part):
                blocks.append(_heading(len(match[1]), match[2] + part[match.end() :]))
            elif blocks or default is BlockKind.TEXT:
                blocks.append(BlockContent(BlockKind.TEXT, part))
            else:
                blocks.append(BlockContent(default, " ".join(part.split()), level=1))
    return [block for block in blocks if block.text]


def _split_before_headings(paragraph: str) -> Iterator[str]:
    part: list[str] = []
    for line in paragraph.split("\n"):
        if part and line.startswith("#"):
            yield "\n".join(part)
            part = []
        part.append(line)
    yield "\n".join(part)


def _heading(depth: int, text: str) -> BlockContent:
    words = " ".join(text.split())
    opened = words.rstrip("#")
    words = opened.rstrip() if opened.endswith(" ") else words
    if depth == 1:
        return BlockContent(BlockKind.TITLE, words, level=1)
    return BlockContent(BlockKind.HEADING, words, level=depth - 1)


def read_prose(text: str) -> list[BlockContent]:
    """Read prose as Markdown: headings, list items, pipe tables and paragraphs."""
    reader = _ProseReader()
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = _pipe_table_end(lines, at)
        if end > at:
            reader.read_pipe_table("\n".join(lines[at:end]))
        else:
            reader.read_line(lines[at])
        at = max(end, at + 1)
    return reader.finish()


def _pipe_table_end(lines: Sequence[str], at: int) -> int:
    if "|" not in lines[at] or at + 1 == len(lines) or not is_pipe_rule(lines[at + 1]):
        return at
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return end


class _ProseReader:
    """Groups lines of prose into blocks."""

    def __init__(self) -> None:
        self._blocks: list[BlockContent] = []
        self._lines: list[str] = []
        self._level = 0  # of the list item being read; 0 in a paragraph
        self._indents: list[int] = []

    def read_line(self, line: str) -> None:
        if not line.strip():
            self._flush()
        elif heading := _HEADING.match(line):
            self._flush()
            self._indents.clear()
            self._blocks.append(_heading(len(heading[1]), heading[2]))
        elif (item := _ITEM.match(line)) and self._may_begin(item[2]):
            self._flush()
            self._level = self._nesting(len(item[1].expandtabs(4)))
            self._lines = [f"{item[2]} {item[3]}" if item[2] else item[3]]
        else:
            if not self._lines:
                self._indents.clear()
            self._lines.append(line.strip())

    def read_pipe_table(self, text: str) -> None:
        """Read the lines of a pipe table. If they do not form a grid, they stay text."""
        self._flush()
        grid = parse_pipe_table(text)
        kind = BlockKind.TABLE if grid else BlockKind.TEXT
        self._blocks.append(BlockContent(kind, "" if grid else text.strip(), table=grid))

    def finish(self) -> list[BlockContent]:
        self._flush()
        return self._blocks

    def _may_begin(self, enumerator: str | None) -> bool:
        """Whether an item can start here. A number that starts a wrapped line is not an item's."""
        in_paragraph = bool(self._lines) and not self._level
        return not (enumerator and in_paragraph) or bool(_FIRST_ITEM.match(enumerator))

    def _nesting(self, indent: int) -> int:
        while self._indents and self._indents[-1] >= indent:
            self._indents.pop()
        self._indents.append(indent)
        return len(self._indents)

    def _flush(self) -> None:
        if self._lines and self._level:
            self._blocks.append(
                BlockContent(BlockKind.LIST_ITEM, " ".join(self._lines), self._level)
            )
        elif self._lines:
            self._blocks.append(BlockContent(BlockKind.TEXT, "\n".join(self._lines)))
        self._lines = []
        self._level = 0
