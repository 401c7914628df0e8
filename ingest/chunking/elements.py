"""The records between pages and chunks. A ``page`` is a position in the sequence of pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind, Box
from ..markdown.render import BlockSpan
from .table_view import TableView

__all__ = ["CAPTIONED", "Element", "Fragment", "Provenance"]

CAPTIONED: Final = frozenset({BlockKind.TABLE, BlockKind.FIGURE, BlockKind.CODE})
"""Kinds of elements that may have a caption."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of an element on one page.

    ``start`` and ``end`` are offsets into the page's Markdown, ``at`` is the fragment's offset in
    :attr:`Element.text`. That text lacks the fragment's last hyphen if it is at a page break.
    """

    page: int
    block: BlockSpan
    start: int
    end: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Element:
    """A paragraph, list item, table, heading …; one that page breaks split has several fragments.

    ``path`` lists the headings above the element, and the element itself if it is a heading.
    ``rank`` is the depth of a heading, 0 for all other kinds. ``introduced_by`` is the number of
    its caption, of its parent list item, or of the sentence that leads to its list.
    """

    number: int
    kind: BlockKind
    text: str
    fragments: tuple[Fragment, ...]
    path: tuple[str, ...] = ()
    rank: int = 0
    table: TableView | None = None
    introduced_by: int | None = None

    @property
    def page(self) -> int:
        """The page on which the element begins."""
        return self.fragments[0].page


@dataclass(frozen=True, slots=True)
class Provenance:
    """The part of one block from which a piece of an element was cut.

    ``block`` is the block's index on the page, ``ranges`` are character offsets into the page's
    Markdown. ``exact`` is False if ``box`` was interpolated or encloses more than the part.
    """

    page: int
    block: int
    ranges: tuple[tuple[int, int], ...]
    box: Box | None
    exact: bool
