"""Finds bullets among the signs that no table of characters names. Pure.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...quality.garbling import is_unknown
from ..geometry import vertical_overlap
from .words import LayoutWord

__all__ = ["LONGEST_SIGN", "with_bullets"]

LONGEST_SIGN: Final = 2
"""Up to this many undecodable characters at the start of a line are a bullet of an icon font."""
_NARROWEST: Final = 0.15
"""Smallest gap after a bullet, in font sizes. A minus sign touches its number."""
_WIDEST: Final = 4.0  # the same for a bullet that is a line of its own; columns are farther apart
_FEWEST: Final = 2  # bullets below each other, if each is a line of its own
_NUMBER = re.compile(r"[.,]?\d")
_BULLET: Final = "•"


def with_bullets(words: Sequence[LayoutWord]) -> list[LayoutWord]:
    """Replace signs at the beginning of lines by bullets; before a number, they may be a minus."""
    found = list(words)
    signs = [i for i, w in enumerate(words) if _is_sign(w.text)]
    alone: list[int] = []
    for i in signs:
        line = words[i].line
        if i and words[i - 1].line == line:
            continue
        following = words[i + 1] if i + 1 < len(words) else None
        if following and following.line == line:
            if _begins_item(words[i], following):
                found[i] = replace(words[i], text=_BULLET)
        elif _stands_before(words[i], words):
            alone.append(i)
    columns = Counter(round(words[i].rect[0]) for i in alone)
    for i in alone:
        if columns[round(words[i].rect[0])] >= _FEWEST:
            found[i] = replace(words[i], text=_BULLET)
    return found


def _is_sign(text: str) -> bool:
    return len(text) <= LONGEST_SIGN and not text.isalnum() and all(map(is_unknown, text))


def _begins_item(sign: LayoutWord, following: LayoutWord) -> bool:
    if _NUMBER.match(following.text):
        return False
    return not following.glued or _gap(sign, following) > _NARROWEST * sign.size


def _stands_before(sign: LayoutWord, words: Sequence[LayoutWord]) -> bool:
    """Whether text follows a sign after a gap, and none is before it in its column."""
    row = [w for w in words if w is not sign and vertical_overlap(w.rect, sign.rect) > 0.5]
    before = [w for w in row if w.rect[0] < sign.rect[0]]
    after = [w for w in row if w.rect[0] >= sign.rect[0]]
    if not after or any(_gap(w, sign) < _WIDEST * sign.size for w in before):
        return False
    following = min(after, key=lambda w: w.rect[0])
    gap = _gap(sign, following) / sign.size
    return _NARROWEST < gap < _WIDEST and not _NUMBER.match(following.text)


def _gap(left: LayoutWord, right: LayoutWord) -> float:
    return max(right.rect[0] - left.rect[2], left.rect[0] - right.rect[2])
