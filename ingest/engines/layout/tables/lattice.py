"""Finds drawn grids: rules that cross, and the cells that they enclose. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..geometry import Rect
from .rules import SNAP, Rules, Segments

__all__ = ["Face", "Lattice", "find_lattices"]

_COVERED: Final = 0.7
"""Share of a cell's side that a rule must cover. Rounded corners and gaps at crossings are open."""
_MOST_BOXES: Final = 10_000  # cells of the largest table; graph paper has more

Walls = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Face:
    """A cell between rules, by half-open ranges of rows and columns.

    ``closed``: a rule is on each side.
    """

    row: int
    col: int
    row_end: int
    col_end: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Lattice:
    """A drawn grid: the positions of its lines, and its cells in rows from the top."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    faces: tuple[Face, ...]

    @property
    def rect(self) -> Rect:
        """The box around it."""
        return (self.xs[0], self.ys[0], self.xs[-1], self.ys[-1])

    def rect_of(self, face: Face) -> Rect:
        """The box of a cell."""
        xs, ys = self.xs, self.ys
        return (xs[face.col], ys[face.row], xs[face.col_end], ys[face.row_end])


def find_lattices(rules: Rules) -> list[Lattice]:
    """Find each set of connected rules that makes at least two columns."""
    across, down = rules.across, rules.down
    if len(across) < 2 or len(down) < 2:
        return []
    labels_across, labels_down = _connected(_crossings(across, down))
    found: list[Lattice] = []
    for label in np.unique(labels_down):
        rows, cols = across[labels_across == label], down[labels_down == label]
        if len(rows) >= 2 and len(cols) >= 2:
            found += _lattice(rows, cols)
    return found


def _crossings(across: Segments, down: Segments) -> NDArray[np.bool_]:
    y, x0, x1 = (column[:, None] for column in across.T)
    x, y0, y1 = (column[None, :] for column in down.T)
    meet = (x >= x0 - SNAP) & (x <= x1 + SNAP)
    return np.asarray(meet & (y >= y0 - SNAP) & (y <= y1 + SNAP))


def _connected(crossings: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the connected sets of rules; the number of a set is that of one of its members."""
    rows, cols = crossings.shape
    labels_across, labels_down = np.arange(rows), np.arange(cols) + rows
    far = rows + cols
    while True:
        best = np.where(crossings, labels_across[:, None], far).min(axis=0)
        labels_down = np.minimum(labels_down, best)
        best = np.where(crossings, labels_down[None, :], far).min(axis=1)
        if (best >= labels_across).all():
            return labels_across, labels_down
        labels_across = np.minimum(labels_across, best)


def _lattice(across: Segments, down: Segments) -> Iterator[Lattice]:
    """Build a grid; a table without outer lines ends where the rules of the other kind end."""
    ys = _positions(across[:, 0], down[:, 1], down[:, 2])
    xs = _positions(down[:, 0], across[:, 1], across[:, 2])
    if len(xs) < 3 or len(ys) < 2 or (len(xs) - 1) * (len(ys) - 1) > _MOST_BOXES:
        return
    beside, below = _walls(down, xs, ys), _walls(across, ys, xs)
    faces = tuple(_faces(beside, below))
    yield Lattice(tuple(xs.tolist()), tuple(ys.tolist()), faces)


def _positions(
    lines: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    found = np.unique(np.concatenate([lines, [starts.min(), ends.max()]]))
    kept = [found[0]]
    drawn = set(lines.tolist())
    for value in found[1:]:
        if value - kept[-1] > SNAP:
            kept.append(value)
        elif value in drawn and kept[-1] not in drawn:
            kept[-1] = value
    return np.array(kept)


def _walls(lines: Segments, positions: NDArray[np.float64], steps: NDArray[np.float64]) -> Walls:
    """Which sides are drawn. Shape ``[positions, steps - 1]``."""
    index = np.abs(lines[:, :1] - positions[None, :]).argmin(axis=1)
    low, high = steps[:-1][None, :], steps[1:][None, :]
    covered = np.clip(np.minimum(lines[:, 2:], high) - np.maximum(lines[:, 1:2], low), 0, None)
    total = np.zeros((len(positions), len(steps) - 1))
    np.add.at(total, index, covered)
    return np.asarray(total >= _COVERED * (high - low))


def _faces(beside: Walls, below: Walls) -> Iterator[Face]:
    """Join the boxes that no wall separates.

    Args:
        beside: walls at the left of each column and at the right end, ``[cols + 1, rows]``.
        below: walls above each row and at the bottom, ``[rows + 1, cols]``.
    """
    spots: dict[int, list[tuple[int, int]]] = {}
    for row, line in enumerate(_owners(beside, below).tolist()):
        for col, number in enumerate(line):
            spots.setdefault(number, []).append((row, col))
    for members in spots.values():
        for box in _rectangles(members):
            yield _with_closure(box, beside, below)


def _owners(beside: Walls, below: Walls) -> NDArray[np.int64]:
    """Give the boxes of a cell one number. Shape ``[rows, cols]``."""
    cols, rows = beside.shape[0] - 1, below.shape[0] - 1
    owner = np.arange(rows * cols).reshape(rows, cols)
    open_right, open_down = ~beside[1:-1].T, ~below[1:-1]
    while True:
        before = owner.copy()
        _spread(owner[:, :-1], owner[:, 1:], open_right)
        _spread(owner[:-1], owner[1:], open_down)
        if (owner == before).all():
            return owner


def _spread(first: NDArray[np.int64], second: NDArray[np.int64], opened: Walls) -> None:
    least = np.minimum(first, second)
    first[opened] = least[opened]
    second[opened] = np.minimum(second, first)[opened]


def _rectangles(spots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """The spots as one rectangle, or else as the runs of each row."""
    rows, cols = [r for r, _ in spots], [c for _, c in spots]
    box = (min(rows), min(cols), max(rows) + 1, max(cols) + 1)
    if (box[2] - box[0]) * (box[3] - box[1]) == len(spots):
        yield box
        return
    start = end = (-1, -1)
    for spot in sorted(spots):
        if spot != (end[0], end[1] + 1):
            if end[0] >= 0:
                yield (start[0], start[1], end[0] + 1, end[1] + 1)
            start = spot
        end = spot
    yield (start[0], start[1], end[0] + 1, end[1] + 1)


def _with_closure(box: tuple[int, int, int, int], beside: Walls, below: Walls) -> Face:
    row, col, row_end, col_end = box
    sides = (beside[col, row:row_end], beside[col_end, row:row_end])
    ends = (below[row, col:col_end], below[row_end, col:col_end])
    return Face(*box, closed=bool(all(s.all() for s in (*sides, *ends))))
