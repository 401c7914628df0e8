"""Turns the pages of a document into one flow of elements, before anything is cut. Pure.

Paragraphs and tables are joined over page breaks. Footnotes are moved after the block that
refers to them. Captions, lists and their elements are linked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..core.records import BlockKind
from ..markdown.joining import glue, words_of
from ..markdown.render import FURNITURE, BlockSpan, PageMarkdown
from .captions import bare, is_caption, says_continued
from .elements import CAPTIONED, Element, Fragment
from .footnotes import find_references
from .furniture import find_running_blocks
from .introductions import link_introductions
from .table_view import continues, joined, view_table

__all__ = ["build_flow"]

_FLOATS: Final = frozenset({BlockKind.FIGURE, BlockKind.TABLE, BlockKind.CAPTION})
_MAY_CAPTION: Final = frozenset({BlockKind.TEXT, BlockKind.HEADING})
_FLOWING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST_ITEM})
_BETWEEN: Final = FURNITURE | {BlockKind.COMMENT}
_ASIDE: Final = _BETWEEN | {BlockKind.FOOTNOTE}
"""Kinds that stand between the parts of a text without interrupting it."""
_HEADING_MARK: Final = re.compile(r"\s*(?:#{1,6}(?:\s+|$))?")
_SENTENCE_ENDS: Final = re.compile(r"[.!?:;…。！？：；؟۔।]\W*\Z")
_SHORT: Final = 30
"""Characters. An unfinished line shorter than this is a label, not the start of a paragraph."""


def build_flow(pages: Sequence[PageMarkdown], *, drop_running: bool = True) -> list[Element]:
    """Read the pages of a document, in order, as one text.

    Returns:
        Elements in reading order. Every block with text, and every figure, is in exactly one,
        but (``drop_running``) not running heads and page numbers.
    """
    running = find_running_blocks(pages) if drop_running else frozenset()
    entries: list[list[Fragment]] = []
    for number, page in enumerate(pages):
        fragments = [
            Fragment(number, _as_table(block), block.start, block.end)
            for block in page.blocks
            if (block.end > block.start or block.kind is BlockKind.FIGURE)
            and (number, block.index) not in running
        ]
        fragments = _with_footnotes(page.text, _with_captions(page.text, fragments))
        new = [[fragment] for fragment in fragments]
        if number and pages[number - 1].index + 1 == page.index:
            _continue(pages, entries, new)
        entries += new
    return link_introductions(list(_elements(pages, entries)))


def _as_table(block: BlockSpan) -> BlockSpan:
    """Take a footer or header with cells for a table: it was not found on other pages."""
    is_row = block.kind in FURNITURE and block.col_edges
    return replace(block, kind=BlockKind.TABLE) if is_row else block


def _with_captions(text: str, fragments: list[Fragment]) -> list[Fragment]:
    """Turn text beside a table, figure or listing into a caption if it begins like one."""
    kinds = [fragment.block.kind for fragment in fragments]
    result = []
    for at, fragment in enumerate(fragments):
        beside = {kinds[n] for n in (at - 1, at + 1) if 0 <= n < len(kinds)} & CAPTIONED
        result.append(_as_caption(text, fragment, beside) if beside else fragment)
    return result


def _as_caption(text: str, fragment: Fragment, beside: set[BlockKind]) -> Fragment:
    if fragment.block.kind not in _MAY_CAPTION:
        return fragment
    body = text[fragment.start : fragment.end]
    plain = body.lstrip("# \t") if fragment.block.kind is BlockKind.HEADING else body
    if not is_caption(plain, of_code=beside == {BlockKind.CODE}):
        return fragment
    start = fragment.end - len(plain)
    block = replace(fragment.block, kind=BlockKind.CAPTION, level=0, start=start)
    return replace(fragment, block=block, start=start)


def _with_footnotes(text: str, fragments: list[Fragment]) -> list[Fragment]:
    """Move each footnote after the block that refers to it, if there is exactly one."""
    notes = [f for f in fragments if f.block.kind is BlockKind.FOOTNOTE]
    if not notes:
        return fragments
    others = [f for f in fragments if f.block.kind is not BlockKind.FOOTNOTE]
    found = find_references(
        [text[note.start : note.end] for note in notes], [text[o.start : o.end] for o in others]
    )
    after: dict[int, list[Fragment]] = {}
    for note, position in zip(notes, found, strict=True):
        if position is not None:
            after.setdefault(others[position].block.index, []).append(note)
    moved = {note.block.index for group in after.values() for note in group}
    result = []
    for fragment in fragments:
        if fragment.block.index not in moved:
            result += [fragment, *after.get(fragment.block.index, ())]
    return result


def _continue(
    pages: Sequence[PageMarkdown], entries: list[list[Fragment]], new: list[list[Fragment]]
) -> None:
    """Append the first block of a page to the entry on the previous page that it continues."""
    tail = _last(entries, page_before=new[0][0].page - 1 if new else 0)
    head = _first(new)
    if tail is None or head is None:
        return
    table = _continued_table(pages, tail, new)
    if table is not None:
        tail.append(table[0])
        new.remove(table)
        return
    tail = _last(entries, page_before=new[0][0].page - 1, skip=_FLOATS)
    if tail is not None and _is_cut(pages, tail, head[0]):
        tail.append(head[0])
        new.remove(head)


def _last(
    entries: list[list[Fragment]],
    page_before: int,
    skip: frozenset[BlockKind] = frozenset({BlockKind.CAPTION}),
) -> list[Fragment] | None:
    """The last entry on the previous page that is part of the flow and not of a kind to skip."""
    for entry in reversed(entries):
        if entry[-1].page != page_before:
            return None
        if entry[0].block.kind not in _ASIDE | skip:
            return entry
    return None


def _first(new: list[list[Fragment]]) -> list[Fragment] | None:
    flowing = (e for e in new if e[0].block.kind not in _FLOATS | _BETWEEN)
    return next(flowing, new[0] if new else None)


def _continued_table(
    pages: Sequence[PageMarkdown], tail: list[Fragment], new: list[list[Fragment]]
) -> list[Fragment] | None:
    shown = [e for e in new if e[0].block.kind not in _BETWEEN]
    at = next((e for e in shown if e[0].block.kind is not BlockKind.CAPTION), None)
    if at is None or {tail[-1].block.kind, at[0].block.kind} != {BlockKind.TABLE}:
        return None
    captions = [e[0] for e in shown[: shown.index(at)]]
    if any(not says_continued(pages[s.page].text[s.start : s.end]) for s in captions):
        return None
    before, after = (view_table(s.page, pages[s.page].text, s.block) for s in (tail[-1], at[0]))
    first = view_table(tail[0].page, pages[tail[0].page].text, tail[0].block)
    if before is None or after is None or first is None:
        return None
    return at if continues(joined([first, before]) if len(tail) > 1 else before, after) else None


def _is_cut(pages: Sequence[PageMarkdown], tail: list[Fragment], head: Fragment) -> bool:
    """Whether a paragraph at the end of a page continues at the top of the next."""
    last = tail[-1]
    if last.block.kind not in _FLOWING or head.block.kind is not BlockKind.TEXT:
        return False
    left = pages[last.page].text[last.start : last.end].rstrip()
    right = pages[head.page].text[head.start : head.end].lstrip()
    if left.endswith(("-", "\u2010", "\u00ad")) and right[:1].islower():
        return True
    if _SENTENCE_ENDS.search(left) or len(left) < _SHORT:
        return False
    first = right[:1]
    caseless = first.isalpha() and not first.isupper() and not first.islower()
    return first.islower() or caseless or (left.endswith(",") and first.isalpha())


def _elements(pages: Sequence[PageMarkdown], entries: list[list[Fragment]]) -> Iterator[Element]:
    path: list[tuple[int, str]] = []
    known: frozenset[str] | None = None
    for number, entry in enumerate(entries):
        block = entry[0].block
        rank = _rank(block)
        if rank:
            while path and path[-1][0] >= rank:
                path.pop()
            path.append((rank, _heading_text(pages[entry[0].page].text, block)))
        titles = tuple(title for _, title in path if title)
        if block.kind is BlockKind.TABLE:
            views = [view_table(s.page, pages[s.page].text, s.block) for s in entry]
            table = joined([v for v in views if v]) if all(views) else None
            if table is not None:
                yield Element(number, block.kind, "", tuple(entry), titles, table=table)
                continue
        if len(entry) > 1 and known is None:
            known = frozenset(_words(pages, entries))
        text, fragments = _text(pages, entry, known or frozenset())
        yield Element(number, block.kind, text, fragments, titles, rank)


def _words(pages: Sequence[PageMarkdown], entries: list[list[Fragment]]) -> Iterator[str]:
    """All words of a document except those that a page break may have split."""
    for entry in entries:
        for s in entry:
            words = words_of(pages[s.page].text[s.start : s.end])
            yield from words[1:-1] if len(entry) > 1 else words


def _text(
    pages: Sequence[PageMarkdown], entry: list[Fragment], known: frozenset[str]
) -> tuple[str, tuple[Fragment, ...]]:
    """The joined text of an entry, and its fragments with their offsets in that text."""
    text = ""
    fragments: list[Fragment] = []
    for fragment in entry:
        part = pages[fragment.page].text[fragment.start : fragment.end]
        drop, between = glue(text, part, known) if fragments else (0, "")
        text = text[: len(text) - drop] + between
        fragments.append(replace(fragment, at=len(text)))
        text += part
    return text, tuple(fragments)


def _rank(block: BlockSpan) -> int:
    if block.kind is BlockKind.TITLE:
        return 1
    return max(block.level, 1) + 1 if block.kind is BlockKind.HEADING else 0


def _heading_text(text: str, block: BlockSpan) -> str:
    line = text[block.start : block.end].split("\n", 1)[0]
    heading = _HEADING_MARK.sub("", line, count=1).strip()
    unmarked = heading.rstrip("#")
    closed = not unmarked or unmarked[-1].isspace()
    return bare(unmarked if closed else heading).strip()
