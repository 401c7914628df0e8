"""Parses PDF objects, as MuPDF writes them, into tokens and values. Pure.

The parser never guesses: text outside of tokens and unmatched brackets are errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["dictionary", "elements", "reference", "tokens"]

_REGULAR: Final = r"[^\s()<>\[\]{}/%]"
_TOKEN: Final = re.compile(
    rf"""
    \((?:\\.|[^\\()])*\)                       # a string; MuPDF escapes its brackets
    | <[0-9A-Fa-f]*>                           # a hexadecimal string
    | << | >> | \[ | \]
    | /{_REGULAR}*                             # a name
    | \d{{1,10}}\ \d{{1,5}}\ R(?!{_REGULAR})   # a reference
    | {_REGULAR}+                              # a number or a word
    | \s+
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = {">>": "<<", "]": "["}


def tokens(text: str) -> list[str]:
    """Split a text into strings, names, references (``"5 0 R"``), numbers, words and brackets.

    Raises:
        ValueError: the text has a part that is not a token.
    """
    found: list[str] = _TOKEN.findall(text)
    if sum(map(len, found)) != len(text):
        raise ValueError("a PDF object has text outside of tokens")
    return [token for token in found if not token.isspace()]


def reference(token: str) -> int | None:
    """Return the object number that a token refers to, or None if it is not a reference."""
    is_reference = token[:1].isdigit() and token.endswith(" R")
    return int(token.split(" ")[0]) if is_reference else None


def dictionary(written: Sequence[str]) -> dict[str, list[str]]:
    """Return the keys of a dictionary, with their slashes, and the tokens of their values.

    Raises:
        ValueError: the tokens are not a dictionary.
    """
    parts = _inside(written, "<<")
    keys = [part[0] for part in parts[::2]]
    found = dict(zip(keys, parts[1::2], strict=False))
    if 2 * len(found) != len(parts) or not all(key.startswith("/") for key in keys):
        raise ValueError("a key of a dictionary is not a name, has no value, or occurs twice")
    return found


def elements(written: Sequence[str]) -> list[list[str]]:
    """Return the tokens of each element of an array; raise ValueError if there is none."""
    return _inside(written, "[")


def _inside(written: Sequence[str], bracket: str) -> list[list[str]]:
    """Return the tokens of each value between the outermost brackets."""
    found: list[list[str]] = []
    open_: list[str] = []
    for position, token in enumerate(written):
        if not open_ and (position or token != bracket):
            raise ValueError(f"{token} is outside of {bracket}")
        if len(open_) == 1 and token not in _OPENING:
            found.append([])
        if token in _OPENING and open_.pop() != _OPENING[token]:
            raise ValueError(f"{token} does not match an open bracket")
        if open_:
            found[-1].append(token)
        if token in _OPENING.values():
            open_.append(token)
    if open_ or not written:
        raise ValueError(f"{bracket} is missing or not closed")
    return found
