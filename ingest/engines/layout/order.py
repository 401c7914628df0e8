"""Puts regions into reading order by columns, stripes and rows. Pure.

A page is cut along empty space: vertical gutters separate columns, horizontal gaps separate
stripes. Stripes that share a gutter belong to the same columns. Without this rule, paragraphs that
happen to end at the same height in both columns would make the order jump to the next column.
(pymupdf4llm's own order cuts stripes first, and jumps.)

Units: points of the upright page, origin top left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .geometry import Rect, area, vertical_overlap
from .regions import Region

__all__ = ["in_reading_order", "reading_order"]

_GUTTER: Final = 6.0
"""Smallest gap between columns in points. Word spaces have 3 to 5, gutters of journals 10 or
more."""
_SLACK: Final = 1.5  # points by which boxes of neighbouring lines overlap
_REMARK: Final = 0.035
"""Largest height of a date, a name or a field of a form, as a share of the page's height: two lines
of 12 pt on A4. Anything higher is a paragraph."""
_UPRIGHT: Final = 6.0  # height over width of a line that runs up or down; a word has less
_MAX_MARKS: Final = 0.3  # share of the boxes; more are the columns of a vertical script
_BACKDROP: Final = 0.6  # share of the page that a picture behind the text covers
_SEVERAL: Final = 3
"""Columns from which a piece alone in its stripe ends them: it may be one of two columns."""
_SAME_HEIGHT: Final = 0.7  # of heights, and of the overlap of two boxes side by side

Boxes = list[int]
"""Indices into the rectangles to be ordered."""


def in_reading_order(regions: Sequence[Region], page: Rect, rtl: bool) -> list[Region]:
    """Put regions into reading order; with ``rtl``, columns are read from the right.

    Regions inside another region are dropped.
    """
    kept = _outermost(_without_backdrop(regions, page))
    first = [r for r in kept if r.label == "page-header"]
    last = [r for r in kept if r.label == "page-footer"]
    body = [r for r in kept if r.label not in ("page-header", "page-footer")]
    return [r for part in (first, body, last) for r in _ordered(part, page, rtl)]


def reading_order(rects: Sequence[Rect], page_height: float) -> list[int]:
    """Return the indices of rectangles in left-to-right reading order.

    Lines that run up or down the page would join its stripes: those at the left edge come first,
    others last.
    """
    marks = [i for i, rect in enumerate(rects) if _runs_upright(rect, page_height)]
    if len(marks) > _MAX_MARKS * len(rects):  # vertical script
        marks = []
    body = [i for i in range(len(rects)) if i not in marks]
    left = min((rects[i][0] for i in body), default=0.0)
    marks.sort(key=lambda i: rects[i][1])
    first = [i for i in marks if rects[i][2] <= left]
    last = [i for i in marks if rects[i][2] > left]
    return first + _Cutter(rects, page_height).order(body) + last


def _runs_upright(rect: Rect, page_height: float) -> bool:
    width, height = rect[2] - rect[0], rect[3] - rect[1]
    return width <= _REMARK * page_height and height > _UPRIGHT * width


def _ordered(regions: Sequence[Region], page: Rect, rtl: bool) -> list[Region]:
    axis = page[0] + page[2]
    rects = [
        (axis - r.rect[2], r.rect[1], axis - r.rect[0], r.rect[3]) if rtl else r.rect
        for r in regions
    ]
    return [regions[i] for i in reading_order(rects, page[3] - page[1])]


def _without_backdrop(regions: Sequence[Region], page: Rect) -> list[Region]:
    """Drop pictures that are the background of the text."""
    limit = _BACKDROP * area(page)
    texts = [r for r in regions if r.label != "picture"]

    def is_backdrop(region: Region) -> bool:
        inside = sum(_contains(region.rect, t.rect) for t in texts)
        return region.label == "picture" and area(region.rect) > limit and inside >= 3

    return [r for r in regions if not is_backdrop(r)]


def _outermost(regions: Sequence[Region]) -> list[Region]:
    """Drop regions inside another region; a table inside a picture stays a table."""
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: -area(r.rect)):
        holders = [k for k in kept if _contains(k.rect, region.rect)]
        if all(region.label == "table" and k.label == "picture" for k in holders):
            kept.append(region)
    return kept


def _contains(outer: Rect, inner: Rect) -> bool:
    starts_inside = outer[0] <= inner[0] and outer[1] <= inner[1]
    return starts_inside and inner[2] <= outer[2] and inner[3] <= outer[3]


class _Cutter:
    """Cuts a set of rectangles into smaller and smaller sets."""

    def __init__(self, rects: Sequence[Rect], page_height: float) -> None:
        self._rects = rects
        self._remark = _REMARK * page_height

    def order(self, boxes: Boxes) -> list[int]:
        """Order a set of boxes: by groups of stripes, and each group by its columns."""
        if len(boxes) < 2:
            return boxes
        groups = self._grouped(self._stripes(boxes))
        if len(groups) > 1:
            return [i for group in groups for i in self.order(group)]
        columns = self._columns(boxes)
        if len(columns) > 1:
            return self._across(boxes, columns)
        return sorted(boxes, key=lambda i: (self._rects[i][1], self._rects[i][0]))

    def _across(self, boxes: Boxes, columns: list[Boxes]) -> list[int]:
        stripes = self._stripes(boxes)
        if len(stripes) > 1 and self._is_remark(stripes[0], stripes[1], columns[0]):
            return stripes[0] + self.order([i for s in stripes[1:] for i in s])
        if self._are_rows(columns):
            return [i for s in stripes for i in sorted(s, key=lambda i: self._rects[i][0])]
        return [i for column in columns for i in self.order(column)]

    def _is_remark(self, stripe: Boxes, below: Boxes, first_column: Boxes) -> bool:
        """Whether a stripe is a single line well above a later column, such as a date or a name."""
        if len(stripe) > 1 or stripe[0] in first_column:
            return False
        top, bottom = self._rects[stripe[0]][1::2]
        gap = min(self._rects[i][1] for i in below) - bottom
        return gap >= bottom - top and bottom - top <= self._remark

    def _are_rows(self, columns: list[Boxes]) -> bool:
        """Whether each box has a box of its own height beside it: labels and values of a form."""
        first, *others = columns
        heights = (self._rects[i][3] - self._rects[i][1] for column in columns for i in column)
        if len(first) < 2 or max(heights) > self._remark:
            return False
        if any(len(other) != len(first) for other in others):
            return False
        by_height = [sorted(other, key=lambda i: self._rects[i][1]) for other in others]
        return all(self._match(a, b) for o in by_height for a, b in zip(first, o, strict=True))

    def _match(self, a: int, b: int) -> bool:
        first, second = self._rects[a], self._rects[b]
        heights = sorted((first[3] - first[1], second[3] - second[1]))
        alike = heights[0] >= _SAME_HEIGHT * heights[1]
        return alike and vertical_overlap(first, second) >= _SAME_HEIGHT

    def _columns(self, boxes: Boxes) -> list[Boxes]:
        return _split(boxes, lambda i: (self._rects[i][0], self._rects[i][2]), _GUTTER)

    def _stripes(self, boxes: Boxes) -> list[Boxes]:
        def extent(i: int) -> tuple[float, float]:
            top, bottom = self._rects[i][1], self._rects[i][3]
            slack = min(_SLACK, (bottom - top) / 4)
            return top + slack, bottom - slack

        return _split(boxes, extent, 0.0)

    def _grouped(self, stripes: list[Boxes]) -> list[Boxes]:
        """Join consecutive stripes as long as one gutter runs through all of them."""
        groups: list[Boxes] = [[]]
        for stripe, below in zip(stripes, [*stripes[1:], []], strict=True):
            joined = groups[-1] + stripe
            if not groups[-1] or len(self._columns(joined)) < 2:
                groups.append(stripe)
            elif self._ends(groups[-1], stripe, below):
                groups += [stripe, []]
            else:
                groups[-1] = joined
        return [group for group in groups if group]

    def _ends(self, group: Boxes, stripe: Boxes, below: Boxes) -> bool:
        """Whether a stripe ends all columns above it, although it does not cross all gutters.

        All columns stand beside each other somewhere, and nothing beside the stripe. It lies under
        two of three columns or more, or it is the heading of as many columns as are above.
        """
        count = len(self._columns(group))
        if count < _SEVERAL or len(self._columns(stripe)) > 1:
            return False
        if all(len(self._columns(part)) < count for part in self._stripes(group)):
            return False
        if len(self._columns(group + stripe)) < count:
            return True
        top, bottom = self._rects[stripe[0]][1::2]
        is_heading = len(stripe) == 1 and bottom - top <= self._remark
        return is_heading and len(self._columns(below)) == count


def _split(boxes: Boxes, extent: Callable[[int], tuple[float, float]], least: float) -> list[Boxes]:
    """Split boxes along one axis wherever the gap between them is wider than ``least``."""
    parts: list[Boxes] = []
    reach = 0.0
    for i in sorted(boxes, key=extent):
        start, end = extent(i)
        if parts and start - reach <= least:
            parts[-1].append(i)
            reach = max(reach, end)
        else:
            parts.append([i])
            reach = end
    return parts
