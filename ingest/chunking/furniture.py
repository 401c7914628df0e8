"""Running heads and page numbers that an engine took for text, found by comparing pages. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind
from ..markdown.render import FURNITURE, BlockSpan, PageMarkdown

__all__ = ["running_blocks"]

_EDGE_BLOCKS: Final = 2
"""Blocks looked at from either end of a page."""
_MIN_PAGES: Final = 3
_MIN_SHARE: Final = 0.4  # left and right pages may have heads of their own
_MARGIN: Final = 0.12
"""Share of the page's height in which running heads stand, where blocks have boxes."""
_LONGEST: Final = 120  # characters
_NUMBER: Final = re.compile(r"\d+")
_PAGE_WORDS: Final = re.compile(
    r"(?:page|p\.?|pages|seite|s\.|von|of|página|pagina|di|de|sur|strana|стр\.?|из|第|页|頁|/|[-–—|·\s])*"
    r"#(?:of|von|de|di|sur|из|/|页|頁|쪽|[-–—|·.\s]|#)*",
    re.IGNORECASE,
)
_HEADINGS: Final = frozenset({BlockKind.HEADING, BlockKind.TITLE})
_CANDIDATES: Final = frozenset({BlockKind.TEXT, BlockKind.OTHER, BlockKind.CAPTION}) | _HEADINGS


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

    Without boxes nothing tells a margin from text: a line that pages share may be an answer
    ("None.") or a verdict. Then only page numbers are found.

    Returns:
        Pairs of the page's place in the sequence and :attr:`BlockSpan.index`.
    """
    if len(pages) < _MIN_PAGES:
        return frozenset()
    least = max(_MIN_PAGES, _MIN_SHARE * sum(bool(page.blocks) for page in pages))
    found: set[tuple[int, int]] = set()
    for edge in ("top", "bottom"):
        outside = set(range(len(pages)))  # pages with nothing but running lines further out
        for depth in range(_EDGE_BLOCKS):
            lines = _edge_lines(pages, outside, edge, depth)
            running = [line for group in lines.values() for line in _running(group, least)]
            found |= {(line.page, line.block.index) for line in running}
            outside = {line.page for line in running}
    return frozenset(found)


def _edge_lines(
    pages: Sequence[PageMarkdown], chosen: set[int], edge: str, depth: int
) -> dict[str, list[_Line]]:
    """Lines at one place from the edge of pages, by their text without numbers."""
    groups: dict[str, list[_Line]] = defaultdict(list)
    for place in sorted(chosen):
        page = pages[place]
        shown = [b for b in page.blocks if b.end > b.start and b.kind not in FURNITURE]
        # A page of one or two lines holds nothing else: they are its text.
        if depth < len(shown) // 2:
            block = shown[depth if edge == "top" else -1 - depth]
            text = " ".join(page.text[block.start : block.end].split())
            if block.kind in _CANDIDATES and len(text) <= _LONGEST and _may_run(block, text, edge):
                line = _Line(place, page.index, block, text)
                groups[_NUMBER.sub("#", text.casefold())].append(line)
    return groups


def _may_run(block: BlockSpan, text: str, edge: str) -> bool:
    if block.box is None:
        return block.kind not in _HEADINGS and bool(_PAGE_WORDS.fullmatch(_NUMBER.sub("#", text)))
    return block.box.y1 <= _MARGIN if edge == "top" else block.box.y0 >= 1 - _MARGIN


def _running(lines: list[_Line], least: float) -> list[_Line]:
    """Those of alike lines that are the same in the margin of many pages, or count them."""
    same: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        if line.block.box is not None:
            same[line.text].append(line)
    found = [x for group in same.values() if _on_pages(group) >= least for x in group]
    if found:
        return found
    # "Question 3" in a heading is no page number.
    counting = [line for line in lines if line.block.kind not in _HEADINGS]
    steps: dict[tuple[int, ...], list[_Line]] = defaultdict(list)
    for line in counting:
        # The last number is the page's, or the first: "12 | Report 2023".
        for position in {0, len(line.numbers) - 1} if line.numbers else ():
            steps[position, line.numbers[position] - line.index].append(line)
    best = max(steps.values(), key=_on_pages, default=[])
    return best if _on_pages(best) >= least else []


def _on_pages(lines: Sequence[_Line]) -> int:
    return len({line.page for line in lines})
