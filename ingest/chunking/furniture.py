"""Finds running heads and page numbers that an engine took for text, by comparing pages. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind
from ..markdown.render import FURNITURE, BlockSpan, PageMarkdown

__all__ = ["find_running_blocks"]

_EDGE_BLOCKS: Final = 2
"""Blocks examined at each end of a page."""
_MIN_PAGES: Final = 3
_MIN_SHARE: Final = 0.4  # below one half: left and right pages may have different heads
_MARGIN: Final = 0.12
"""Height of the top and bottom margins, as a share of the page's height."""
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
    page: int  # position in the sequence of pages
    index: int  # 0-based index of the page in the document
    block: BlockSpan
    text: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(n) for n in _NUMBER.findall(self.text) if len(n) < 7)


def find_running_blocks(pages: Sequence[PageMarkdown]) -> frozenset[tuple[int, int]]:
    """Find blocks at the edges of many pages that are the same or count the pages.

    Without boxes, margins cannot be told from text: a line that many pages share may be an
    answer ("None.") or a verdict. Then only page numbers are found.

    Returns:
        Pairs of the page's position in the sequence and :attr:`BlockSpan.index`.
    """
    if len(pages) < _MIN_PAGES:
        return frozenset()
    least = max(_MIN_PAGES, _MIN_SHARE * sum(bool(page.blocks) for page in pages))
    found: set[tuple[int, int]] = set()
    for edge in ("top", "bottom"):
        outside = set(range(len(pages)))  # pages whose outer lines are all running lines
        for depth in range(_EDGE_BLOCKS):
            lines = _edge_lines(pages, outside, edge, depth)
            running = [line for group in lines.values() for line in _running(group, least)]
            found |= {(line.page, line.block.index) for line in running}
            outside = {line.page for line in running}
    return frozenset(found)


def _edge_lines(
    pages: Sequence[PageMarkdown], chosen: set[int], edge: str, depth: int
) -> dict[str, list[_Line]]:
    """The lines at one depth from the edge of pages, grouped by their text without numbers."""
    groups: dict[str, list[_Line]] = defaultdict(list)
    for position in sorted(chosen):
        page = pages[position]
        shown = [b for b in page.blocks if b.end > b.start and b.kind not in FURNITURE]
        # The only lines of a page are its text.
        if depth < len(shown) // 2:
            block = shown[depth if edge == "top" else -1 - depth]
            text = " ".join(page.text[block.start : block.end].split())
            if block.kind in _CANDIDATES and len(text) <= _LONGEST and _may_run(block, text, edge):
                line = _Line(position, page.index, block, text)
                groups[_NUMBER.sub("#", text.casefold())].append(line)
    return groups


def _may_run(block: BlockSpan, text: str, edge: str) -> bool:
    if block.box is None:
        return block.kind not in _HEADINGS and bool(_PAGE_WORDS.fullmatch(_NUMBER.sub("#", text)))
    return block.box.y1 <= _MARGIN if edge == "top" else block.box.y0 >= 1 - _MARGIN


def _running(lines: list[_Line], least: float) -> list[_Line]:
    """The lines of a group that are the same in many margins, or that count the pages."""
    same: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        if line.block.box is not None:
            same[line.text].append(line)
    found = [x for group in same.values() if _on_pages(group) >= least for x in group]
    if found:
        return found
    # The number of a heading ("Question 3") is not a page number.
    counting = [line for line in lines if line.block.kind not in _HEADINGS]
    steps: dict[tuple[int, ...], list[_Line]] = defaultdict(list)
    for line in counting:
        # The page number is the first or the last number: "12 | Report 2023".
        for position in {0, len(line.numbers) - 1} if line.numbers else ():
            steps[position, line.numbers[position] - line.index].append(line)
    best = max(steps.values(), key=_on_pages, default=[])
    return best if _on_pages(best) >= least else []


def _on_pages(lines: Sequence[_Line]) -> int:
    return len({line.page for line in lines})
