"""Pages of a document to one flow of units: what belongs together, before anything is cut. Pure.

Paragraphs and tables are joined over page breaks, footnotes follow the block that calls them,
captions know their table or figure, list items what leads to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..core.records import BlockKind
from ..markdown.joining import glue, words_of
from ..markdown.render import BlockSpan, PageMarkdown
from .captions import bare, is_caption, says_continued
from .companions import with_companions
from .footnotes import callers
from .furniture import running_blocks
from .table_view import continues, joined, read_table
from .units import CAPTIONED, Stretch, Unit

__all__ = ["flow"]

_FLOATS: Final = frozenset({BlockKind.FIGURE, BlockKind.TABLE, BlockKind.CAPTION})
_MAY_CAPTION: Final = frozenset({BlockKind.TEXT, BlockKind.HEADING})
_FLOWING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST_ITEM})
_HEADING_MARK: Final = re.compile(r"\s*(?:#{1,6}(?:\s+|$))?")
_SENTENCE_ENDS: Final = re.compile(r"[.!?:;…。！？：；؟۔।]\W*\Z")
_SHORT: Final = 30
"""Characters under which an unfinished line is rather a label than a cut paragraph."""


def flow(pages: Sequence[PageMarkdown], *, vote: bool = True) -> list[Unit]:
    """Read pages as one text.

    Args:
        pages: pages of a document, in order.
        vote: leave out what runs along the edges of many pages.

    Returns:
        Units in reading order; every block with text, and every figure, is in exactly one.
    """
    running = running_blocks(pages) if vote else frozenset()
    entries: list[list[Stretch]] = []
    for number, page in enumerate(pages):
        new = [[s] for s in _stretches(number, page) if (number, s.block.index) not in running]
        new = _with_footnotes(page.text, _with_captions(page.text, new))
        if number and pages[number - 1].index + 1 == page.index:
            _continue(pages, entries, new)
        entries += new
    return with_companions(list(_units(pages, entries)))


def _stretches(number: int, page: PageMarkdown) -> Iterator[Stretch]:
    for block in page.blocks:
        if block.end > block.start or block.kind is BlockKind.FIGURE:
            yield Stretch(number, block, block.start, block.end)


# -- captions ------------------------------------------------------------------------------


def _with_captions(text: str, entries: list[list[Stretch]]) -> list[list[Stretch]]:
    """What stands beside a table, figure or listing and begins like its caption is one."""
    kinds = [entry[0].block.kind for entry in entries]
    result = []
    for at, (stretch, *_) in enumerate(entries):
        beside = {kinds[n] for n in (at - 1, at + 1) if 0 <= n < len(kinds)} & CAPTIONED
        result.append([_as_caption(text, stretch, beside) if beside else stretch])
    return result


def _as_caption(text: str, stretch: Stretch, beside: set[BlockKind]) -> Stretch:
    if stretch.block.kind not in _MAY_CAPTION:
        return stretch
    body = text[stretch.start : stretch.end]
    plain = body.lstrip("# \t") if stretch.block.kind is BlockKind.HEADING else body
    if not is_caption(plain, of_code=beside == {BlockKind.CODE}):
        return stretch
    start = stretch.end - len(plain)
    block = replace(stretch.block, kind=BlockKind.CAPTION, level=0, start=start)
    return replace(stretch, block=block, start=start)


# -- footnotes -----------------------------------------------------------------------------


def _with_footnotes(text: str, entries: list[list[Stretch]]) -> list[list[Stretch]]:
    """Put each footnote behind the block that calls it; those nobody calls stay."""
    notes = [e[0] for e in entries if e[0].block.kind is BlockKind.FOOTNOTE]
    if not notes:
        return entries
    others = [e[0] for e in entries if e[0].block.kind is not BlockKind.FOOTNOTE]
    found = callers(
        [text[note.start : note.end] for note in notes], [text[o.start : o.end] for o in others]
    )
    after: dict[int, list[Stretch]] = {}
    for note, caller in zip(notes, found, strict=True):
        if caller is not None:
            after.setdefault(others[caller].block.index, []).append(note)
    placed = {note.block.index for group in after.values() for note in group}
    result: list[list[Stretch]] = []
    for entry in entries:
        if entry[0].block.index not in placed:
            result += [entry, *([note] for note in after.get(entry[0].block.index, ()))]
    return result


# -- page breaks ---------------------------------------------------------------------------


def _continue(
    pages: Sequence[PageMarkdown], entries: list[list[Stretch]], new: list[list[Stretch]]
) -> None:
    """Move the first block of a page to the one it goes on from, at the end of the last page."""
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
    entries: list[list[Stretch]],
    page_before: int,
    skip: frozenset[BlockKind] = frozenset({BlockKind.CAPTION}),
) -> list[Stretch] | None:
    """The last entry that reaches the page before, apart from footnotes and kinds to skip."""
    for entry in reversed(entries):
        if entry[-1].page != page_before:
            return None
        if entry[0].block.kind is not BlockKind.FOOTNOTE and entry[0].block.kind not in skip:
            return entry
    return None


def _first(new: list[list[Stretch]]) -> list[Stretch] | None:
    flowing = (e for e in new if e[0].block.kind not in _FLOATS)
    return next(flowing, new[0] if new else None)


def _continued_table(
    pages: Sequence[PageMarkdown], tail: list[Stretch], new: list[list[Stretch]]
) -> list[Stretch] | None:
    at = next((e for e in new if e[0].block.kind is not BlockKind.CAPTION), None)
    if at is None or {tail[-1].block.kind, at[0].block.kind} != {BlockKind.TABLE}:
        return None
    captions = [e[0] for e in new[: new.index(at)]]
    if any(not says_continued(pages[s.page].text[s.start : s.end]) for s in captions):
        return None
    before, after = (read_table(s.page, pages[s.page].text, s.block) for s in (tail[-1], at[0]))
    first = read_table(tail[0].page, pages[tail[0].page].text, tail[0].block)
    if before is None or after is None or first is None:
        return None
    return at if continues(joined([first, before]) if len(tail) > 1 else before, after) else None


def _is_cut(pages: Sequence[PageMarkdown], tail: list[Stretch], head: Stretch) -> bool:
    """Whether a paragraph at the end of a page goes on with one at the top of the next."""
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


# -- units ---------------------------------------------------------------------------------


def _units(pages: Sequence[PageMarkdown], entries: list[list[Stretch]]) -> Iterator[Unit]:
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
            views = [read_table(s.page, pages[s.page].text, s.block) for s in entry]
            table = joined([v for v in views if v]) if all(views) else None
            if table is not None:
                yield Unit(number, block.kind, "", tuple(entry), titles, table=table)
                continue
        if len(entry) > 1 and known is None:
            known = frozenset(_words(pages, entries))
        text, stretches = _text(pages, entry, known or frozenset())
        yield Unit(number, block.kind, text, stretches, titles, rank)


def _words(pages: Sequence[PageMarkdown], entries: list[list[Stretch]]) -> Iterator[str]:
    """All words of a document, but for those that a page break may have cut."""
    for entry in entries:
        for s in entry:
            words = words_of(pages[s.page].text[s.start : s.end])
            yield from words[1:-1] if len(entry) > 1 else words


def _text(
    pages: Sequence[PageMarkdown], entry: list[Stretch], known: frozenset[str]
) -> tuple[str, tuple[Stretch, ...]]:
    text = ""
    placed: list[Stretch] = []
    for stretch in entry:
        part = pages[stretch.page].text[stretch.start : stretch.end]
        drop, between = glue(text, part, known) if placed else (0, "")
        text = text[: len(text) - drop] + between
        placed.append(replace(stretch, at=len(text)))
        text += part
    return text, tuple(placed)


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
