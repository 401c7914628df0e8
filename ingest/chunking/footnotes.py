"""Which block calls a footnote: the only one with its mark, by ever weaker signs. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["callers"]

_MARK: Final = re.compile(
    r"\s*(?:\[\^([^\]\s]{1,40})\]:|\[(\d{1,3})\]|([*†‡§¶]{1,3})|([¹²³⁰⁴-⁹]{1,3})|(\d{1,3})[\s.):])"
)
_TO_DIGITS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_COUNTED: Final = "page|step|section|chapter|part|item|line|level|type|phase|case|table|figure|note"
_NAMED: Final = re.compile(r"\[\^([^\]\s]{1,40})\](?!:)")
_SYMBOL: Final = re.compile(r"(?<=[\w.,;)])([*†‡§¶]{1,3})(?![*†‡§¶\w])")
_NUMBERS: Final = (
    re.compile(r"(?<=[^\s⁰¹²³⁴-⁹])([⁰¹²³⁴-⁹]{1,3})(?![⁰¹²³⁴-⁹])"),
    re.compile(r"\[(\d{1,3})\]"),
    # A raised number that lost its height: "text1 goes on", "at the end 1."
    re.compile(r"(?<=[^\W\d_])(\d{1,3})(?=[\s.,;:)]|\Z)"),
    re.compile(rf"(?<![^\W\d_])(?!(?:{_COUNTED}) )[a-zß-öø-ÿ]{{2,40}} (\d{{1,3}})(?=[.,;:)]|\Z)"),
)
"""From the surest sign to the weakest."""


def callers(notes: Sequence[str], texts: Sequence[str]) -> list[int | None]:
    """For each footnote, the place of the text that calls it; None if it is none or several.

    Args:
        notes: the footnotes of a page with their marks.
        texts: its other blocks.
    """
    index: dict[tuple[str, str], set[int]] = defaultdict(set)
    for place, text in enumerate(texts):
        for sign in _signs(text):
            index[sign].add(place)
    found: list[int | None] = []
    for note in notes:
        sure = (places for sign in _wanted(note) if len(places := index.get(sign, ())) == 1)
        found.append(next(iter(next(sure, ())), None))
    return found


def _signs(text: str) -> Iterator[tuple[str, str]]:
    """Kind and mark of all that may call a footnote."""
    for kind, pattern in (("name", _NAMED), ("symbol", _SYMBOL), *_numbered()):
        for match in pattern.finditer(text):
            yield kind, match[1].translate(_TO_DIGITS)


def _numbered() -> Iterator[tuple[str, re.Pattern[str]]]:
    return ((f"number {rank}", pattern) for rank, pattern in enumerate(_NUMBERS))


def _wanted(note: str) -> list[tuple[str, str]]:
    """The signs that would call a footnote, the surest first."""
    mark = _MARK.match(note)
    if mark is None:
        return []
    if mark[1]:
        return [("name", mark[1].translate(_TO_DIGITS))]
    if mark[3]:
        return [("symbol", mark[3])]
    digits = (mark[2] or mark[4] or mark[5]).translate(_TO_DIGITS)
    return [(kind, digits) for kind, _ in _numbered()]
