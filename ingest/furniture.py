"""Running heads and page numbers that an engine took for text, found by comparing pages. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .markdown import FURNITURE, BlockSpan, PageMarkdown
from .types import BlockKind

__all__ = ["running_blocks"]

_EDGE_BLOCKS: Final = 2
"""Blocks looked at from either end of a page."""
_MIN_PAGES: Final = 3
_MIN_SHARE: Final = 0.4  # left and right pages may have heads of their own
_MARGIN: Final = 0.09
"""Share of the page's height in which a line whose number counts the pages is a page number."""
_LONGEST: Final = 160  # characters
_NUMBER: Final = re.compile(r"\d+")
_PAGE_WORDS: Final = re.compile(
    r"(?:page|p\.?|pages|seite|s\.|von|of|página|pagina|di|de|sur|strana|стр\.?|из|第|页|頁|/|[-–—|·\s])*"
    r"#(?:of|von|de|di|sur|из|/|页|頁|쪽|[-–—|·.\s]|#)*",
    re.IGNORECASE,
)
_CANDIDATES: Final = frozenset(
    {BlockKind.TEXT, BlockKind.OTHER, BlockKind.HEADING, BlockKind.TITLE, BlockKind.CAPTION}
)


@dataclass(frozen=True, slots=True)
class _Line:
    page: int  # place in the sequence of pages
    index: int  # of the page
    block: BlockSpan
    text: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(n) for n in _NUMBER.findall(self.text) if len(n) < 7)


def running_blocks(pages: Sequence[PageMarkdown]) -> frozenset[tuple[int, int]]:
    """Blocks that stand at the edge of many pages, the same or with the page's number.

    Returns:
        Pairs of the page's place in the sequence and :attr:`BlockSpan.index`.
    """
    if len(pages) < _MIN_PAGES:
        return frozenset()
    groups: dict[tuple[str, str], list[_Line]] = defaultdict(list)
    for place, page in enumerate(pages):
        for edge, line in _edge_lines(place, page):
            groups[edge, _NUMBER.sub("#", line.text.casefold())].append(line)
    least = max(_MIN_PAGES, _MIN_SHARE * sum(bool(page.blocks) for page in pages))
    return frozenset(
        (line.page, line.block.index)
        for (_, key), lines in groups.items()
        for line in _running(key, lines, least)
    )


def _edge_lines(place: int, page: PageMarkdown) -> Iterator[tuple[str, _Line]]:
    shown = [b for b in page.blocks if b.end > b.start and b.kind not in FURNITURE]
    # A page of one or two lines holds nothing else: they are its text.
    count = min(_EDGE_BLOCKS, len(shown) // 2)
    for edge, blocks in (("top", shown[:count]), ("bottom", shown[len(shown) - count :])):
        for block in blocks:
            text = " ".join(page.text[block.start : block.end].split())
            if block.kind in _CANDIDATES and len(text) <= _LONGEST:
                yield edge, _Line(place, page.index, block, text)


def _running(key: str, lines: list[_Line], least: float) -> list[_Line]:
    same: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        same[line.text].append(line)
    found = [x for group in same.values() if _on_pages(group) >= least for x in group]
    if found or "#" not in key:
        return found
    counting = [line for line in lines if _may_count(key, line)]
    steps: dict[tuple[int, ...], list[_Line]] = defaultdict(list)
    for line in counting:
        # The last number is the page's, or the first: "12 | Report 2023".
        for position in {0, len(line.numbers) - 1} if line.numbers else ():
            steps[position, line.numbers[position] - line.index].append(line)
    best = max(steps.values(), key=_on_pages, default=[])
    return best if _on_pages(best) >= least else []


def _may_count(key: str, line: _Line) -> bool:
    """Whether a number in a line may be the page's: "Question 3" in the text may not."""
    if line.block.kind in (BlockKind.HEADING, BlockKind.TITLE):
        return False
    box = line.block.box
    in_margin = box is not None and (box.y1 <= _MARGIN or box.y0 >= 1 - _MARGIN)
    return in_margin or bool(_PAGE_WORDS.fullmatch(key))


def _on_pages(lines: Sequence[_Line]) -> int:
    return len({line.page for line in lines})
