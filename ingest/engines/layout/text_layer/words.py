"""A word of a page as the text layer or OCR gives it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ....core.records import TextSource
from ..geometry import Rect

__all__ = ["LayoutWord", "whole_words"]


@dataclass(frozen=True, slots=True)
class LayoutWord:
    """A word, or the part of a word that is set in one font.

    Attributes:
        rect: in points of the upright page, origin top left.
        size: font size in points.
        line: number of its line in the source. The words of a line are in reading order.
        block: number of its paragraph in the source, which is its position in painting order.
        color: sRGB on white paper, ``0xRRGGBB``.
        glued: no space separates it from the word before it.
        mono: the font has a fixed width.
        raised: it is a superscript.
        turn: direction of writing in quarter turns clockwise; 0 for upright text.
        slanted: its direction of writing is not parallel to an edge of the page.
    """

    text: str
    rect: Rect
    size: float
    line: int
    block: int
    color: int = 0
    glued: bool = False
    mono: bool = False
    bold: bool = False
    raised: bool = False
    visible: bool = True
    turn: int = 0
    slanted: bool = False
    source: TextSource = TextSource.TEXT_LAYER


def whole_words(words: Iterable[LayoutWord]) -> list[list[LayoutWord]]:
    """Group the parts that no space separates: words set in several fonts."""
    groups: list[list[LayoutWord]] = []
    for part in words:
        if part.glued and groups:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups
