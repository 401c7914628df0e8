"""Builds blocks from regions and their words: kind, text, nesting of lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...core.records import Block, BlockKind, Box, TextSource
from .assign import UNASSIGNED
from .geometry import Rect, area, centre_inside, union
from .grids import fill_grid
from .headings import OutlineEntry, body_size, heading_level
from .regions import Region
from .text import Row, code_text, rows_of, running_text
from .text_layer.words import LayoutWord

__all__ = [
    "PageContext",
    "build_blocks",
    "is_typewritten",
    "lettered_pictures",
    "list_levels",
]

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
_MAY_BE_EMPTY: Final = frozenset({BlockKind.FIGURE, BlockKind.FORMULA})
_MARKER = re.compile(r"^(?:[•◦▪▫‣⁃●○■□➢✓\uf0b7\uf0a7\uf0d8\uf0fc]|[-–—*]\s|\(?\d{1,3}[.)]\s)")
_MAY_BE_CODE: Final = frozenset({BlockKind.TEXT, BlockKind.FORMULA})
"""The model takes short code for a formula; formulas have no fixed-width font."""
_CODE_SIGNS = re.compile(r"[{}()\[\];=<>_#/\\]")
_MIN_CODE_SIGNS: Final = 0.05  # share of the characters
_BODY: Final = 1.05  # times the body size, up to which text is not larger than body text
_HEADINGS: Final = frozenset({BlockKind.TITLE, BlockKind.HEADING})
_SCAN: Final = 0.5
"""Share of the page's area above which a picture is the page itself, with its headings."""
_AT_PICTURE: Final = 10.0  # points around a picture, in which its lettering may stand
_MONO_PAGE: Final = 0.8
"""Above this share of fixed-width letters, the page is typewritten and the font proves nothing."""


@dataclass(frozen=True, slots=True)
class PageContext:
    """Facts about a page that its blocks depend on.

    Attributes:
        known: words of the page (see :func:`.text.vocabulary`).
        body: font size of body text, in points.
        typewritten: see :func:`is_typewritten`.
        rtl: most letters are written from right to left.
        outline: entries of the document's outline for this page.
        to_box: converts points of the upright page to fractions of the page as displayed.
        pictures: see :func:`lettered_pictures`.
    """

    known: frozenset[str]
    body: float
    typewritten: bool
    rtl: bool
    outline: Sequence[OutlineEntry]
    to_box: Callable[[Rect], Box]
    pictures: Sequence[Rect] = ()


@dataclass(frozen=True, slots=True)
class _Draft:
    """A block before list levels are known, with its rectangle and font size in points."""

    block: Block
    rect: Rect
    size: float


def build_blocks(
    regions: Sequence[Region], contents: Sequence[Sequence[LayoutWord]], page: PageContext
) -> tuple[Block, ...]:
    """Build the blocks of a page from its regions in reading order and the words of each."""
    drafts = [d for r, w in zip(regions, contents, strict=True) for d in _drafts(r, w, page)]
    indents = [-d.rect[2] if page.rtl else d.rect[0] for d in drafts]
    are_items = [d.block.kind is BlockKind.LIST_ITEM for d in drafts]
    levels = list_levels(list(zip(indents, [d.size for d in drafts], are_items, strict=True)))
    return tuple(
        replace(d.block, level=level) if level else d.block
        for d, level in zip(drafts, levels, strict=True)
    )


def is_typewritten(words: Sequence[LayoutWord]) -> bool:
    """Whether most letters have a fixed width: the font then does not prove that text is code."""
    letters = sum(len(w.text) for w in words)
    return sum(len(w.text) for w in words if w.mono) > _MONO_PAGE * letters


def lettered_pictures(
    regions: Sequence[Region], images: Sequence[Rect], words: Sequence[LayoutWord], page: Rect
) -> tuple[Rect, ...]:
    """Find the pictures whose words are not text of the page, such as logos.

    None on a page without a text layer: its pictures may be parts of a scan.
    """
    if not any(word.source is TextSource.TEXT_LAYER for word in words):
        return ()
    found = [region.rect for region in regions if region.label == "picture"]
    return tuple(rect for rect in (*found, *images) if area(rect) < _SCAN * area(page))


def list_levels(items: Sequence[tuple[float, float, bool]]) -> list[int]:
    """Return the nesting depth of each block: 1-based for list items, 0 for all others.

    Args:
        items: for each block, indent and font size in points, and whether it is a list item.
    """
    levels: list[int] = []
    stack: list[float] = []
    for indent, size, is_item in items:
        if not is_item:
            stack = []
            levels.append(0)
            continue
        step = 0.8 * size
        while stack and indent < stack[-1] - step:
            stack.pop()
        if not stack or step < indent - stack[-1] < 8 * size:
            stack.append(indent)
        elif indent - stack[-1] >= 8 * size:  # far more than a level of nesting: the next column
            stack = [indent]
        levels.append(len(stack))
    return levels


