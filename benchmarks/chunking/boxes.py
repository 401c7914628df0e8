"""Measures how well the boxes of chunks enclose their text, on PDFs with a text layer.

The true position of a chunk's text comes from the words of the text layer, which PyMuPDF returns
with their boxes. The chunk's words are matched with those of its pages in order, and the matched
words of a line are joined into one rectangle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pymupdf
from numpy.typing import NDArray

from ..peers.protocol import Piece
from .metrics import words

__all__ = ["PageWords", "box_overlaps", "read_words"]

GRID = (700, 500)  # rows and columns of the grid that areas are measured on
# With fewer matched words, the position of a chunk is uncertain.
_LEAST_WORDS = 3
# A single matched word may be any other "the".
_LEAST_RUN = 2

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class PageWords:
    """The words of a page's text layer in its own order, with their lines and rectangles."""

    texts: list[str]
    lines: list[tuple[int, int]]
    rectangles: list[Rectangle]


def read_words(file: Path) -> dict[int, PageWords]:
    """Read the text layer of a PDF by 1-based page, without pages that have no words."""
    found = {}
    with pymupdf.open(file) as document:
        for page in document:
            layer = PageWords([], [], [])
            area = page.rect
            for x0, y0, x1, y1, text, block, line, _ in page.get_text("words"):
                # Rectangles are in coordinates of the unrotated page.
                box = pymupdf.Rect(x0, y0, x1, y1) * page.rotation_matrix
                rectangle = (
                    box.x0 / area.width,
                    box.y0 / area.height,
                    box.x1 / area.width,
                    box.y1 / area.height,
                )
                for word in words(text):
                    layer.texts.append(word)
                    layer.lines.append((block, line))
                    layer.rectangles.append(rectangle)
            if layer.texts:
                found[page.number + 1] = layer
    return found


def box_overlaps(
    pieces: Sequence[Piece], layers: Mapping[int, PageWords]
) -> list[tuple[float, int]]:
    """The overlap (IoU) of each piece's boxes with the area of its words, and the words matched.

    Pieces with too few matched words are left out.
    """
    overlaps = []
    for piece in pieces:
        wanted = words(piece.body)
        both = either = found = 0
        for number in piece.pages:
            if number not in layers:
                continue
            true, matched = _true_area(wanted, layers[number])
            claimed = _filled(box[1:] for box in piece.boxes or () if box[0] == number)
            found += matched
            both += int((true & claimed).sum())
            either += int((true | claimed).sum())
        if found >= _LEAST_WORDS and either:
            overlaps.append((both / either, found))
    return overlaps


def _true_area(wanted: list[str], layer: PageWords) -> tuple[NDArray[np.bool_], int]:
    matcher = SequenceMatcher(None, layer.texts, wanted, autojunk=False)
    least = min(_LEAST_RUN, len(wanted))
    hits = [
        i
        for start, _, size in matcher.get_matching_blocks()
        if size >= least
        for i in range(start, start + size)
    ]
    lines: dict[tuple[int, int], list[Rectangle]] = {}
    for i in hits:
        lines.setdefault(layer.lines[i], []).append(layer.rectangles[i])
    return _filled(_around(members) for members in lines.values()), len(hits)


def _around(rectangles: Sequence[Rectangle]) -> Rectangle:
    left, top, right, bottom = zip(*rectangles, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _filled(rectangles: Iterable[Rectangle]) -> NDArray[np.bool_]:
    """The grid cells that rectangles cover, at least one per rectangle."""
    grid = np.zeros(GRID, bool)
    for left, top, right, bottom in rectangles:
        rows = _cells(top, bottom, GRID[0])
        grid[rows, _cells(left, right, GRID[1])] = True
    return grid


def _cells(low: float, high: float, size: int) -> slice:
    first = min(max(round(low * size), 0), size - 1)
    return slice(first, max(round(high * size), first + 1))
