"""Cuts a long text at natural boundaries. Pure; measures through a callback, not in tokens.

Boundaries are tried in this order: paragraphs, lines, sentences (with or without spaces between
them), clauses, words, and last characters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SizeEstimate", "cut_text", "last_sentences", "longest_fit"]

# Ends of sentences, one alternative per group of scripts:
# - Latin and similar: a mark and a space. A lower-case letter or a digit after the space means
#   an abbreviation ("Fig. 3").
# - Arabic, Devanagari, Khmer, Burmese, Tibetan, Ethiopic: their own marks and a space.
# - Chinese and Japanese: their own marks; no space needed.
# Thai has no marks: its spaces separate phrases. The lookbehinds try a run of marks only once,
# from its start.
_SENTENCE_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s+[^\sa-z\d])"
    r"|(?<![؟۔।॥။។།።])[؟۔।॥။។།።]++[\"'”’)\]]*+(?=\s|\Z)"
    r"|[。！？｡；]+[」』”’）]*"
)
_LEVELS: tuple[re.Pattern[str], ...] = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    _SENTENCE_END,
    re.compile(r"[,;:،؛、，；：]\s*|\\\\"),
    re.compile(r"\s+"),
)
_LINE_LEVEL: Final = 1
_MIN_FILL: Final = 0.5
"""A better boundary is rejected if the piece would hold less than this share of what fits."""
_NEAR_ENOUGH: Final = 0.9
"""A piece that fills this share of its room is long enough: every further guess costs a count."""
_AIM: Final = 0.97
"""Guesses aim a little below the estimate; otherwise every other one would just not fit."""
_MAX_COUNTS: Final = 6


def cut_text(
    text: str,
    measure: Callable[[int, int], int],
    limit: Callable[[int], int],
    avoid: Sequence[tuple[int, int]] = (),
    *,
    lines: bool = False,
) -> Iterator[tuple[int, int]]:
    """Cut ``text`` into few pieces that fit, at natural boundaries.

    Args:
        text: the text to cut.
        measure: size of ``text[start:end]``.
        limit: largest size of a piece that begins at ``start``. A single character always
            counts as fitting.
        avoid: ranges to cut only if nothing else fits.
        lines: whether the text consists of lines, as code does. Lines keep their indentation,
            and a line is cut only if it does not fit alone.

    Yields:
        Character ranges ``(start, end)``, none empty. They cover all but white space at the cuts.
    """
    cuts = [_allowed(sorted({m.end() for m in level.finditer(text)}), avoid) for level in _LEVELS]
    preferred = cuts[: _LINE_LEVEL + 1] if lines else cuts
    start = _skip_space(text, 0, lines)
    estimate = SizeEstimate(measure(start, start))
    while start < len(text):
        longest, estimate = longest_fit(len(text), start, measure, limit(start), estimate)
        end = longest
        if longest < len(text):
            end = _cut(text, start, longest, preferred, cuts[-1], avoid)
        # Fewer characters can be more tokens: a word cut short may leave the vocabulary.
        while end > start + 1 and measure(start, _stripped(text, start, end)) > limit(start):
            end = _cut(text, start, end - 1, preferred, cuts[-1], avoid)
        stop = _stripped(text, start, end)
        if stop > start:
            yield start, stop
        start = _skip_space(text, end, lines)


def _stripped(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def _allowed(offsets: list[int], avoid: Sequence[tuple[int, int]]) -> list[int]:
    """The offsets outside all ranges. An edge of a range is outside."""
    inside: set[int] = set()
    for a, b in avoid:
        inside.update(offsets[bisect_right(offsets, a) : bisect_left(offsets, b)])
    return [offset for offset in offsets if offset not in inside] if inside else offsets


def _skip_space(text: str, start: int, lines: bool) -> int:
    end = start
    while end < len(text) and text[end].isspace():
        end += 1
    if not lines or end == len(text):
        return end
    # The indentation belongs to the line.
    newline = text.rfind("\n", max(start - 1, 0), end)
    return newline + 1 if newline >= 0 or not start else end


@dataclass(frozen=True, slots=True)
class SizeEstimate:
    """A linear estimate of sizes: ``base`` for an empty part plus ``density`` per item."""

    base: int
    density: float = 0.0

    def reach(self, room: int) -> int:
        """About how many items fit into a room."""
        return int((room - self.base) / self.density)

    def through(self, size: int, items: int) -> SizeEstimate:
        """The estimate that is exact for a measured part."""
        return SizeEstimate(self.base, max((size - self.base) / items, 1e-3))


def longest_fit(
    length: int, start: int, measure: Callable[[int, int], int], room: int, estimate: SizeEstimate
) -> tuple[int, SizeEstimate]:
    """Find an end that fits and is close to the largest that does.

    A binary search that starts from guesses: the size is assumed to grow linearly, and each
    measurement improves the estimate.

    Args:
        length: length of the sequence to cut.
        start: position at which the part begins. A single item always counts as fitting.
        measure: size of the part between two positions.
        room: largest size of the part.
        estimate: from earlier parts.

    Returns:
        The end of the part, and the improved estimate.
    """
    low, high = start + 1, length
    guess = start + estimate.reach(room) if estimate.density else length
    counts = 0
    while low < high and not (counts >= _MAX_COUNTS and low > start + 1):
        counts += 1
        guess = max(low + 1, min(guess, high))
        size = measure(start, guess)
        estimate = estimate.through(size, guess - start)
        if size <= room:
            low = guess
            if size >= room * _NEAR_ENOUGH:
                break
        else:
            high = guess - 1
        aims = counts < _MAX_COUNTS
        guess = start + estimate.reach(int(room * _AIM)) if aims else (low + high + 1) // 2
    return low, estimate


def _cut(
    text: str,
    start: int,
    longest: int,
    preferred: Sequence[Sequence[int]],
    words: Sequence[int],
    avoid: Sequence[tuple[int, int]],
) -> int:
    """The offset at which to end a piece that begins at ``start``, at most ``longest``."""
    least = start + (longest - start) * _MIN_FILL
    tries = [*((p, least) for p in preferred), (preferred[-1], start), (words, start)]
    for offsets, above in tries:
        position = bisect_right(offsets, longest) - 1
        if position >= 0 and offsets[position] > above:
            return offsets[position]
    return _outside(_whole_character(text, start, longest), start, avoid)


def _outside(cut: int, start: int, avoid: Sequence[tuple[int, int]]) -> int:
    """Move a cut in front of the range it falls into, if that leaves a piece."""
    for a, b in avoid:
        if a < cut < b and a > start:
            return _outside(a, start, avoid)
    return cut


def _whole_character(text: str, start: int, end: int) -> int:
    """Move a cut in front of a character that it would separate from its marks or joiners."""
    cut = end
    while (
        cut > start + 1
        and cut < len(text)
        and (_extends(text[cut]) or text[cut - 1] == "\u200d" or _is_flag(text, cut))
    ):
        cut -= 1
    return cut if cut > start + 1 else end


def _extends(char: str) -> bool:
    """Whether a character modifies the previous one: marks, joiners, skin tones."""
    is_mark = unicodedata.category(char)[0] == "M"
    return is_mark or char in "\u200d\ufe0f" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _is_flag(text: str, cut: int) -> bool:
    """Whether a cut separates the two regional indicators of a flag."""
    before = cut
    while before and _is_indicator(text[before - 1]):
        before -= 1
    return _is_indicator(text[cut]) and (cut - before) % 2 == 1


def _is_indicator(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def last_sentences(text: str, fits: Callable[[str], bool], most: int = 100) -> str:
    """The last whole sentences of a text, ``most`` at most, that fit together; may be empty."""
    starts = [0, *(m.end() for m in _SENTENCE_END.finditer(text.rstrip()))]
    tail = ""
    for start in reversed(starts[-most:]):
        longer = text[start:].strip()
        if longer and not fits(longer):
            break
        tail = longer or tail
    return tail