def _drafts(region: Region, words: Sequence[LayoutWord], page: PageContext) -> list[_Draft]:
    kind = _KINDS.get(region.label, BlockKind.OTHER)
    block = Block(kind, page.to_box(region.rect), source=TextSource.NONE, raw_kind=region.label)
    if not words:
        return [_Draft(block, region.rect, 0.0)] if kind in _MAY_BE_EMPTY else []
    if region.grid is not None and region.grid.slots:
        grid = fill_grid(region.grid, words, page.to_box, page.known)
        return [_Draft(replace(block, table=grid, source=_source(words)), region.rect, 0.0)]
    rows = rows_of(words)
    if kind is BlockKind.TABLE:  # a single column, such as a table of contents or a list of names
        return _text_drafts(region, BlockKind.TEXT, [[row] for row in rows], page)
    if kind in _HEADINGS and _is_lettering(words, page):
        kind = BlockKind.FIGURE
    if kind is BlockKind.HEADING and _is_sentence_end(words, page):
        kind = BlockKind.TEXT
    return _text_drafts(region, kind, _items(rows) if kind is BlockKind.LIST_ITEM else [rows], page)


def _text_drafts(
    region: Region, kind: BlockKind, groups: Sequence[Sequence[Row]], page: PageContext
) -> list[_Draft]:
    drafts = []
    for rows in groups:
        words = [w for row in rows for w in row.words]
        kind_here = BlockKind.CODE if _is_code(kind, words, page) else kind
        text = _text(kind_here, rows, page)
        if not text and kind not in _MAY_BE_EMPTY:
            continue
        rect = union(row.rect for row in rows)
        if kind_here in _MAY_BE_EMPTY:
            rect = union((rect, region.rect))
        level = _level(kind_here, text, words, page)
        source, box = _source(words), page.to_box(rect)
        block = Block(kind_here, box, text, level, source=source, raw_kind=region.label)
        drafts.append(_Draft(block, rect, body_size(words)))
    return drafts


def _is_sentence_end(words: Sequence[LayoutWord], page: PageContext) -> bool:
    """Whether the model took the last line of a paragraph, atop a column, for a heading."""
    if not words[-1].text.endswith((".", "。")):
        return False
    plain = max(w.size for w in words) <= _BODY * page.body and not any(w.bold for w in words)
    return plain and not _MARKER.match(words[0].text + " ")


def _is_lettering(words: Sequence[LayoutWord], page: PageContext) -> bool:
    """Whether OCR read all words in or beside a picture. A logo is not a heading."""
    if not page.pictures or any(word.source is not TextSource.OCR for word in words):
        return False
    rect = union(word.rect for word in words)
    return any(centre_inside(rect, picture, _AT_PICTURE) for picture in page.pictures)


def _text(kind: BlockKind, rows: Sequence[Row], page: PageContext) -> str:
    if kind is BlockKind.CODE:
        return code_text(rows)
    if kind is BlockKind.FIGURE:  # labels in a figure are not running text
        return "\n".join(filter(None, (running_text([row]) for row in rows)))
    return running_text(rows, page.known)


def _items(rows: Sequence[Row]) -> list[list[Row]]:
    """Split a region with several list items at their bullets or numbers."""
    groups: list[list[Row]] = []
    marked = _MARKER.match(rows[0].text)
    for row in rows:
        if not groups or (marked and _MARKER.match(row.text)):
            groups.append([])
        groups[-1].append(row)
    return groups


def _is_code(kind: BlockKind, words: Sequence[LayoutWord], page: PageContext) -> bool:
    if kind not in _MAY_BE_CODE or not all(w.mono for w in words):
        return False
    text = "".join(w.text for w in words)
    return not page.typewritten or len(_CODE_SIGNS.findall(text)) > _MIN_CODE_SIGNS * len(text)


def _level(kind: BlockKind, text: str, words: Sequence[LayoutWord], page: PageContext) -> int:
    if kind is BlockKind.TITLE:
        return 1
    if kind is not BlockKind.HEADING:
        return 0
    return heading_level(text, max(w.size for w in words), page.body, page.outline)


def _source(words: Sequence[LayoutWord]) -> TextSource:
    read = sum(w.source is TextSource.OCR for w in words)
    return TextSource.OCR if 2 * read > len(words) else TextSource.TEXT_LAYER
