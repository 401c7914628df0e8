"""Decides which text of a page's text layer can be trusted. Pure.

Text is *garbled* if its codes differ from its glyphs (fonts without a usable encoding), and
*hidden* if nobody can see it. Hidden text over a picture is the text of a searchable scan. Other
hidden text is dropped. So are watermarks, and the second copy of a word that is drawn twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ...quality.garbling import is_garbled, is_nonsense, is_undecodable, is_unknown, is_wordless
from ..geometry import Rect, centre_inside
from .bullets import LONGEST_SIGN, with_bullets
from .ligatures import misspelt, repaired
from .overprint import watermarks, without_doubles
from .ticks import with_ticks
from .words import LayoutWord, whole_words

__all__ = ["TextLayer", "dominant_turn", "judge"]

_MISSING: Final = "\ufffd"
_SAME_SPOT: Final = 2.0  # points by which a hidden copy may miss the visible word


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The verdict on a page's text layer.

    Attributes:
        good: the words to use, with U+FFFD for characters that nobody can read.
        unreadable: words that OCR may read better.
        garbled: some words cannot be read.
        searchable: the text comes from the invisible layer of a scan.
        hidden: invisible text outside pictures was dropped.
        watermarks: the text printed across the page, which was dropped.
        repaired: signs that stood for ligatures were replaced.
    """

    good: tuple[LayoutWord, ...]
    unreadable: tuple[LayoutWord, ...] = ()
    garbled: bool = False
    searchable: bool = False
    hidden: bool = False
    watermarks: tuple[str, ...] = ()
    repaired: bool = False


def judge(words: Sequence[LayoutWord], images: Sequence[Rect]) -> TextLayer:
    """Choose the text to use of a text layer, given the boxes of the page's images."""
    marks = set(watermarks(words))
    marked = _by_line([w for i, w in enumerate(words) if i in marks])
    words = with_ticks(without_doubles([w for i, w in enumerate(words) if i not in marks]))
    seen, is_repaired = repaired([w for w in words if w.visible])
    visible = list(seen)
    unseen = [w for w in words if not w.visible]
    over_image = [w for w in unseen if any(centre_inside(w.rect, image) for image in images)]
    covered = _overlaid(over_image, visible)
    over_image = [w for w in over_image if id(w) not in covered]
    good, unreadable = _split(visible)
    searchable = bool(over_image) and not _is_noise(_text(over_image))
    if searchable:
        good += over_image
    return TextLayer(
        good=tuple(sorted(good, key=lambda w: w.line)),
        unreadable=tuple(unreadable),
        garbled=(bool(over_image) and not searchable)
        or bool(unreadable)
        or any(_MISSING in w.text for w in good),
        searchable=searchable,
        hidden=len(over_image) + len(covered) < len(unseen),
        watermarks=tuple(dict.fromkeys(marked)),
        repaired=is_repaired,
    )


def _is_noise(text: str) -> bool:
    """Whether an invisible layer is worth nothing: bad OCR of another program, for example."""
    return is_garbled(text) or is_nonsense([text])


def dominant_turn(words: Iterable[LayoutWord]) -> int:
    """Return the direction of most of the text, in quarter turns clockwise."""
    turns = Counter(word.turn for word in words for _ in word.text)
    return max(turns, key=lambda t: (turns[t], -t), default=0)


def _split(visible: list[LayoutWord]) -> tuple[list[LayoutWord], list[LayoutWord]]:
    """Return the readable words, and those that OCR may read better."""
    if is_wordless(_text(visible)):
        return [], visible
    lines: dict[int, list[LayoutWord]] = defaultdict(list)
    for word in with_bullets(visible):
        lines[word.line].append(word)
    foreign, wrong = _is_foreign(visible), misspelt(visible)
    good: list[LayoutWord] = []
    unreadable: list[LayoutWord] = []
    for line in lines.values():
        for parts in whole_words(line):
            whole = "".join(part.text for part in parts)
            doubted = not wrong.isdisjoint(parts) or _needs_ocr(whole, foreign)
            (unreadable if doubted else good).extend(map(_marked, parts))
    return good, unreadable


def _needs_ocr(word: str, foreign: bool) -> bool:
    """Whether OCR may read a word better. It knows Latin and Han only, and drops lone signs."""
    if _is_plain(word):
        return False
    known = [c for c in word if not is_unknown(c)]
    if len(known) == len(word):
        return is_undecodable(word)  # "(cid:12)"
    if not known:
        return len(word) > LONGEST_SIGN and not foreign
    letters = [c for c in known if c.isalpha()]
    return bool(letters) and not any(map(_is_beyond_ocr, letters))


def _is_foreign(words: Iterable[LayoutWord]) -> bool:
    """Whether most words of the page have letters that OCR cannot read."""
    solid = [w.text for w in words if not w.text.isascii()]
    return 2 * sum(any(map(_is_beyond_ocr, text)) for text in solid) > len(solid)


def _is_plain(word: str) -> bool:
    return word.isascii() and word.isprintable() and not word.startswith("(cid:")


def _marked(word: LayoutWord) -> LayoutWord:
    if _is_plain(word.text) or not any(map(is_unknown, word.text)):
        return word
    return replace(word, text="".join(_MISSING if is_unknown(c) else c for c in word.text))


def _is_beyond_ocr(char: str) -> bool:
    """Whether a letter is in U+0590 (Hebrew) to U+1DFF, Hangul, or an Arabic presentation form."""
    ranges = (("\u0590", "\u1dff"), ("\uac00", "\ud7ff"), ("\ufb1d", "\ufeff"))
    return any(first <= char <= last for first, last in ranges)


def _by_line(words: Iterable[LayoutWord]) -> list[str]:
    """Return the text of each line of the source."""
    return [_text(line) for _, line in groupby(words, key=lambda w: w.line)]


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
