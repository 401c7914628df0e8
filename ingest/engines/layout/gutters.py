"""Tells blocks of lines that stand side by side from rows that run across. Pure.

The layout model joins two addresses, or two small tables, in one region. Read line by line, their
texts would alternate.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import Final

from .geometry import Rect, union
from .tables.phrases import Phrase, lines_of
from .text_layer.words import LayoutWord

__all__ = ["blocks_beside", "tables_beside"]

_GUTTER: Final = 1.5
"""Smallest gap between two blocks, in font sizes; tracked words and columns of prose have less."""
_ALIGNED: Final = 0.5  # font sizes by which a line may start right of its block
_EVEN: Final = 0.6
"""Largest difference of the pitches of lines, in font sizes; rows of a table vary more. Boxes of
words without descenders end 0.2 higher than others."""
_TALLEST: Final = 10  # lines of an address or a signature; a longer list is a column of a table
_LEAST: Final = 3  # lines of a block: pairs agree by chance
_NUMBERS: Final = 1 / 3  # share of lines with nothing but a number, above which it is a column
_LABELS: Final = 0.5  # share of lines that end in a colon: labels of the next block
_ONE_ROW: Final = 0.3  # font sizes between the feet of two texts of one row
_SHARED: Final = 0.5  # share of lines with a partner in the other block, of two that share no rows


@dataclass(frozen=True)
class _Block:
    """The words of a region between two gutters."""

    words: tuple[LayoutWord, ...]

    @cached_property
    def rect(self) -> Rect:
        return union(w.rect for w in self.words)

    @cached_property
    def size(self) -> float:
        return max(w.size for w in self.words)

    @cached_property
    def lines(self) -> list[Phrase]:
        return [Phrase(tuple(w for p in x.phrases for w in p.words)) for x in lines_of(self.words)]

    @cached_property
    def feet(self) -> list[float]:
        """The lower edges of its lines, without descenders."""
        return [min(word.rect[3] for word in line.words) for line in self.lines]

    @cached_property
    def is_even(self) -> bool:
        """Whether its lines follow each other evenly, perhaps below a heading."""
        pitches = sorted(b - a for a, b in pairwise(self.feet[1:]))
        return bool(pitches) and pitches[-1] - pitches[0] <= _EVEN * self.size

    @cached_property
    def is_aligned(self) -> bool:
        return all(p.rect[0] - self.rect[0] <= _ALIGNED * self.size for p in self.lines)

    def share(self, other: _Block) -> float:
        """Share of the lines that have a line of another block in their row."""
        slack = _ONE_ROW * min(self.size, other.size)
        held = sum(any(abs(foot - y) <= slack for y in other.feet) for foot in self.feet)
        return held / len(self.lines)


def blocks_beside(words: Sequence[LayoutWord]) -> list[Rect]:
    """Find the blocks of text of a region, from the left; none if its lines run across.

    Their lines are set evenly and start at one edge each. The source has them one after the other,
    and their texts are not labels and values; or they share no rows.
    """
    blocks = _blocks(words)
    if len(blocks) < 2 or any(not _is_text(block) for block in blocks):
        return []
    if max(len(block.lines) for block in blocks) < _LEAST:
        return []
    apart = all(_share_no_rows(a, b) for a, b in pairwise(blocks))
    if apart or (_are_in_turn(blocks) and not _are_labels(blocks)):
        return [block.rect for block in blocks]
    return []


def tables_beside(words: Sequence[LayoutWord]) -> list[Rect]:
    """Find the tables of a region, from the left; none if it is one table.

    Columns of one table share its rows.
    """
    groups: list[list[_Block]] = []
    for block in _blocks(words):
        if groups and not _share_no_rows(groups[-1][-1], block):
            groups[-1].append(block)
        else:
            groups.append([block])
    tables = [_Block(tuple(w for block in group for w in block.words)) for group in groups]
    several = all(len(group) > 1 for group in groups)
    even = all(len(table.lines) >= _LEAST and table.is_even for table in tables)
    return [table.rect for table in tables] if len(groups) > 1 and several and even else []


def _blocks(words: Sequence[LayoutWord]) -> list[_Block]:
    """Cut a region at the gaps that all of its lines leave free."""
    if len(words) < 2 * _LEAST or any(w.turn for w in words):
        return []
    least = _GUTTER * max(w.size for w in words)
    parts: list[list[LayoutWord]] = []
    reach = 0.0
    for word in sorted(words, key=lambda w: w.rect[0]):
        if parts and word.rect[0] - reach < least:
            parts[-1].append(word)
            reach = max(reach, word.rect[2])
        else:
            parts.append([word])
            reach = word.rect[2]
    return [_Block(tuple(part)) for part in parts]


def _is_text(block: _Block) -> bool:
    lines = block.lines
    if not 2 <= len(lines) <= _TALLEST or not block.is_aligned:
        return False
    if len(lines) > 2 and not block.is_even:
        return False
    return sum(line.is_number for line in lines) <= _NUMBERS * len(lines)


def _share_no_rows(a: _Block, b: _Block) -> bool:
    fewer, more = sorted((a, b), key=lambda block: len(block.lines))
    return len(fewer.lines) >= _LEAST and fewer.share(more) <= _SHARED


def _are_in_turn(blocks: Sequence[_Block]) -> bool:
    """Whether the source has each block as a whole."""
    ends = [(min(w.line for w in b.words), max(w.line for w in b.words)) for b in blocks]
    return all(a[1] < b[0] for a, b in pairwise(sorted(ends)))


def _are_labels(blocks: Sequence[_Block]) -> bool:
    """Whether texts may be the labels of those beside them, as in a form.

    They are not if a line of a later block has no partner, if lines of both contain a number, as in
    addresses, if both have labels of their own, or a heading.
    """
    for left, right in combinations(blocks, 2):
        labels = sum(line.text.endswith(":") for line in left.lines)
        if labels >= max(2, _LABELS * len(left.lines)):
            return True
        alike = (
            right.share(left) < 1
            or (_has_number(left) and _has_number(right))
            or (_has_labels(left) and _has_labels(right))
            or (_has_heading(left) and _has_heading(right))
        )
        if not alike:
            return True
    return False


def _has_number(block: _Block) -> bool:
    held = sum(any(c.isdigit() for c in line.text) for line in block.lines)
    return 0 < held < len(block.lines)


def _has_labels(block: _Block) -> bool:
    return sum(":" in line.text[:-1] for line in block.lines) > 1


def _has_heading(block: _Block) -> bool:
    first, *others = block.lines
    bold = first.is_bold and not any(line.is_bold for line in others)
    return bold or (first.text.endswith(":") and not any(x.text.endswith(":") for x in others))
