"""Groups the words of a table into lines, and each line into phrases. Pure."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from ..geometry import Rect, union, vertical_overlap
from ..text_layer.words import LayoutWord

__all__ = ["Line", "Phrase", "is_amount", "is_year", "lines_of", "numbers_apart"]

_GAP: Final = 0.7
"""Gap between two phrases, in font sizes. Word spaces of justified text reach 0.6."""
_SPACED: Final = 1.0
"""The same between words that the source has in one line: headings may be spaced."""
_SAME_LINE: Final = 0.5  # vertical overlap of words in one line
_CURRENCY: Final = re.compile(r"(?:[A-Z]{0,3}[$€£¥₹]|EUR|USD|GBP|CHF)\(?")
_UNIT: Final = re.compile(r"\)?(?:%|\)|x|bps|pts?)\)?")
_UNIT_GAP: Final = 2.0  # font sizes between a number and its sign in a column of its own
_LONGEST_SIGN: Final = 3  # letters of "EUR" and "bps"
_RANGE: Final = 1.0  # font sizes around the dash between two numbers
_AMOUNT: Final = re.compile(
    r"(?:[A-Z]{0,3}[$€£¥₹])?\s*[(+\-−–—\ufffd]*\s*(?:[A-Z]{0,3}[$€£¥₹])?\s*[.,]?\d(?:[\d.,'\s]*\d)?\.?"
    r"(?:e-?\d+)?\s*(?:%|‰|x|[a-z*†]{1,2})?\s*\)?\s*%?|[-−–—]+|N/?[AM]|n/?[am]"
)
_SAME_END: Final = 0.15  # font sizes between the right ends of numbers in one column
_WITNESSES: Final = 2  # other lines with a phrase that ends there
_YEAR: Final = re.compile(r"(?:19|20)\d\d(?:\s*[-–/]\s*(?:\d\d){1,2})?(?:\s*\(?\w\)?)?")


def is_amount(text: str) -> bool:
    """Whether a text is a number, a share or the dash of an empty value; a year is not."""
    return bool(_AMOUNT.fullmatch(text)) and not _YEAR.fullmatch(text)


def is_year(text: str) -> bool:
    """Whether a text is a year or a span of years, with or without a footnote mark."""
    return bool(_YEAR.fullmatch(text))


@dataclass(frozen=True)
class Phrase:
    """Words of a line without a wide gap between them, from the left."""

    words: tuple[LayoutWord, ...]

    @cached_property
    def rect(self) -> Rect:
        """The box around the words."""
        return union(w.rect for w in self.words)

    @cached_property
    def text(self) -> str:
        """The words, separated by spaces."""
        return " ".join(w.text for w in self.words)

    @cached_property
    def size(self) -> float:
        """The largest font size."""
        return max(w.size for w in self.words)

    @cached_property
    def is_number(self) -> bool:
        """Whether it is a number of any kind."""
        return bool(_AMOUNT.fullmatch(self.text) or _YEAR.fullmatch(self.text))

    @cached_property
    def is_amount(self) -> bool:
        """See :func:`is_amount`."""
        return is_amount(self.text)

    @cached_property
    def is_bold(self) -> bool:
        """Whether all words are bold."""
        return all(w.bold for w in self.words)

    @cached_property
    def digit_edge(self) -> float:
        """Where the last digit ends: closing brackets and signs hang out of the column."""
        tail = len(self.text) - len(self.text.rstrip(")%*†‡ "))
        last = self.words[-1]
        width = (last.rect[2] - last.rect[0]) / max(1, len(last.text))
        return self.rect[2] - (min(tail, len(last.text)) * 0.6 * width if tail else 0.0)


@dataclass(frozen=True)
class Line:
    """Phrases side by side, from the left."""

    phrases: tuple[Phrase, ...]

    @cached_property
    def rect(self) -> Rect:
        """The box around the phrases."""
        return union(p.rect for p in self.phrases)

    @cached_property
    def size(self) -> float:
        """The largest font size."""
        return max(p.size for p in self.phrases)


def lines_of(words: Sequence[LayoutWord], walls: Sequence[float] = ()) -> list[Line]:
    """Group words into lines from the top. ``walls`` are positions that no phrase crosses."""
    groups: list[list[LayoutWord]] = []
    for word in sorted(words, key=lambda w: (w.rect[1] + w.rect[3], w.rect[0], w.text)):
        if groups and _is_beside(word, groups[-1]):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [Line(tuple(_phrases(group, walls))) for group in groups]


def numbers_apart(lines: Sequence[Line]) -> list[Line]:
    """Part numbers that are a word space apart where phrases of other lines end: at a column.

    A space within a number, as in "1 250", does not end a phrase.
    """
    ends = sorted((p.rect[2], i) for i, line in enumerate(lines) for p in line.phrases)
    return [
        Line(tuple(part for p in line.phrases for part in _parted(p, i, ends)))
        for i, line in enumerate(lines)
    ]


def _parted(phrase: Phrase, number: int, ends: Sequence[tuple[float, int]]) -> list[Phrase]:
    words = phrase.words
    if len(words) < 2 or not all(is_amount(w.text) for w in words):
        return [phrase]
    slack = _SAME_END * phrase.size
    cuts = []
    for i, word in enumerate(words[:-1], 1):
        low, high = bisect(ends, (word.rect[2] - slack,)), bisect(ends, (word.rect[2] + slack,))
        if len({line for _, line in ends[low:high]} - {number}) >= _WITNESSES:
            cuts.append(i)
    return [Phrase(words[a:b]) for a, b in pairwise([0, *cuts, len(words)])]


def _is_beside(word: LayoutWord, group: Sequence[LayoutWord]) -> bool:
    tallest = max(group[:8], key=lambda w: w.size)
    return vertical_overlap(word.rect, tallest.rect) > _SAME_LINE


def _phrases(words: Sequence[LayoutWord], walls: Sequence[float]) -> list[Phrase]:
    groups: list[list[LayoutWord]] = []
    for word in sorted(words, key=lambda w: (w.rect[0], w.rect[2])):
        if groups and not _is_apart(groups[-1], word, walls):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [Phrase(tuple(group)) for group in _with_signs(groups, walls)]


def _is_apart(group: Sequence[LayoutWord], word: LayoutWord, walls: Sequence[float]) -> bool:
    last = group[-1]
    if word.glued and word.line == last.line and word.raised:
        return False
    end = max(w.rect[2] for w in group)
    size = min(word.size, last.size) if not word.raised else last.size
    gap = _SPACED if word.line == last.line else _GAP
    begins = bool(_CURRENCY.fullmatch(word.text)) and not _CURRENCY.fullmatch(last.text)
    return begins or word.rect[0] - end > gap * size or _is_cut(last.rect, word.rect, walls)


def _is_cut(left: Rect, right: Rect, walls: Sequence[float]) -> bool:
    a, b = (left[0] + left[2]) / 2, (right[0] + right[2]) / 2
    return any(a < x < b for x in walls)


def _with_signs(groups: list[list[LayoutWord]], walls: Sequence[float]) -> list[list[LayoutWord]]:
    """Join currency signs to the number after them, percent signs to the number before them."""
    joined: list[list[LayoutWord]] = []
    for group in groups:
        whole = bool(joined) and not _is_cut(joined[-1][-1].rect, group[0].rect, walls)
        if whole and _belong_together(joined[-1], group):
            joined[-1] = joined[-1] + group
        else:
            joined.append(group)
    return joined


def _belong_together(left: list[LayoutWord], right: list[LayoutWord]) -> bool:
    if len(right[0].text) > _LONGEST_SIGN and right[0].text.isalpha():
        return False
    before, after = (" ".join(w.text for w in group) for group in (left, right))
    gap = (right[0].rect[0] - left[-1].rect[2]) / max(right[0].size, 1e-3)
    is_number = bool(_AMOUNT.fullmatch(after))
    if _CURRENCY.fullmatch(before) or before == "(":
        return is_number or gap < _GAP
    if _CURRENCY.fullmatch(after) or not _AMOUNT.fullmatch(before.removesuffix(" -")):
        return gap < _GAP and bool(_CURRENCY.fullmatch(after)) and not _AMOUNT.fullmatch(before)
    is_range = gap < _RANGE and ((before.endswith(" -") and is_number) or after == "-")
    return is_range or (bool(_UNIT.fullmatch(after)) and gap < _UNIT_GAP)
