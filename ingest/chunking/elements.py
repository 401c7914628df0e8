"""The records between the pages and their chunks: elements, their fragments and provenance."""

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

    ``page`` is the page's position in the sequence of pages. ``start`` and ``end`` are offsets
    into its Markdown. ``at`` is the offset in :attr:`Element.text` at which the fragment begins.
    The element's text lacks the fragment's last character if that is a hyphen at a page break.
    """

    page: int
    block: BlockSpan
    start: int
    end: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Element:
    """One logical element of a document: a paragraph, a list item, a table, a heading.

    A block that a page break splits is one element of two fragments. ``path`` lists the
    headings above the element, and the element itself if it is a heading. ``rank`` is the depth
    of a heading, 0 for all other kinds. ``introduced_by`` is the number of the element that
    introduces this one: the caption of a table or figure, the sentence that leads to a list.
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
        """Position of the page on which the element begins."""
        return self.fragments[0].page


@dataclass(frozen=True, slots=True)
class Provenance:
    """The part of one block from which a piece of an element was cut.

    ``page`` is the page's position in the sequence of pages, ``block`` the block's index on it.
    ``ranges`` are character offsets into the page's Markdown. ``box`` encloses the part;
    ``exact`` is False if the box was interpolated or encloses more than the part.
    """

    page: int
    block: int
    ranges: tuple[tuple[int, int], ...]
    box: Box | None
    exact: bool
