"""Finds pictures and outlines that may be a line of text: a logo, an outlined heading. Pure.

The vendor's classifier looks at the whole page. It overlooks a single line.

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..geometry import Rect, area, centre_inside, union, vertical_overlap
from ..text_layer.words import LayoutWord

__all__ = ["are_large", "grounds", "written_shapes"]

_LOWEST: Final = 8.0
"""Least height of a line: smaller outlines are ornaments. Chosen, not measured."""
_HIGHEST: Final = 60.0
"""Height of four lines. Higher pictures are photos and charts: see the page's classifier."""
_LONG: Final = 2.5  # width over height of the shortest word
_MOST: Final = 6  # lines; a page with more of them is a map or a drawing
_MUCH: Final = 4 * _HIGHEST**2  # square points
_MANY_OUTLINES: Final = 60  # a line of glyphs has fewer
_MOST_OUTLINES: Final = 500  # maps and drawings have more; three lines of outlines have 200
_GAP: Final = 1.0  # between the letters of a line, in heights
_CONTRAST: Final = 64  # difference of greys between ink and paper, of 255
_STROKES: Final = 2.5
"""Changes between ink and paper along a stretch of a line that is as long as it is high. Letters
make three to seven; bars, arrows and frames less than one."""
_BUSY: Final = (
    0.75  # the row of pixels to look at, by changes: others lie above or below the letters
)


_SHORT: Final = 1.5  # width over height of the ink of a short word, "and"
_LOW_INK: Final = 5.0  # points; capitals of 7 pt are as high
_NARROW: Final = 12.0  # width in points of a word of two letters


def grounds(pictures: Sequence[Rect], words: Sequence[LayoutWord]) -> list[Rect]:
    """Return the pictures that are the ground of a heading: low, with words of the page on them."""
    low = [r for r in pictures if r[3] - r[1] <= _HIGHEST]
    return [r for r in low if any(centre_inside(w.rect, r) for w in words)]


def are_large(pictures: Sequence[Rect], outlines: Sequence[Rect]) -> bool:
    """Whether the shapes may hold more than single lines of text; a picture may be in slices."""
    higher = any(min(r[2] - r[0], r[3] - r[1]) > _HIGHEST for r in (*pictures, *outlines))
    return higher or len(outlines) > _MANY_OUTLINES or sum(map(area, pictures)) > _MUCH


def written_shapes(
    pictures: Sequence[Rect],
    outlines: Sequence[Rect],
    words: Sequence[LayoutWord],
    drawn: NDArray[np.uint8],
) -> list[Rect]:
    """Return the boxes of pictures and rows of outlines that look like a line of text.

    Args:
        pictures: boxes of the page's pictures.
        outlines: boxes of its curved shapes.
        words: its known words. A shape with words on it is their ground.
        drawn: the drawn page, one pixel per point, shape ``[height, width, channels]``.
    """
    shapes = [*pictures, *outlines] if len(outlines) <= _MOST_OUTLINES else pictures
    long = [r for r in _rows(shapes) if _is_line(r)]
    small = [r for r in pictures if _is_small(r)]
    found = [r for r in long if _has_strokes(drawn, r)]
    found += [r for r in small if _has_lines(drawn, r)]
    free = [r for r in found if not any(centre_inside(w.rect, r) for w in words)]
    return free if len(free) <= _MOST else []


def _rows(shapes: Sequence[Rect]) -> Iterator[Rect]:
    """Join shapes that stand side by side, from the left to the right of each row."""
    rows: list[Rect] = []
    for rect in sorted(r for r in shapes if r[3] - r[1] <= _HIGHEST):
        ended = [row for row in rows if rect[0] - row[2] > _GAP * max(row[3] - row[1], _LOWEST)]
        yield from ended
        rows = [row for row in rows if row not in ended]
        beside = next((row for row in rows if vertical_overlap(row, rect) > 0.5), None)
        if beside is not None:
            rows.remove(beside)
            rect = union((beside, rect))
        rows.append(rect)
    yield from rows


def _is_line(rect: Rect) -> bool:
    width, height = rect[2] - rect[0], rect[3] - rect[1]
    return _LOWEST <= height <= _HIGHEST and width >= _LONG * height


def _is_small(rect: Rect) -> bool:
    """Whether a picture may be a stamp, an icon or a word."""
    width, height = rect[2] - rect[0], rect[3] - rect[1]
    return _LOWEST <= height <= _HIGHEST and _NARROW <= width < _LONG * height


def _has_lines(drawn: NDArray[np.uint8], rect: Rect) -> bool:
    """Whether ink of a small picture is a line: a band between empty rows. Icons fill them all."""
    x0, y0 = (max(0, round(v)) for v in rect[:2])
    x1, y1 = (round(v) for v in rect[2:])
    part = drawn[y0:y1, x0:x1].astype(np.float32).mean(axis=2)
    if not part.size:
        return False
    edge = np.concatenate((part[0], part[-1], part[:, 0], part[:, -1]))
    ink = np.abs(part - np.median(edge)) > _CONTRAST
    edges = np.flatnonzero(np.diff(ink.any(axis=1), prepend=False, append=False))
    return any(_is_inked_line(ink[top:foot]) for top, foot in edges.reshape(-1, 2).tolist())


def _is_inked_line(band: NDArray[np.bool_]) -> bool:
    columns = np.flatnonzero(band.any(axis=0))
    width, height = int(columns[-1] - columns[0]) + 1, len(band)
    return height >= _LOW_INK and width >= _SHORT * height and _are_letters(band, width)


def _are_letters(ink: NDArray[np.bool_], width: int) -> bool:
    """Whether a line of ink, of a width in pixels, has as many strokes as letters have."""
    changes = (ink[:, 1:] != ink[:, :-1]).sum(axis=1)
    return bool(np.quantile(changes, _BUSY) >= _STROKES * width / len(ink))


def _has_strokes(drawn: NDArray[np.uint8], rect: Rect) -> bool:
    x0, y0 = (max(0, round(v)) for v in rect[:2])
    x1, y1 = (round(v) for v in rect[2:])
    part = drawn[y0:y1, x0:x1].astype(np.float32).mean(axis=2)
    if not part.size or np.ptp(part) < _CONTRAST:
        return False
    ink = part > (part.max() + part.min()) / 2
    return _are_letters(ink, x1 - x0)
