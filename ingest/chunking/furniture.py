"""Finds running heads and page numbers by comparing the pages of a document. Pure.

An engine's word that a line is a header or footer is not enough: an invoice number or a total may
stand at the edge of a page, too. Such a line is furniture only if it is the same, or counts the
pages, at the edges of several pages, or if it is exactly the number of its page.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..core.config import PageFurniture
from ..core.records import BlockKind, ParsedPage
from ..markdown.render import FURNITURE, BlockSpan, PageMarkdown, page_markdown

__all__ = ["find_running_blocks", "note_furniture", "write_pages"]

_EDGE_BLOCKS: Final = 2
"""Blocks examined at each end of a page, beside those that the engine labelled."""
_MIN_PAGES: Final = 3
_MIN_SHARE: Final = 0.4  # below one half: left and right pages may have different heads
_MARGIN: Final = 0.12
"""Height of the top and bottom margins, as a share of the page's height."""
_LABELLED_MARGIN: Final = 0.2
"""The same for a line that the engine labelled: heads of slides and letters are tall. A page may
also end far above its foot; then the line must be the last."""
_LONGEST: Final = 120  # characters
_LONGEST_LABELLED: Final = 400  # a labelled footer may hold an address or a legal notice
_MOST_NUMBERS: Final = 8  # numbers of a labelled line that may be that of its page
_NUMBER: Final = re.compile(r"\d+")
_ALONE: Final = re.compile(r"[^\w\s]*(\d+)(?:/\d+)?[^\w\s]*")
"""A word that may be the number of a page: "2031-447" is not."""
_ROMAN: Final = re.compile(r"(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})", re.IGNORECASE)
_ROMAN_DIGITS: Final = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_PAGE_WORDS: Final = re.compile(
    r"(?:page|p\.?|pages|seite|s\.|von|of|página|pagina|di|de|sur|strana|стр\.?|из|第|页|頁|/|[-–—|·\s])*"
    r"#(?:of|von|de|di|sur|из|/|页|頁|쪽|[-–—|·.\s]|#)*",
    re.IGNORECASE,
)
_HEADINGS: Final = frozenset({BlockKind.HEADING, BlockKind.TITLE})
_CANDIDATES: Final = _HEADINGS | {
    BlockKind.TEXT,
    BlockKind.OTHER,
    BlockKind.CAPTION,
    BlockKind.TABLE,
}


