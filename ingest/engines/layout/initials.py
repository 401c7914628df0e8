"""Finds large initials that belong to the first word of a text: "T" before "he keeper". Pure.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

import re
from typing import Final

from .text_layer.words import LayoutWord

__all__ = ["is_initial"]

_LARGE: Final = 1.8  # size of a large initial over that of the text
_DROPPED: Final = 0.5  # sizes of the text that an initial reaches below the first line
_WORDS: Final = frozenset("AI")
"""Initials that are English words by themselves."""
_BEGINS_WORD: Final = re.compile(
    r"(?:[bcdfghjklmnpqrstvwxyz]|ch|sh|th|wh|ph|qu|[bcfgkps]l|[bcdfgkptw]r|s[cklmnpqtw]|sch|tw|dw"
    r"|s[cpt]r|spl|thr|shr|kn|wr|gn)[aeiouy]",
    re.I,
)
"""Beginnings of English words: "new" may follow the article "A", "fter" may not."""
_REST: Final = re.compile(
    r"(?:bout|bove|gain|merica\w*|mid|mong\w*|pril|reland|taly|mag\w+)\b", re.I
)
"""Rests of frequent words that begin like a word: "About", "Among", "Imagine"."""


def is_initial(before: str, first: LayoutWord, after: str, second: LayoutWord) -> bool:
    """Whether a line ``before``, which ends with ``first``, is the initial of the line ``after``.

    Text in capitals follows an initial only if it goes on in small letters ("T", "HE KEEPER of"),
    and if the initial is dropped: other large letters before capitals are labels. After the
    letters that are words, the text must begin like the rest of a word.
    """
    gap = second.rect[0] - first.rect[2]
    near = -0.1 * first.size <= gap <= second.size
    if not (near and len(before) == 1 and before.isupper() and after):
        return False
    if first.size < _LARGE * second.size or not _goes_on(first, after, second):
        return False
    return before not in _WORDS or bool(_REST.match(after)) or not _BEGINS_WORD.match(after)


def _goes_on(first: LayoutWord, after: str, second: LayoutWord) -> bool:
    if after[0].islower():
        return True
    is_dropped = first.rect[3] > second.rect[3] + _DROPPED * second.size
    return is_dropped and after[0].isupper() and second.text.isupper() and not after.isupper()
