"""Cutting a text that is too long, at the best places that fit. Pure; knows no tokens.

A cut is tried first between paragraphs, then lines, sentences (with and without spaces
between them), words, and at last between characters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator

__all__ = ["split_text"]

# Ends of sentences: Latin-like scripts need a space after the mark, Chinese and Japanese do
# not; Arabic ؟ and ۔, Devanagari danda. Thai has no marks: its spaces separate phrases.
_SENTENCE_END = re.compile(r"[.!?…؟۔।]+[\"'”’)\]]*(?=\s)|[。！？｡；]+[」』”’）]*")
_LEVELS: tuple[re.Pattern[str], ...] = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    _SENTENCE_END,
    re.compile(r"[,;:،、，；：]\s*"),
    re.compile(r"\s+"),
)
# A cut that leaves less than this share of what would fit is not worth its better place.
_MIN_FILL = 0.5


def split_text(text: str, fits: Callable[[int, int], bool]) -> Iterator[tuple[int, int]]:
    """Cut ``text`` into the fewest pieces that fit, at natural places.

    Pieces cover everything but white space at their edges; none is empty.

    Args:
        text: the text to cut.
        fits: whether ``text[start:end]`` is short enough. Assumed to hold for shorter pieces
            of any text it holds for; one character is taken to fit always.

    Yields:
        Character ranges ``(start, end)``.
    """
    cuts = [sorted({m.end() for m in level.finditer(text)}) for level in _LEVELS]
    start = _skip_space(text, 0)
    while start < len(text):
        end = _piece_end(text, start, cuts, fits)
        stop = start + len(text[start:end].rstrip())
        if stop > start:
            yield start, stop
        start = _skip_space(text, end)


def _skip_space(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start


def _piece_end(
    text: str, start: int, cuts: list[list[int]], fits: Callable[[int, int], bool]
) -> int:
    if fits(start, len(text)):
        return len(text)
    longest = _longest(start, len(text), fits)
    least = start + (longest - start) * _MIN_FILL
    for level in cuts:
        place = bisect_right(level, longest) - 1
        if place >= 0 and level[place] > least:
            return level[place]
    return _whole_character(text, start, longest)


def _longest(start: int, end: int, fits: Callable[[int, int], bool]) -> int:
    """The largest end that fits, by bisection; at least one character."""
    low, high = start + 1, end
    # Gallop first: pieces are short and texts may be long.
    step = 64
    while low + step < high and fits(start, low + step):
        low, step = low + step, step * 2
    high = min(high, low + step)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(start, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _whole_character(text: str, start: int, end: int) -> int:
    """Move a cut off combining marks and joiners, which belong to the character before."""
    cut = end
    while (
        cut > start + 1
        and cut < len(text)
        and (
            unicodedata.combining(text[cut])
            or text[cut] in "\u200d\ufe0f"
            or text[cut - 1] == "\u200d"
        )
    ):
        cut -= 1
    return cut if cut > start + 1 else end
