"""Decides which text of a page's text layer can be trusted. Pure.

Text is *garbled* if its codes differ from its glyphs (fonts without a usable encoding), and
*hidden* if it is never drawn. Hidden text over a picture is the text of a searchable scan. Other
hidden text is dropped: no reader of the page can see it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..quality.garbling import BAD_SHARE, is_garbled, is_undecodable, is_wordless
from .fragments import Fragment
from .geometry import Rect, centre_inside

__all__ = ["TextLayer", "dominant_turn", "judge"]

_BULLET: Final = 2
"""Up to this many undecodable characters at the start of a line are a bullet of an icon font."""
_SAME_SPOT: Final = 2.0  # points by which a hidden copy may miss the visible word


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The verdict on a page's text layer.

    Attributes:
        good: the words to use.
        garbled: some text was rejected; read it with OCR.
        searchable: the text comes from the invisible layer of a scan.
        hidden: invisible text outside pictures was dropped.
    """

    good: tuple[Fragment, ...]
    garbled: bool = False
    searchable: bool = False
    hidden: bool = False


def judge(fragments: Sequence[Fragment], images: Sequence[Rect]) -> TextLayer:
    """Choose the text of a page to use.

    Args:
        fragments: the text layer, visible or not.
        images: boxes of the pictures.
    """
    visible = [f for f in fragments if f.visible]
    unseen = [f for f in fragments if not f.visible]
    over_image = [f for f in unseen if any(centre_inside(f.rect, image) for image in images)]
    covered = _overlaid(over_image, visible)
    over_image = [f for f in over_image if id(f) not in covered]
    good, refused = _split(visible)
    searchable = bool(over_image) and not is_garbled(_text(over_image))
    if searchable:
        good += over_image
    return TextLayer(
        good=tuple(sorted(good, key=lambda f: f.line)),
        garbled=refused or (bool(over_image) and not searchable),
        searchable=searchable,
        hidden=len(over_image) + len(covered) < len(unseen),
    )


def dominant_turn(fragments: Iterable[Fragment]) -> int:
    """Return the direction of most of the text, in quarter turns clockwise."""
    turns: Counter[int] = Counter()
    for fragment in fragments:
        turns[fragment.turn] += len(fragment.text)
    return max(turns, key=lambda t: (turns[t], -t), default=0)


def _split(visible: list[Fragment]) -> tuple[list[Fragment], bool]:
    """Return the readable words, and whether enough was rejected to make OCR worthwhile."""
    if is_wordless(_text(visible)):
        return [], True
    lines: dict[int, list[Fragment]] = defaultdict(list)
    for fragment in visible:
        lines[fragment.line].append(fragment)
    good = [fragment for line in lines.values() for fragment in _readable(line)]
    kept, total = (sum(len(f.text) for f in part) for part in (good, visible))
    return good, total - kept > BAD_SHARE * total


def _readable(line: list[Fragment]) -> list[Fragment]:
    """Return the readable words of a line; none if most of the line is unreadable."""
    first, *others = line
    if others and len(first.text) <= _BULLET and set(first.text) == {"\ufffd"}:
        line = [replace(first, text="•"), *others]
    good = [fragment for fragment in line if _is_better_than_ocr(fragment.text)]
    kept, total = (sum(len(f.text) for f in part) for part in (good, line))
    return good if 2 * kept >= total else []


def _is_better_than_ocr(word: str) -> bool:
    """Whether to keep a word. OCR reads Latin and Han only; other scripts are kept with gaps."""
    if not is_undecodable(word):
        return True
    return sum(map(_is_beyond_ocr, word)) * 2 >= len(word)


def _is_beyond_ocr(char: str) -> bool:
    """Whether a letter is in U+0590 (Hebrew) to U+1DFF or an Arabic presentation form."""
    return "\u0590" <= char <= "\u1dff" or "\ufb1d" <= char <= "\ufeff"


def _text(fragments: Iterable[Fragment]) -> str:
    return " ".join(f.text for f in fragments)


def _overlaid(unseen: list[Fragment], visible: list[Fragment]) -> set[int]:
    """Find invisible fragments that repeat a visible word in the same box, by ``id``."""
    boxes: dict[str, list[Rect]] = defaultdict(list)
    for fragment in visible:
        boxes[fragment.text].append(fragment.rect)
    return {
        id(f) for f in unseen if any(centre_inside(f.rect, r, _SAME_SPOT) for r in boxes[f.text])
    }
