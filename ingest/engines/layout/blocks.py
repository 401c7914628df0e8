"""Regions with their words to blocks: kinds, text, list nesting. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...core.records import Block, BlockKind, Box, TextSource
from .assign import UNASSIGNED
from .grids import fill
from .headings import OutlineEntry, body_size, heading_level
from .pieces import Piece, Rect, union
from .regions import Region
from .text import Row, code_text, rows_of, running_text, vocabulary

__all__ = ["PageContext", "build_blocks", "list_levels"]

_KINDS: Final = {
    "title": BlockKind.TITLE,
    "section-header": BlockKind.HEADING,
    "text": BlockKind.TEXT,
    UNASSIGNED: BlockKind.TEXT,
    "list-item": BlockKind.LIST_ITEM,
    "table": BlockKind.TABLE,
    "picture": BlockKind.FIGURE,
    "caption": BlockKind.CAPTION,
    "formula": BlockKind.FORMULA,
    "code": BlockKind.CODE,
    "footnote": BlockKind.FOOTNOTE,
    "page-header": BlockKind.PAGE_HEADER,
    "page-footer": BlockKind.PAGE_FOOTER,
}
_EMPTY_IS_FINE: Final = frozenset({BlockKind.FIGURE, BlockKind.FORMULA})
_LINEWISE: Final = frozenset({BlockKind.FIGURE})
_MARKER = re.compile(r"^(?:[•◦▪▫‣⁃●○■□➢✓\uf0b7\uf0a7\uf0d8\uf0fc]|[-–—*]\s|\(?\d{1,3}[.)]\s)")
_CODE_SIGNS = re.compile(r"[{}()\[\];=<>_#/\\]")
_MIN_CODE_SIGNS: Final = 0.05
_BODY: Final = 1.05
_MONO_PAGE: Final = 0.8
"""Above this share of fixed-width letters the page is typewritten and the font says nothing."""


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a block needs to know of its page.

    ``to_box`` turns points of the upright page into fractions of the page as displayed.
    """

    known: frozenset[str]
    body: float
    typewritten: bool
    rtl: bool
    outline: tuple[OutlineEntry, ...]
    to_box: Callable[[Rect], Box]

    @classmethod
    def of(
        cls,
        pieces: Sequence[Piece],
        rtl: bool,
        outline: tuple[OutlineEntry, ...],
        to_box: Callable[[Rect], Box],
    ) -> PageContext:
        """Collect it from the words of the page."""
        letters = sum(len(p.text) for p in pieces)
        mono = sum(len(p.text) for p in pieces if p.mono)
        return cls(
            known=vocabulary(pieces),
            body=body_size(pieces),
            typewritten=mono > _MONO_PAGE * letters,
            rtl=rtl,
            outline=outline,
            to_box=to_box,
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A block and where it stands, before list levels are known."""

    block: Block
    rect: Rect
    size: float


def build_blocks(
    regions: Sequence[Region], dealt: Sequence[Sequence[Piece]], page: PageContext
) -> tuple[Block, ...]:
    """Make the blocks of a page. ``regions`` are in reading order, ``dealt`` their words."""
    drafts = [
        draft
        for region, pieces in zip(regions, dealt, strict=True)
        for draft in _drafts(region, pieces, page)
    ]
    levels = list_levels(
        [(_indent(d.rect, page.rtl), d.size, d.block.kind is BlockKind.LIST_ITEM) for d in drafts]
    )
    return tuple(
        replace(d.block, level=level) if level else d.block
        for d, level in zip(drafts, levels, strict=True)
    )


def list_levels(items: Sequence[tuple[float, float, bool]]) -> list[int]:
    """Nesting of list items, 1-based, 0 for what is none.

    Args:
        items: indent and font size in points, and whether it is a list item.
    """
    levels: list[int] = []
    stack: list[float] = []
    for indent, size, is_item in items:
        if not is_item:
            stack = []
            levels.append(0)
            continue
        step = 0.8 * size
        # A jump to the left by far more than a nesting is the next column.
        while stack and indent < stack[-1] - step:
            stack.pop()
        if not stack or step < indent - stack[-1] < 8 * size:
            stack.append(indent)
        elif indent - stack[-1] >= 8 * size:
            stack = [indent]
        levels.append(len(stack))
    return levels


def _drafts(region: Region, pieces: Sequence[Piece], page: PageContext) -> list[_Draft]:
    kind = _KINDS.get(region.label, BlockKind.OTHER)
    if kind is BlockKind.HEADING and _is_sentence_end(pieces, page):
        kind = BlockKind.TEXT
    if not pieces:
        empty = Block(kind, page.to_box(region.rect), source=TextSource.NONE, raw_kind=region.label)
        return [_Draft(empty, region.rect, 0.0)] if kind in _EMPTY_IS_FINE else []
    if region.grid is not None and region.grid.slots:
        grid = fill(region.grid, pieces, page.to_box, page.known)
        block = Block(kind, page.to_box(region.rect), table=grid, raw_kind=region.label)
        return [_Draft(replace(block, source=_source(pieces)), region.rect, 0.0)]
    if kind is BlockKind.TABLE:  # one column: a table of contents, a list of names
        kind = BlockKind.TEXT
        return _text_drafts(region, kind, [[r] for r in rows_of(pieces)], page)
    rows = rows_of(pieces)
    return _text_drafts(region, kind, _items(rows) if kind is BlockKind.LIST_ITEM else [rows], page)


def _text_drafts(
    region: Region, kind: BlockKind, groups: Sequence[Sequence[Row]], page: PageContext
) -> list[_Draft]:
    drafts = []
    for rows in groups:
        pieces = [p for row in rows for p in row.pieces]
        kind_here = BlockKind.CODE if _is_code(kind, pieces, page) else kind
        text = _text(kind_here, rows, page)
        if not text and kind not in _EMPTY_IS_FINE:
            continue
        rect = union(row.rect for row in rows)
        if kind_here in _EMPTY_IS_FINE:
            rect = union((rect, region.rect))
        block = Block(
            kind=kind_here,
            box=page.to_box(rect),
            text=text,
            level=_level(kind_here, text, pieces, page),
            source=_source(pieces),
            raw_kind=region.label,
        )
        drafts.append(_Draft(block, rect, body_size(pieces)))
    return drafts


def _is_sentence_end(pieces: Sequence[Piece], page: PageContext) -> bool:
    """The last line of a paragraph at the top of a column, which the model takes for a heading."""
    if not pieces or not pieces[-1].text.endswith((".", "。")):
        return False
    plain = max(p.size for p in pieces) <= _BODY * page.body and not any(p.bold for p in pieces)
    return plain and not _MARKER.match(pieces[0].text + " ")


def _text(kind: BlockKind, rows: Sequence[Row], page: PageContext) -> str:
    if kind is BlockKind.CODE:
        return code_text(rows)
    if kind in _LINEWISE:
        return "\n".join(filter(None, (running_text([row]) for row in rows)))
    return running_text(rows, page.known)


def _items(rows: Sequence[Row]) -> list[list[Row]]:
    """Part a region that holds several list items at their markers."""
    groups: list[list[Row]] = []
    marked = bool(rows) and bool(_MARKER.match(rows[0].text))
    for row in rows:
        if not groups or (marked and _MARKER.match(row.text)):
            groups.append([])
        groups[-1].append(row)
    return groups


def _is_code(kind: BlockKind, pieces: Sequence[Piece], page: PageContext) -> bool:
    if kind is not BlockKind.TEXT or not all(p.mono for p in pieces):
        return False
    text = "".join(p.text for p in pieces)
    return not page.typewritten or len(_CODE_SIGNS.findall(text)) > _MIN_CODE_SIGNS * len(text)


def _level(kind: BlockKind, text: str, pieces: Sequence[Piece], page: PageContext) -> int:
    if kind is BlockKind.TITLE:
        return 1
    if kind is not BlockKind.HEADING:
        return 0
    return heading_level(text, max(p.size for p in pieces), page.body, page.outline)


def _source(pieces: Sequence[Piece]) -> TextSource:
    read = sum(p.source is TextSource.OCR for p in pieces)
    return TextSource.OCR if 2 * read > len(pieces) else TextSource.TEXT_LAYER


def _indent(rect: Rect, rtl: bool) -> float:
    return -rect[2] if rtl else rect[0]
