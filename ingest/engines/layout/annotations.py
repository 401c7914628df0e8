"""Reads the annotations of a page: comments, stamps, struck-out words and links.

A stamp is a drawing over the page. Its words are taken out of the page's text, because they would
read as a heading, and become a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final
from urllib.parse import quote

import pymupdf

from ...core.records import Block, BlockKind, Box, TextSource
from .geometry import Rect, centre_inside, union
from .text_layer.words import LayoutWord
from .upright import turned_rect

__all__ = [
    "Annotations",
    "Link",
    "Note",
    "marked",
    "read_annotations",
    "read_links",
    "with_notes",
]

_STRUCK: Final = pymupdf.PDF_ANNOT_STRIKE_OUT
_STAMP: Final = pymupdf.PDF_ANNOT_STAMP
_MARKUP: Final = frozenset(
    {
        pymupdf.PDF_ANNOT_HIGHLIGHT,
        pymupdf.PDF_ANNOT_UNDERLINE,
        pymupdf.PDF_ANNOT_SQUIGGLY,
        pymupdf.PDF_ANNOT_STRIKE_OUT,
    }
)
_DRAWN: Final = frozenset({pymupdf.PDF_ANNOT_FREE_TEXT})
"""Their text is drawn on the page, where its readers see it: it is text of the page."""
_UNSEEN: Final = pymupdf.PDF_ANNOT_IS_HIDDEN | pymupdf.PDF_ANNOT_IS_NO_VIEW
_WEB: Final = re.compile(r"(?:https?|ftp)://\S|mailto:\S", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"[\[\]]")
_PUNCTUATION: Final = ".,;:!?)\u201d\u2019"
_BEYOND: Final = 1.0  # points; a comma is wider
_SAFE: Final = "/:?#@!$&'*+,;=%~[]"
"""Characters of a URI that stay; brackets and spaces would end a Markdown link."""


@dataclass(frozen=True, slots=True)
class Note:
    """A comment, or the text of a stamp. ``rect`` is in points of the page, origin top left."""

    rect: Rect
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """The area of a link, in points, and its URI."""

    rect: Rect
    uri: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of a page.

    Attributes:
        notes: comments and stamps.
        struck: areas of struck-out words.
        stamped: words that stamps draw, each with its area.
        links: links to the web.
    """

    notes: tuple[Note, ...] = ()
    struck: tuple[Rect, ...] = ()
    stamped: tuple[tuple[str, Rect], ...] = ()
    links: tuple[Link, ...] = ()


def read_annotations(page: pymupdf.Page) -> Annotations:
    """Read the visible annotations of a page, without its links. Costs nothing without any."""
    if page.first_annot is None:
        return Annotations()
    notes: list[Note] = []
    struck: list[Rect] = []
    stamped: list[tuple[str, Rect]] = []
    for annotation in page.annots():
        kind = annotation.type[0]
        if annotation.flags & _UNSEEN or kind in _DRAWN:
            continue
        text = " ".join((annotation.info.get("content") or "").split())
        if kind == _STRUCK:
            struck += _areas(annotation)
        if kind == _STAMP:
            words = [(word[4], tuple(word[:4])) for word in annotation.get_text("words")]
            stamped += words
            text = " ".join(word for word, _ in words) or text
        if text:
            areas = _areas(annotation) if kind in _MARKUP else [tuple(annotation.rect)]
            notes.append(Note(union(areas or [tuple(annotation.rect)]), text))
    return Annotations(tuple(notes), tuple(struck), tuple(stamped))


def _areas(annotation: pymupdf.Annot) -> list[Rect]:
    """The areas of marked words, one a line."""
    points = annotation.vertices or []
    quads = (points[n : n + 4] for n in range(0, len(points) - 3, 4))
    return [union((x, y, x, y) for x, y in quad) for quad in quads]


def read_links(page: pymupdf.Page, turn: int = 0) -> tuple[Link, ...]:
    """Read the links to the web of a page as displayed.

    Their areas are those on the page turned clockwise by quarter turns. The links of a turned copy
    would not do: MuPDF does not turn them with it.
    """
    if page.first_link is None:
        return ()
    found = ((tuple(link["from"]), link.get("uri") or "") for link in page.get_links())
    size = (page.rect.width, page.rect.height)
    return tuple(
        Link(turned_rect(rect, size, turn), quote(uri.strip(), safe=_SAFE))
        for rect, uri in found
        if _WEB.match(uri)
    )


def marked(words: Sequence[LayoutWord], found: Annotations) -> tuple[LayoutWord, ...]:
    """Write struck-out words and links as Markdown, and leave out the words of stamps."""
    kept = [word for word in words if not _is_stamped(word, found.stamped)]
    for area in found.struck:
        inside = [i for i, word in enumerate(kept) if centre_inside(word.rect, area)]
        _wrap(kept, inside, "~~", "~~")
    linked: set[int] = set()
    for link in found.links:
        inside = [i for i, word in enumerate(kept) if centre_inside(word.rect, link.rect)]
        inside = [i for i in inside if i not in linked]
        linked.update(inside)
        for i in inside:
            kept[i] = replace(kept[i], text=_BRACKETS.sub(r"\\\g<0>", kept[i].text))
        _wrap(kept, inside, "[", f"]({link.uri})", link.rect[2])
    return tuple(kept)


def _is_stamped(word: LayoutWord, stamped: Sequence[tuple[str, Rect]]) -> bool:
    return any(word.text == text and centre_inside(word.rect, area) for text, area in stamped)


def _wrap(
    words: list[LayoutWord],
    inside: Sequence[int],
    before: str,
    after: str,
    right: float | None = None,
) -> None:
    """Put marks around words, line by line, so that both marks of a pair stand in one line.

    Punctuation at the end of a word that ends outside the area, at ``right``, is left out.
    """
    runs = groupby(enumerate(inside), lambda pair: (pair[1] - pair[0], words[pair[1]].line))
    for positions in [[position for _, position in run] for _, run in runs]:
        first, last = positions[0], positions[-1]
        words[first] = replace(words[first], text=before + words[first].text)
        text, tail = words[last].text, ""
        if right is not None and words[last].rect[2] > right + _BEYOND:
            tail = text[len(text.rstrip(_PUNCTUATION)) :]
        words[last] = replace(words[last], text=text.removesuffix(tail) + after + tail)


def with_notes(
    blocks: Sequence[Block], notes: Sequence[Note], to_box: Callable[[Rect], Box]
) -> tuple[Block, ...]:
    """Add each note as a block after the block that it belongs to: the nearest one."""
    placed: list[tuple[int, Block]] = []
    for note in notes:
        box = to_box(note.rect)
        made = Block(
            BlockKind.COMMENT, box, note.text, source=TextSource.NONE, raw_kind="annotation"
        )
        distances = [(_distance(box, block.box), n) for n, block in enumerate(blocks)]
        placed.append((min(distances, default=(0.0, -1))[1], made))
    placed.sort(key=itemgetter(0))
    after = {n: [block for _, block in group] for n, group in groupby(placed, itemgetter(0))}
    own = (one for n, block in enumerate(blocks) for one in (block, *after.get(n, ())))
    return (*after.get(-1, ()), *own)


def _distance(note: Box, block: Box) -> float:
    """How far a note is from a block; of blocks around it, the smallest counts as nearest."""
    x, y = (note.x0 + note.x1) / 2, (note.y0 + note.y1) / 2
    across = max(block.x0 - x, x - block.x1, 0.0)
    down = max(block.y0 - y, y - block.y1, 0.0)
    # A note in the margin belongs to the text at its height.
    return 0.2 * across + down if across or down else block.area / 1000
