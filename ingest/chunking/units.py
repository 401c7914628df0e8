"""What belongs together on the pages of a document: the records between flow and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind
from ..markdown.render import BlockSpan
from .table_view import TableView

__all__ = ["CAPTIONED", "Stretch", "Unit"]

CAPTIONED: Final = frozenset({BlockKind.TABLE, BlockKind.FIGURE, BlockKind.CODE})
"""Kinds of blocks that captions explain."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a page's Markdown inside a unit.

    ``page`` is the page's place in the sequence of pages, ``start`` and ``end`` are offsets into
    its Markdown. ``at`` is where the stretch begins in :attr:`Unit.text`; its last characters
    are missing there if they were a hyphen at a page break.
    """

    page: int
    block: BlockSpan
    start: int
    end: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """What a reader takes as one thing: a paragraph, a list item, a table, a heading.

    ``path`` are the headings it stands under, itself included if it is one; ``rank`` is the
    depth of a heading and 0 for all else. ``companion`` is the number of the unit that explains
    it: the caption of a table or figure, the sentence that leads to a list.
    """

    number: int
    kind: BlockKind
    text: str
    stretches: tuple[Stretch, ...]
    path: tuple[str, ...] = ()
    rank: int = 0
    table: TableView | None = None
    companion: int | None = None

    @property
    def page(self) -> int:
        """Place of the page it begins on."""
        return self.stretches[0].page
