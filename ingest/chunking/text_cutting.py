"""Cutting a text that is too long, at the best places that fit. Pure; knows no tokens.

A cut is tried first between paragraphs, then lines, sentences (with and without spaces
between them), words, and at last between characters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Line", "last_sentences", "longest_fit", "split_text"]

# Ends of sentences. Latin-like scripts need a space after the mark, and what follows an
# abbreviation mostly begins small or with a digit ("Fig. 3"); Chinese and Japanese need none;
# Arabic ؟ and ۔, Devanagari, Khmer, Burmese, Tibetan and Ethiopic marks. Thai has no marks: its
# spaces separate phrases. A run of marks is tried once, from its start.
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
"""A cut that leaves less than this share of what would fit is not worth its better place."""
_NEAR_ENOUGH: Final = 0.9
"""A piece that fills this share of its room is long enough: looking for more costs a count each."""
_AIM: Final = 0.97
"""Guesses are a little below the line, or every other one would just not fit."""
_MAX_COUNTS: Final = 6


def split_text(
    text: str,
    measure: Callable[[int, int], int],
    limit: Callable[[int], int],
    avoid: Sequence[tuple[int, int]] = (),
    *,
    lines: bool = False,
) -> Iterator[tuple[int, int]]:
    """Cut ``text`` into few pieces that fit, at natural places.

    Pieces cover everything but white space at their edges; none is empty.

    Args:
        text: the text to cut.
        measure: size of ``text[start:end]``.
        limit: the size that a piece beginning at ``start`` may have. One character is taken to
            fit always.
        avoid: ranges that are cut only where nothing else fits.
        lines: whether the text is one of lines, as code is: they are cut inside only where one
            does not fit, and keep their indentation.

    Yields:
        Character ranges ``(start, end)``.
    """
    cuts = [_allowed(sorted({m.end() for m in level.finditer(text)}), avoid) for level in _LEVELS]
    preferred = cuts[: _LINE_LEVEL + 1] if lines else cuts
    start = _skip_space(text, 0, lines)
    line = Line(measure(start, start))
    while start < len(text):
        longest, line = longest_fit(len(text), start, measure, limit(start), line)
        places = (preferred, cuts[-1])
        end = _cut(text, start, longest, places, avoid) if longest < len(text) else longest
        # Fewer characters can be more tokens: a word cut short may leave the vocabulary.
        while end > start + 1 and measure(start, _stripped(text, start, end)) > limit(start):
            longest = end - 1
            end = _cut(text, start, longest, places, avoid)
        stop = _stripped(text, start, end)
        if stop > start:
            yield start, stop
        start = _skip_space(text, end, lines)


def _stripped(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())


def _allowed(places: list[int], avoid: Sequence[tuple[int, int]]) -> list[int]:
    """Places outside all ranges. Touching an edge is outside."""
    inside: set[int] = set()
    for a, b in avoid:
        inside.update(places[bisect_right(places, a) : bisect_left(places, b)])
    return [p for p in places if p not in inside] if inside else places


def _skip_space(text: str, start: int, lines: bool) -> int:
    end = start
    while end < len(text) and text[end].isspace():
        end += 1
    if not lines or end == len(text):
        return end
    # What is in front of the first word of a line belongs to it.
    newline = text.rfind("\n", max(start - 1, 0), end)
    return newline + 1 if newline >= 0 or not start else end


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of sizes: ``base`` of an empty part, and about how much an item adds."""

    base: int
    density: float = 0.0

    def reach(self, room: int) -> int:
        """About how many items fit."""
        return int((room - self.base) / self.density)

    def through(self, size: int, items: int) -> Line:
        """The line through a part that was measured."""
        return Line(self.base, max((size - self.base) / items, 1e-3))


def longest_fit(
    length: int, start: int, measure: Callable[[int, int], int], room: int, line: Line
) -> tuple[int, Line]:
    """An end that fits, not far from the largest that does, and what was learnt of sizes.

    The size is taken to grow evenly: each guess is where the line through what was measured
    reaches the room.

    Args:
        length: of the sequence that is cut.
        start: where the part begins; one item is taken to fit always.
        measure: size of the part from one place to another.
        room: the most it may be.
        line: what is known from other parts.
    """
    low, high = start + 1, length
    guess = start + line.reach(room) if line.density else length
    counts = 0
    while low < high and not (counts >= _MAX_COUNTS and low > start + 1):
        counts += 1
        guess = max(low + 1, min(guess, high))
        size = measure(start, guess)
        line = line.through(size, guess - start)
        if size <= room:
            low = guess
            if size >= room * _NEAR_ENOUGH:
                break
        else:
            high = guess - 1
        aims = counts < _MAX_COUNTS
        guess = start + line.reach(int(room * _AIM)) if aims else (low + high + 1) // 2
    return low, line


def _cut(
    text: str,
    start: int,
    longest: int,
    places: tuple[Sequence[Sequence[int]], Sequence[int]],
    avoid: Sequence[tuple[int, int]],
) -> int:
    preferred, words = places
    least = start + (longest - start) * _MIN_FILL
    for level in preferred:
        place = bisect_right(level, longest) - 1
        if place >= 0 and level[place] > least:
            return level[place]
    for level in (preferred[-1], words):
        place = bisect_right(level, longest) - 1
        if place >= 0 and level[place] > start:
            return level[place]
    return _outside(_whole_character(text, start, longest), start, avoid)


def _outside(cut: int, start: int, avoid: Sequence[tuple[int, int]]) -> int:
    """Before the range a cut falls into, if that leaves anything."""
    for a, b in avoid:
        if a < cut < b and a > start:
            return _outside(a, start, avoid)
    return cut


def _whole_character(text: str, start: int, end: int) -> int:
    """Move a cut off marks and joiners, which belong to the character before."""
    cut = end
    while (
        cut > start + 1
        and cut < len(text)
        and (_extends(text[cut]) or text[cut - 1] == "\u200d" or _is_flag(text, cut))
    ):
        cut -= 1
    return cut if cut > start + 1 else end


def _extends(char: str) -> bool:
    """Whether a character only changes the one before: marks, joiners, skin tones."""
    return (
        unicodedata.category(char)[0] == "M"
        or char in "\u200d\ufe0f"
        or ("\U0001f3fb" <= char <= "\U0001f3ff")
    )


def _is_flag(text: str, cut: int) -> bool:
    """Whether a cut parts the two regional indicators of a flag."""
    before = cut
    while before and _is_indicator(text[before - 1]):
        before -= 1
    return _is_indicator(text[cut]) and (cut - before) % 2 == 1


def _is_indicator(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def last_sentences(text: str, fits: Callable[[str], bool], most: int = 100) -> str:
    """The last whole sentences of a text that fit together; empty if not even one does.

    Args:
        text: the text.
        fits: whether a text is short enough.
        most: how many sentences at most.
    """
    starts = [0, *(m.end() for m in _SENTENCE_END.finditer(text.rstrip()))]
    tail = ""
    for start in reversed(starts[-most:]):
        longer = text[start:].strip()
        if longer and not fits(longer):
            break
        tail = longer or tail
    return tail
