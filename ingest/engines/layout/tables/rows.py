"""Joins the lines of a table's body into rows: a label may run over several lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from .header import PlacedLine
from .rules import Segments

__all__ = ["row_starts"]

_SPACE: Final = 0.28  # width of a space, in font sizes
_HANG: Final = 0.5  # font sizes by which a continued line may stand to the left
_LEADING: Final = 0.6
"""Largest space between the lines of a paragraph, in font sizes."""
_LOOSER: Final = 1.35
"""Rows are further apart than the lines of a cell if their pitch is greater by this factor."""
_CLOSER: Final = 0.9  # pitch within a cell, as a share of the usual pitch of the table's lines
_SEPARATES: Final = 0.5  # share of the table's width that a rule between rows covers


def row_starts(lines: Sequence[PlacedLine], across: Segments) -> list[int]:
    """Indices of the lines that begin a row; the first one always does."""
    if not lines:
        return []
    limits = _right_limits(lines)
    drawn = _drawn_bands(lines, across)
    pitch = _cell_pitch(lines)
    rows = median([_pitch(a, b) for a, b in pairwise(lines)] or [0.0])
    starts, current = [0], lines[0]
    for i, (above, below) in enumerate(pairwise(lines), start=1):
        joins = drawn[i] == drawn[i - 1] and _no_conflict(current, below)
        closer = _pitch(above, below) < _CLOSER * rows
        joins = joins and (
            _continues(above, below, limits, closer) or _is_tight(above, below, pitch)
        )
        if joins:
            current = (*current, *below)
        else:
            starts.append(i)
            current = below
    return starts


def _right_limits(lines: Sequence[PlacedLine]) -> dict[int, float]:
    """How far to the right the texts of each column reach."""
    limits: dict[int, float] = {}
    for line in lines:
        for item in line:
            if item.first == item.last:
                limits[item.first] = max(limits.get(item.first, 0.0), item.phrase.rect[2])
    return limits


def _drawn_bands(lines: Sequence[PlacedLine], across: Segments) -> list[int]:
    """Number the bands between wide rules, and give that of each line."""
    left = min(item.phrase.rect[0] for line in lines for item in line)
    right = max(item.phrase.rect[2] for line in lines for item in line)
    covered = np.minimum(across[:, 2], right) - np.maximum(across[:, 1], left)
    edges = np.sort(across[covered >= _SEPARATES * (right - left), 0])
    middles = [sum(x.phrase.rect[1] + x.phrase.rect[3] for x in ln) / (2 * len(ln)) for ln in lines]
    return [int(n) for n in np.searchsorted(edges, middles)]


def _cell_pitch(lines: Sequence[PlacedLine]) -> float:
    """Largest pitch of lines within a cell, if rows are clearly further apart; else 0."""
    pitches = sorted(_pitch(a, b) for a, b in pairwise(lines))
    if len(pitches) < 3:
        return 0.0
    jumps = [(b / max(a, 1e-3), a) for a, b in pairwise(pitches)]
    jump, tight = max(jumps)
    return tight if jump >= _LOOSER else 0.0


def _pitch(above: PlacedLine, below: PlacedLine) -> float:
    return _foot(below) - _foot(above)


def _foot(line: PlacedLine) -> float:
    return max(item.phrase.rect[3] for item in line)


def _no_conflict(row: PlacedLine, below: PlacedLine) -> bool:
    """Whether no column would get two numbers, nor a value on either side of a label's end."""
    taken = {item.first for item in row if item.phrase.is_number}
    if any(item.first in taken for item in below if item.phrase.is_number):
        return False
    texts = {item.first for item in row if not item.phrase.is_number}
    numbers = {item.first for item in below if item.phrase.is_number}
    return not (texts & numbers) and not (taken & {x.first for x in below})


def _continues(
    above: PlacedLine, below: PlacedLine, limits: dict[int, float], closer: bool
) -> bool:
    """Whether each text of the lower line goes on with the text above it, which was full.

    A capital begins a text, unless the lines are ``closer`` than others.
    """
    if below[0].phrase.text[0].isupper() and not closer:
        return False
    upper = {item.first: item.phrase for item in above}
    found = False
    for item in below:
        if item.phrase.is_number:
            if item.first == 0:
                return False
            continue
        before = upper.get(item.first)
        if before is None or before.text.endswith(":"):
            return False
        size = item.phrase.size
        word = item.phrase.words[0].rect
        needed = before.rect[2] + _SPACE * size + word[2] - word[0]
        fits = needed <= limits.get(item.first, 0.0)
        starts_left = item.phrase.rect[0] < before.rect[0] - _HANG * size
        apart = item.phrase.rect[1] - before.rect[3] > _LEADING * size
        if fits or starts_left or apart:
            return False
        found = True
    return found


def _is_tight(above: PlacedLine, below: PlacedLine, pitch: float) -> bool:
    """Whether a line is closer to the one above than rows are, and no label begins in it."""
    first = min(below, key=lambda item: item.first)
    begins = first.first == 0 and not (
        first.phrase.text[0].islower() or first.phrase.text[0] == "("
    )
    return pitch > 0 and _pitch(above, below) <= pitch + 0.1 and not begins
