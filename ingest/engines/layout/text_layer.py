"""Decides which text of a page's text layer can be trusted. Pure.

Text is *garbled* if its codes differ from its glyphs (fonts without a usable encoding), and
*hidden* if nobody can see it. Hidden text over a picture is the text of a searchable scan. Other
hidden text is dropped. So are watermarks, and the second copy of a word that is drawn twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..quality.garbling import BAD_SHARE, is_garbled, is_undecodable, is_wordless
from .geometry import Rect, centre_inside
from .overprint import watermarks, without_doubles
from .words import LayoutWord

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
        watermark: text printed across the page was dropped.
    """

    good: tuple[LayoutWord, ...]
    garbled: bool = False
    searchable: bool = False
    hidden: bool = False
    watermark: bool = False


def judge(words: Sequence[LayoutWord], images: Sequence[Rect]) -> TextLayer:
    """Choose the text to use of a text layer, given the boxes of the page's images."""
    marks = set(watermarks(words))
    words = without_doubles([w for i, w in enumerate(words) if i not in marks])
    visible = [w for w in words if w.visible]
    unseen = [w for w in words if not w.visible]
    over_image = [w for w in unseen if any(centre_inside(w.rect, image) for image in images)]
    covered = _overlaid(over_image, visible)
    over_image = [w for w in over_image if id(w) not in covered]
    good, refused = _split(visible)
    searchable = bool(over_image) and not is_garbled(_text(over_image))
    if searchable:
        good += over_image
    return TextLayer(
        good=tuple(sorted(good, key=lambda w: w.line)),
        garbled=refused or (bool(over_image) and not searchable),
        searchable=searchable,
        hidden=len(over_image) + len(covered) < len(unseen),
        watermark=bool(marks),
    )


def dominant_turn(words: Iterable[LayoutWord]) -> int:
    """Return the direction of most of the text, in quarter turns clockwise."""
    turns = Counter(word.turn for word in words for _ in word.text)
    return max(turns, key=lambda t: (turns[t], -t), default=0)


def _split(visible: list[LayoutWord]) -> tuple[list[LayoutWord], bool]:
    """Return the readable words, and whether enough was rejected to make OCR worthwhile."""
    if is_wordless(_text(visible)):
        return [], True
    lines: dict[int, list[LayoutWord]] = defaultdict(list)
    for word in visible:
        lines[word.line].append(word)
    good = [word for line in lines.values() for word in _readable(line)]
    kept, total = (sum(len(w.text) for w in part) for part in (good, visible))
    return good, total - kept > BAD_SHARE * total


def _readable(line: list[LayoutWord]) -> list[LayoutWord]:
    """Return the readable words of a line; none if most of the line is unreadable."""
    first, *others = line
    if others and len(first.text) <= _BULLET and set(first.text) == {"\ufffd"}:
        line = [replace(first, text="•"), *others]
    good = [word for word in line if _is_better_than_ocr(word.text)]
    kept, total = (sum(len(w.text) for w in part) for part in (good, line))
    return good if 2 * kept >= total else []


def _is_better_than_ocr(word: str) -> bool:
    """Whether to keep a word. OCR reads Latin and Han only; other scripts are kept with gaps."""
    if not is_undecodable(word):
        return True
    return sum(map(_is_beyond_ocr, word)) * 2 >= len(word)


def _is_beyond_ocr(char: str) -> bool:
    """Whether a letter is in U+0590 (Hebrew) to U+1DFF or an Arabic presentation form."""
    return "\u0590" <= char <= "\u1dff" or "\ufb1d" <= char <= "\ufeff"


def _text(words: Iterable[LayoutWord]) -> str:
    return " ".join(w.text for w in words)


def _overlaid(unseen: list[LayoutWord], visible: list[LayoutWord]) -> set[int]:
    """Find invisible words that repeat a visible word in the same box, by ``id``."""
    boxes: dict[str, list[Rect]] = defaultdict(list)
    for word in visible:
        boxes[word.text].append(word.rect)
    return {
        id(w) for w in unseen if any(centre_inside(w.rect, r, _SAME_SPOT) for r in boxes[w.text])
    }
