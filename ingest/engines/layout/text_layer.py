"""Whether a page's text layer can be believed. Pure.

Text is *garbled* when its codes do not say what its glyphs show (fonts without a usable
encoding) and *hidden* when it is never drawn. Hidden text over a picture is the classic
searchable scan; hidden text over nothing is for machines only, and nobody who looks at the
page would quote it: it is dropped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..quality.garbling import BAD_SHARE, is_garbled, is_undecodable, is_wordless
from .pieces import Piece, Rect, centre_inside

__all__ = ["TextLayer", "dominant_turn", "judge"]

_BULLET: Final = 2
"""Letters at the start of a line that, undecodable, can only be a bullet of an icon font."""


@dataclass(frozen=True, slots=True)
class TextLayer:
    """Verdict on a page's text layer.

    ``good`` is to be used as it is. ``garbled``: some text was refused and should be read by
    OCR. ``searchable``: the text comes from the invisible layer of a scan. ``hidden``:
    invisible text over nothing was dropped.
    """

    good: tuple[Piece, ...]
    garbled: bool = False
    searchable: bool = False
    hidden: bool = False


def judge(pieces: Sequence[Piece], images: Sequence[Rect]) -> TextLayer:
    """Choose which text of a page to use.

    Args:
        pieces: the text layer, visible and not.
        images: where pictures are drawn.
    """
    visible = [p for p in pieces if p.visible]
    unseen = [p for p in pieces if not p.visible]
    over_image = [p for p in unseen if any(centre_inside(p.rect, image) for image in images)]
    covered = _overlaid(over_image, visible)
    over_image = [p for p in over_image if id(p) not in covered]
    good, refused = _split(visible)
    searchable = bool(over_image) and not is_garbled(_text(over_image))
    if searchable:
        good += over_image
    return TextLayer(
        good=tuple(sorted(good, key=lambda p: p.line)),
        garbled=refused or (bool(over_image) and not searchable),
        searchable=searchable,
        hidden=len(over_image) + len(covered) < len(unseen),
    )


def dominant_turn(pieces: Iterable[Piece]) -> int:
    """Quarter turns clockwise most of the text is written at."""
    turns: Counter[int] = Counter()
    for piece in pieces:
        turns[piece.turn] += len(piece.text)
    return max(turns, key=lambda t: (turns[t], -t), default=0)


def _split(visible: list[Piece]) -> tuple[list[Piece], bool]:
    """Keep the words that can be read; say whether what was refused is worth an OCR."""
    if is_wordless(_text(visible)):
        return [], True
    lines: dict[int, list[Piece]] = defaultdict(list)
    for piece in visible:
        lines[piece.line].append(piece)
    good = [piece for line in lines.values() for piece in _readable(line)]
    kept, total = (sum(len(p.text) for p in part) for part in (good, visible))
    return good, total - kept > BAD_SHARE * total


def _readable(line: list[Piece]) -> list[Piece]:
    """The words of a line that can be read; none if most of the line cannot."""
    first, *others = line
    if others and len(first.text) <= _BULLET and set(first.text) == {"\ufffd"}:
        line = [replace(first, text="•"), *others]
    good = [piece for piece in line if _is_better_than_ocr(piece.text)]
    kept, total = (sum(len(p.text) for p in part) for part in (good, line))
    return good if 2 * kept >= total else []


def _is_better_than_ocr(word: str) -> bool:
    """Whether to keep a word: OCR reads Latin and Han only, others are kept with a gap."""
    if not is_undecodable(word):
        return True
    return sum(map(_is_beyond_ocr, word)) * 2 >= len(word)


def _is_beyond_ocr(char: str) -> bool:
    """Hebrew to Ethiopic and beyond, and the Arabic presentation forms."""
    return "\u0590" <= char <= "\u1dff" or "\ufb1d" <= char <= "\ufeff"


def _text(pieces: Iterable[Piece]) -> str:
    return " ".join(p.text for p in pieces)


def _overlaid(unseen: list[Piece], visible: list[Piece]) -> set[int]:
    """Invisible pieces that repeat visible ones at the same place."""
    places: dict[str, list[Rect]] = defaultdict(list)
    for piece in visible:
        places[piece.text].append(piece.rect)
    return {id(p) for p in unseen if any(centre_inside(p.rect, r, 2.0) for r in places[p.text])}
