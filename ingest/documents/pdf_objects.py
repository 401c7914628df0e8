"""The text of PDF objects as MuPDF writes it, cut into tokens and values. Pure.

Only what is surely understood is: a text that is not wholly made of tokens, or whose brackets do
not match, is an error and no guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["dictionary", "elements", "reference", "tokens"]

_REGULAR: Final = r"[^\s()<>\[\]{}/%]"
_TOKEN: Final = re.compile(
    rf"""
    \((?:\\.|[^\\()])*\)                       # a string; MuPDF escapes brackets in it
    | <[0-9A-Fa-f]*>                           # the same in hexadecimal
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
    """Cut a text into strings, names, references (``"5 0 R"``), numbers, words and brackets.

    Raises:
        ValueError: part of it is none of these.
    """
    found: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() != end:
            break
        end = match.end()
        if not match[0].isspace():
            found.append(match[0])
    if end != len(text):
        raise ValueError(f"no token of a PDF object begins at character {end} of {len(text)}")
    return found


def reference(token: str) -> int | None:
    """The number of the object that a token refers to; None if it is no reference."""
    refers = token[:1].isdigit() and token.endswith(" R")
    return int(token.split(" ")[0]) if refers else None


def dictionary(written: Sequence[str]) -> dict[str, list[str]]:
    """Keys, with their slashes, and the tokens of their values.

    Raises:
        ValueError: these tokens are no dictionary.
    """
    parts = _inside(written, "<<")
    keys = [part[0] for part in parts[::2]]
    found = dict(zip(keys, parts[1::2], strict=False))
    if 2 * len(found) != len(parts) or not all(key.startswith("/") for key in keys):
        raise ValueError("a key of a dictionary is no name, has no value, or stands there twice")
    return found


def elements(written: Sequence[str]) -> list[list[str]]:
    """The tokens of each element of an array.

    Raises:
        ValueError: these tokens are no array.
    """
    return _inside(written, "[")


def _inside(written: Sequence[str], bracket: str) -> list[list[str]]:
    """The values between the outermost brackets."""
    found: list[list[str]] = []
    open_: list[str] = []
    for place, token in enumerate(written):
        if not open_ and (place or token != bracket):
            raise ValueError(f"{token} stands outside of {bracket}")
        if len(open_) == 1 and token not in _OPENING:
            found.append([])
        if token in _OPENING and open_.pop() != _OPENING[token]:
            raise ValueError(f"{token} closes nothing")
        if open_:
            found[-1].append(token)
        if token in _OPENING.values():
            open_.append(token)
    if open_ or not written:
        raise ValueError(f"no {bracket} that is closed")
    return found
