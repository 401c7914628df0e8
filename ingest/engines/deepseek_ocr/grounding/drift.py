"""Cuts loops out of an answer: segments that repeat, or that drift over the page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ....core.records import Box
from .markers import COORDINATE_MAX, KINDS, WHOLE_PAGE, Segment

__all__ = ["LOOP_LENGTH", "cut_drift"]

LOOP_LENGTH = 6
"""This many equal blocks in a row are a loop. Rows of icons are seldom that long."""

# Coordinates are rounded to integers, so the steps of an even drift differ by up to one unit.
_STEP_TOLERANCE = 1.5 / COORDINATE_MAX


def cut_drift(segments: Sequence[Segment], *, truncated: bool) -> tuple[list[Segment], int]:
    """Keep the first segment of each loop, and count the others.

    A loop has :data:`LOOP_LENGTH` or more segments with the same label and content. If they have no
    content, their boxes must also advance by an even step. If they have no known label either, they
    are recognised lines, and each box must overlap the box before it: equal lines below one another
    are the column of a table. If the model was stopped (``truncated``), the last segment of a loop
    may be incomplete.
    """
    kept: list[Segment] = []
    at = dropped = 0
    while at < len(segments):
        end = _run_end(segments, at)
        if end - at < LOOP_LENGTH:
            end = at + 1
        elif truncated and end == len(segments) - 1 and _is_start(segments[end], segments[at]):
            end += 1
        kept.append(segments[at])
        dropped += end - at - 1
        at = end
    return kept, dropped


def _run_end(segments: Sequence[Segment], start: int) -> int:
    first, end = segments[start], start + 1
    if first.marker is None:
        return end
    words = first.content.split()
    while end < len(segments) and _label(segments[end]) == first.marker.label:
        if segments[end].content.split() != words:
            break
        if not words and not _drifts(segments, start, end):
            break
        end += 1
    return end


def _label(segment: Segment) -> str | None:
    return segment.marker.label if segment.marker else None


def _is_start(last: Segment, first: Segment) -> bool:
    return _label(last) == _label(first) and first.content.strip().startswith(last.content.strip())


def _drifts(segments: Sequence[Segment], start: int, at: int) -> bool:
    """Whether the box at ``at`` follows the box before it as the second box follows the first."""
    a, b, c, d = (_box(segments[i]) for i in (start, start + 1, at - 1, at))
    sides = zip(*(box.as_tuple() for box in (a, b, c, d)), strict=True)
    even = all(abs((v2 - v1) - (u2 - u1)) <= _STEP_TOLERANCE for u1, u2, v1, v2 in sides)
    return even and (_label(segments[at]) in KINDS or _overlap(c, d))


def _box(segment: Segment) -> Box:
    return segment.marker.box if segment.marker else WHOLE_PAGE


def _overlap(a: Box, b: Box) -> bool:
    return max(a.x0, b.x0) < min(a.x1, b.x1) and max(a.y0, b.y0) < min(a.y1, b.y1)