@dataclass(frozen=True, slots=True)
class _Line:
    page: int  # position in the sequence of pages
    index: int  # 0-based index of the page in the document
    block: BlockSpan
    text: str

    @property
    def labelled(self) -> bool:
        """Whether the engine took the line for a header or footer."""
        return self.block.kind in FURNITURE

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers that may be that of the page: each a word of its own, or between page words."""
        if _ROMAN.fullmatch(self.text):
            return (_roman(self.text),)
        words = self.text.split()
        if len(words) == 1 or _PAGE_WORDS.fullmatch(self.pattern):
            found = _NUMBER.findall(self.text)
        else:
            found = [number[1] for word in words if (number := _ALONE.fullmatch(word))]
        return tuple(int(n) for n in found if len(n) < 7)

    @property
    def counting(self) -> tuple[int, ...]:
        """Positions in ``numbers`` of those that may count the pages."""
        if self.labelled:
            return tuple(range(min(len(self.numbers), _MOST_NUMBERS)))
        # The page number is the first or the last number: "12 | Report 2023".
        return tuple({0, len(self.numbers) - 1}) if self.numbers else ()

    @property
    def pattern(self) -> str:
        """The text without its numbers."""
        if _ROMAN.fullmatch(self.text):
            return "#"
        return _NUMBER.sub("#", self.text.casefold())


def write_pages(pages: Sequence[ParsedPage], furniture: PageFurniture) -> list[PageMarkdown]:
    """Write the pages of a document as Markdown, in order, without its furniture.

    What is left out is in :attr:`PageMarkdown.furniture`. With ``"keep"``, nothing is.
    """
    written = [page_markdown(page) for page in pages]
    if furniture == "keep":
        return written
    for number, left_out in _by_page(find_running_blocks(written)).items():
        written[number] = page_markdown(pages[number], left_out)
    return written


def note_furniture(pages: Sequence[PageMarkdown]) -> list[PageMarkdown]:
    """List the running heads and page numbers of each page; the text stays as it is."""
    noted = list(pages)
    for number, running in _by_page(find_running_blocks(pages)).items():
        page = pages[number]
        texts = (page.text[b.start : b.end] for b in page.blocks if b.index in running)
        noted[number] = replace(page, furniture=(*page.furniture, *texts))
    return noted


def _by_page(running: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for page, index in running:
        found[page].add(index)
    return found


def find_running_blocks(pages: Sequence[PageMarkdown]) -> frozenset[tuple[int, int]]:
    """Find blocks at the edges of many pages that are the same or count the pages.

    A line that the engine labelled as a header or footer needs three pages, any other line 40 %
    of the document. A labelled line that is exactly the number of its page needs no other page.
    Without boxes, margins cannot be told from text: a line that many pages share may be an
    answer ("None.") or a verdict. Then only page numbers are found.

    Returns:
        Pairs of the page's position in the sequence and :attr:`BlockSpan.index`.
    """
    labelled = {edge: list(_labelled(pages, edge)) for edge in ("top", "bottom")}
    found = {
        (line.page, line.block.index)
        for lines in labelled.values()
        for line in lines
        if _is_own_number(line, pages[line.page])
    }
    if len(pages) < _MIN_PAGES:
        return frozenset(found)
    least = max(_MIN_PAGES, _MIN_SHARE * sum(bool(page.blocks) for page in pages))
    for edge, marked in labelled.items():
        outside = set(range(len(pages)))  # pages whose outer lines are all running lines
        for depth in range(_EDGE_BLOCKS):
            groups: dict[str, list[_Line]] = defaultdict(list)
            for line in (*marked, *_edge_lines(pages, outside, edge, depth)):
                groups[line.pattern].append(line)
            running = [line for group in groups.values() for line in _running(group, least)]
            found |= {(line.page, line.block.index) for line in running}
            outside = {line.page for line in running if not line.labelled}
    return frozenset(found)


def _labelled(pages: Sequence[PageMarkdown], edge: str) -> Iterator[_Line]:
    """The lines at an edge that the engine took for furniture, at any depth."""
    for position, page in enumerate(pages):
        shown = [b for b in page.blocks if b.end > b.start and b.box is not None]
        text_boxes = [b.box for b in shown if b.box and b.kind not in FURNITURE]
        if not text_boxes:  # the only lines of a page are its text
            continue
        lowest, highest = min(b.y1 for b in text_boxes), max(b.y0 for b in text_boxes)
        for block in shown:
            text = _one_line(page, block)
            if block.kind not in FURNITURE or len(text) > _LONGEST_LABELLED:
                continue
            if _is_outermost(block, edge, lowest if edge == "top" else highest):
                yield _Line(position, page.index, block, text)


def _is_outermost(block: BlockSpan, edge: str, text: float) -> bool:
    """Whether a labelled line is in the margin, or nothing of the page's text stands beyond it.

    ``text`` is the bottom of the text's first block or the top of its last one.
    """
    if _is_at(block, edge, _LABELLED_MARGIN):
        return True
    box = block.box
    if box is None or (block.kind is BlockKind.PAGE_HEADER) != (edge == "top"):
        return False
    return box.y0 < text if edge == "top" else box.y1 > text


def _edge_lines(
    pages: Sequence[PageMarkdown], chosen: set[int], edge: str, depth: int
) -> Iterator[_Line]:
    """The lines at one depth from the edge of pages that the engine took for text."""
    for position in sorted(chosen):
        page = pages[position]
        shown = [b for b in page.blocks if b.end > b.start and b.kind not in FURNITURE]
        # The only lines of a page are its text.
        if depth < len(shown) // 2:
            block = shown[depth if edge == "top" else -1 - depth]
            text = _one_line(page, block)
            if block.kind in _CANDIDATES and len(text) <= _LONGEST and _may_run(block, text, edge):
                yield _Line(position, page.index, block, text)


def _one_line(page: PageMarkdown, block: BlockSpan) -> str:
    return " ".join(page.text[block.start : block.end].split())


def _may_run(block: BlockSpan, text: str, edge: str) -> bool:
    if block.box is None:
        return block.kind not in _HEADINGS and bool(_PAGE_WORDS.fullmatch(_NUMBER.sub("#", text)))
    return _is_at(block, edge, _MARGIN)


def _is_at(block: BlockSpan, edge: str, margin: float) -> bool:
    if block.box is None:
        return False
    return block.box.y1 <= margin if edge == "top" else block.box.y0 >= 1 - margin


def _is_own_number(line: _Line, page: PageMarkdown) -> bool:
    """Whether a line is only the number of its page, perhaps with "page" and "of 12"."""
    if not line.numbers or not _PAGE_WORDS.fullmatch(line.pattern):
        return False
    label = _Line(line.page, line.index, line.block, page.label)
    return line.numbers[0] in (page.index + 1, *label.numbers[-1:])


def _running(lines: list[_Line], least: float) -> list[_Line]:
    """The lines of a group that are the same in many margins, or that count the pages."""
    same: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        if line.block.box is not None:
            same[line.text].append(line)
    found = [x for group in same.values() if _is_seen(group, least) for x in group]
    if found:
        return found
    # The number of a heading ("Question 3") is not a page number.
    counting = [line for line in lines if line.block.kind not in _HEADINGS]
    steps: dict[tuple[int, ...], list[_Line]] = defaultdict(list)
    for line in counting:
        for position in line.counting:
            steps[position, line.numbers[position] - line.index].append(line)
    # Front matter and text count from different numbers.
    return [line for group in steps.values() if _is_seen(group, least) for line in group]


def _is_seen(lines: Sequence[_Line], least: float) -> bool:
    """Whether lines stand on enough pages; fewer do if the engine labelled most of them."""
    labelled = sum(line.labelled for line in lines)
    enough = _MIN_PAGES if 2 * labelled > len(lines) else least
    return len({line.page for line in lines}) >= enough


def _roman(text: str) -> int:
    digits = [_ROMAN_DIGITS[char] for char in text.lower()]
    return sum(
        -one if one < following else one
        for one, following in zip(digits, [*digits[1:], 0], strict=True)
    )
