"""Closes up letters that are set apart, as in "A N N U A L  R E P O R T". Pure.

Nothing but the gaps tells the letters of a word from the spaces between words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Final

from .text_layer.words import LayoutWord

__all__ = ["closed_up", "is_spaced_letter"]

_FEWEST_CAPITALS: Final = 4  # fewer are initials of a name
_FEWEST_MIXED: Final = 6  # letters, the first a capital; fewer are a formula
_FEWEST_SMALL: Final = 8  # the same without a capital
_LONGEST_MIXED: Final = 4  # letters that the longest word has at least: "A a B b" are labels
_WIDER: Final = 1.6  # times the usual gap of letters set apart: a space between words
_VOWEL: Final = re.compile(r"[AEIOUYaeiouy]|[^\x00-\x7f]")
_WORD: Final = re.compile(r"[^\W\d_]?[^\W\d_A-Z]*")


def is_spaced_letter(text: str) -> bool:
    """Whether a word may be a letter of one that is set apart: a letter with case, or a figure."""
    return len(text) == 1 and (text.isupper() or text.islower() or text.isdigit() or text == "&")


def closed_up(line: Sequence[LayoutWord]) -> list[LayoutWord]:
    """Glue letters that are set apart; wider gaps are spaces.

    Letters in the order of the alphabet, and the same letter again and again, are labels.
    """
    closed = list(line)
    for start, end in _runs(line):
        run = line[start:end]
        if any(w.glued for w in run):  # letters that touch, each drawn on its own
            continue
        gaps = [b.rect[0] - a.rect[2] for a, b in pairwise(run)]
        usual = median(gaps)
        if not 0 < usual <= run[0].size:  # farther apart, they are columns or answers
            continue
        glued = [gap < _WIDER * usual for gap in gaps]
        if _are_words(_words(run, glued)):
            for i, is_glued in enumerate(glued, start=start + 1):
                closed[i] = replace(closed[i], glued=is_glued)
    return closed


def _runs(line: Sequence[LayoutWord]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of enough single letters."""
    start = 0
    for i in range(len(line) + 1):
        if i < len(line) and is_spaced_letter(line[i].text):
            continue
        if i - start >= _FEWEST_CAPITALS:
            yield start, i
        start = i + 1


def _words(run: Sequence[LayoutWord], glued: Sequence[bool]) -> list[str]:
    words = [run[0].text]
    for letter, is_glued in zip(run[1:], glued, strict=True):
        if is_glued:
            words[-1] += letter.text
        else:
            words.append(letter.text)
    return words


def _are_words(words: Sequence[str]) -> bool:
    """Whether letters set apart are words: in capitals, with a capital each at most, or small."""
    text = "".join(words)
    if not _VOWEL.search(text) or _are_labels(text):
        return False
    capitals = sum(c.isupper() for c in text)
    if not any(c.islower() for c in text):
        return capitals >= _FEWEST_CAPITALS
    if not all(map(_WORD.fullmatch, words)) or max(map(len, words)) < _LONGEST_MIXED:
        return False
    return len(text) >= (_FEWEST_MIXED if text[0].isupper() else _FEWEST_SMALL)


def _are_labels(text: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in pairwise(text.casefold())}
    return steps <= {0, 1}
