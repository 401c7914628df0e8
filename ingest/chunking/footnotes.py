"""Finds the block that refers to a footnote by its mark. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["find_references"]

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
    # A superscript extracted as plain digits: "text1 goes on", "at the end 1."
    re.compile(r"(?<=[^\W\d_])(\d{1,3})(?=[\s.,;:)]|\Z)"),
    re.compile(rf"(?<![^\W\d_])(?!(?:{_COUNTED}) )[a-zß-öø-ÿ]{{2,40}} (\d{{1,3}})(?=[.,;:)]|\Z)"),
)
"""Ways to write a numbered reference, from the most to the least reliable."""


def find_references(notes: Sequence[str], texts: Sequence[str]) -> list[int | None]:
    """Find the text that refers to each footnote of a page (``notes``, with their marks).

    The most reliable kind of reference that occurs in exactly one text decides.

    Returns:
        For each footnote the position in ``texts``; None unless exactly one refers to it.
    """
    index: dict[tuple[str, str], set[int]] = defaultdict(set)
    for position, text in enumerate(texts):
        for reference in _references(text):
            index[reference].add(position)
    found: list[int | None] = []
    for note in notes:
        positions = (index.get(reference, set()) for reference in _references_to(note))
        unique = next((found_in for found_in in positions if len(found_in) == 1), set())
        found.append(next(iter(unique), None))
    return found


def _references(text: str) -> Iterator[tuple[str, str]]:
    """Kind and mark of everything in a text that may refer to a footnote."""
    for kind, pattern in (("name", _NAMED), ("symbol", _SYMBOL), *_numbered()):
        for match in pattern.finditer(text):
            yield kind, match[1].translate(_TO_DIGITS)


def _numbered() -> Iterator[tuple[str, re.Pattern[str]]]:
    return ((f"number {rank}", pattern) for rank, pattern in enumerate(_NUMBERS))


def _references_to(note: str) -> list[tuple[str, str]]:
    """Kind and mark of the references a footnote may have, most reliable first."""
    mark = _MARK.match(note)
    if mark is None:
        return []
    if mark[1]:
        return [("name", mark[1].translate(_TO_DIGITS))]
    if mark[3]:
        return [("symbol", mark[3])]
    digits = (mark[2] or mark[4] or mark[5]).translate(_TO_DIGITS)
    return [(kind, digits) for kind, _ in _numbered()]
