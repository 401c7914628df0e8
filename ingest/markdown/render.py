"""Renders blocks as *the* Markdown of a page, to which all offsets of blocks and chunks refer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.records import Block, BlockKind, Box, ParsedPage, TextSource
from .tables import col_edges, render_table, row_edges

__all__ = [
    "COMMENT_MARK",
    "FURNITURE",
    "BlockSpan",
    "PageMarkdown",
    "block_markdown",
    "page_markdown",
]

FURNITURE = frozenset({BlockKind.PAGE_HEADER, BlockKind.PAGE_FOOTER})
"""Kinds of lines that an engine takes for running heads and page numbers. Whether they are left out
is decided by comparing pages."""

COMMENT_MARK = "> [!NOTE]"
"""The line above a comment, as GitHub's Markdown marks notes."""

_BULLET = re.compile(r"^[•◦▪▫‣⁃·●○■□–—*\-]\s+")
_ENUMERATOR = re.compile(r"^(?:\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+")
# Markdown syntax at the start of a line, to be escaped in plain text.
_LINE_SYNTAX = re.compile(r"^(#{1,6}\s|>|```|~~~|\|)")


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """A block and its range in the page's Markdown.

    ``start`` and ``end`` are character offsets. ``index`` is the block's position in
    :attr:`ParsedPage.blocks`. ``level`` is the depth of a heading or list item. ``box`` is None
    if the source had no geometry (plain Markdown). ``row_edges`` are the vertical edges of a
    table's rows in fractions of the page, one more than there are rows; empty if unknown.
    ``col_edges`` are the horizontal edges of its columns.
    """

    index: int
    kind: BlockKind
    start: int
    end: int
    level: int = 0
    box: Box | None = None
    header_rows: int = 0
    row_edges: tuple[float, ...] = ()
    col_edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PageMarkdown:
    """A page as Markdown, with the range of each block.

    ``index`` is 0-based, ``label`` is the printed page number. ``furniture`` has the running
    heads and page numbers that are left out of the text, or only of the chunks.
    """

    index: int
    label: str
    text: str
    blocks: tuple[BlockSpan, ...]
    furniture: tuple[str, ...] = ()
    engine: str = ""
    flags: tuple[str, ...] = ()

    def layout(self) -> dict[str, Any]:
        """All fields except the text as JSON values, for the metadata of a LlamaIndex Document."""
        return {
            "index": self.index,
            "label": self.label,
            "engine": self.engine,
            "flags": list(self.flags),
            "furniture": list(self.furniture),
            "blocks": [_span_to_json(span) for span in self.blocks],
        }

    @classmethod
    def from_layout(cls, text: str, layout: Mapping[str, Any]) -> PageMarkdown:
        """Rebuild a page from its text and :meth:`layout`.

        Raises:
            KeyError, ValueError, TypeError: :meth:`layout` did not make this mapping, or made
                it for another text.
        """
        blocks = tuple(_span_from_json(item) for item in layout["blocks"])
        if any(not 0 <= b.start <= b.end <= len(text) for b in blocks):
            raise ValueError("block offsets lie outside the text: the text was changed")
        return cls(
            index=int(layout["index"]),
            label=str(layout["label"]),
            text=text,
            blocks=blocks,
            furniture=tuple(layout["furniture"]),
            engine=str(layout["engine"]),
            flags=tuple(layout["flags"]),
        )


def _span_to_json(span: BlockSpan) -> list[Any]:
    box = list(span.box.as_tuple()) if span.box else None
    plain = (span.index, span.kind.value, span.start, span.end, span.level)
    return [*plain, box, span.header_rows, list(span.row_edges), list(span.col_edges)]


def _span_from_json(item: list[Any]) -> BlockSpan:
    index, kind, start, end, level, box, header_rows, row_edges, *others = item
    return BlockSpan(
        index=int(index),
        kind=BlockKind(kind),
        start=int(start),
        end=int(end),
        level=int(level),
        box=Box.clipped(*box) if box else None,
        header_rows=int(header_rows),
        row_edges=tuple(map(float, row_edges)),
        # Documents stored by version 1 have no edges of columns.
        col_edges=tuple(map(float, others[0])) if others else (),
    )


def page_markdown(page: ParsedPage, left_out: Collection[int] = ()) -> PageMarkdown:
    """Write a page's blocks as Markdown, in their order.

    The blocks at the indices ``left_out`` move to :attr:`PageMarkdown.furniture`.
    """
    text = ""
    spans: list[BlockSpan] = []
    furniture: list[str] = []
    for index, block in enumerate(page.blocks):
        if index in left_out:
            furniture.append(block_markdown(block))
            continue
        in_list = spans and spans[-1].kind is block.kind is BlockKind.LIST_ITEM
        separator = ("\n" if in_list else "\n\n") if text else ""
        span, written = _render_block(index, block, len(text) + len(separator))
        if written:
            text += separator + written
            spans.append(span)
        elif block.kind is BlockKind.FIGURE:
            # No text, but a box that the caption's chunk can cite.
            spans.append(BlockSpan(index, block.kind, len(text), len(text), box=block.box))
    return PageMarkdown(
        index=page.ref.index,
        label=page.ref.label,
        text=text,
        blocks=tuple(spans),
        furniture=tuple(furniture),
        engine=page.engine,
        flags=page.flags,
    )


def block_markdown(block: Block) -> str:
    """One block as Markdown, without the page around it."""
    return _render_block(0, block, 0)[1]


def _render_block(index: int, block: Block, offset: int) -> tuple[BlockSpan, str]:
    table = block.table
    text = render_table(table) if table else _RENDERERS.get(block.kind, _plain)(block)
    span = BlockSpan(index, block.kind, offset, offset + len(text), box=block.box)
    if table:
        return replace(
            span,
            header_rows=table.header_rows,
            row_edges=row_edges(table),
            col_edges=col_edges(table),
        ), text
    return replace(span, level=block.level), text


def _plain(block: Block) -> str:
    text = block.text.strip()
    return "\n".join(_LINE_SYNTAX.sub(r"\\\1", line) for line in text.split("\n"))


def _heading(block: Block) -> str:
    # Only the title is a first-level heading in Markdown; level 1 comes below it.
    depth = 1 if block.kind is BlockKind.TITLE else min(max(block.level, 1) + 1, 6)
    text = " ".join(block.text.split())
    return f"{'#' * depth} {text}" if text else ""


def _list_item(block: Block) -> str:
    text = " ".join(block.text.split())
    if not text:
        return ""
    indent = "  " * (max(block.level, 1) - 1)
    if _ENUMERATOR.match(text):
        return indent + text
    return f"{indent}- {_BULLET.sub('', text, count=1)}"


def _code(block: Block) -> str:
    text = block.text.strip("\n")
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _formula(block: Block) -> str:
    text = block.text.strip()
    if block.source is not TextSource.MODEL or not text or text.startswith(("$$", "\\[")):
        return text  # formulas from a text layer are Unicode, not LaTeX
    return f"$$\n{text}\n$$"


def _comment(block: Block) -> str:
    text = " ".join(block.text.split())
    return f"{COMMENT_MARK}\n> {text}" if text else ""


_RENDERERS: dict[BlockKind, Callable[[Block], str]] = {
    BlockKind.TITLE: _heading,
    BlockKind.HEADING: _heading,
    BlockKind.LIST_ITEM: _list_item,
    BlockKind.CODE: _code,
    BlockKind.FORMULA: _formula,
    BlockKind.COMMENT: _comment,
}
