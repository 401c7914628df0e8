"""Plans the cells of a table from its drawn grid. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ..geometry import Rect, centre_inside, vertical_overlap
from ..text_layer.words import LayoutWord
from .lattice import Face, Lattice
from .phrases import Line, is_amount, is_year, lines_of
from .records import CellSlot, GridPlan

__all__ = ["is_table", "plan_ruled", "tidied"]

_MIN_COLUMN: Final = 10.0  # points; narrower ones without text are gaps between filled cells
_MIN_ROW: Final = 5.0  # points, the height of the smallest legible text
_WHOLE: Final = 0.8
"""Share of the cells whose text is not in columns: then the drawn cells are the cells."""
_COLUMN_GAP: Final = 1.5  # font sizes, common to at least two lines of a cell in columns
_STACK: Final = 3  # lines side by side in a band that are rows, not paragraphs
_DIGITS: Final = 0.3  # share of the characters of a date or a code
_FILLED: Final = 0.5  # share of the cells with text in a table that no model found
_PLAIN: Final = 0.6  # share of its cells without spans; forms have boxes of all lengths
_LARGEST: Final = 0.5
"""Share of the words that a cell of such a table may have; a frame of a page has more."""

_Held = Sequence[tuple[Face, list[LayoutWord]]]


def plan_ruled(
    lattice: Lattice, words: Sequence[LayoutWord], nested: Sequence[Rect] = ()
) -> GridPlan | None:
    """Plan the cells of a drawn grid, which :func:`tidied` has cleaned.

    Args:
        lattice: the grid.
        words: those in it; others are ignored.
        nested: boxes of the grids within one of its cells, whose text becomes the text of the cell.

    Returns:
        None if the rules do not draw the cells: less than two columns, or texts in columns within
        most cells.
    """
    if len(lattice.xs) < 3:
        return None
    lattice = _with_headings_split(lattice, _held(lattice, words))
    held = _held(lattice, words)
    full = [found for _, found in held if found]
    whole = sum(_holds(lattice, f, nested) or not _is_in_columns(ws) for f, ws in held if ws)
    if not full or whole < _WHOLE * len(full) or any(_is_shade(f, ws) for f, ws in held):
        return None
    split = _with_stacks_split(lattice, held)
    if split is not lattice:
        held = _held(split, words)
    slots = [_slot(split, face) for face, _ in held]
    rows, cols = len(split.ys) - 1, len(split.xs) - 1
    return GridPlan(rows, cols, tuple(slots), _header_rows(held, rows, cols))


def is_table(lattice: Lattice, words: Sequence[LayoutWord]) -> bool:
    """Whether a drawn grid is clearly a table, though no model says so: not a form or a chart."""
    rows, cols = len(lattice.ys) - 1, len(lattice.xs) - 1
    held = _held(lattice, words)
    closed = [(face, found) for face, found in held if face.closed]
    full = [found for _, found in closed if found]
    plain = sum(f.row_end - f.row == 1 == f.col_end - f.col for f, _ in held)
    several = rows >= 2 <= cols and len(full) >= 4 and len(closed) >= _WHOLE * len(held)
    even = plain >= _PLAIN * len(held) and len(full) >= _FILLED * len(closed)
    total = sum(len(found) for _, found in held)
    return several and even and max(map(len, full)) <= max(_LARGEST * total, 20)


def tidied(lattice: Lattice, words: Sequence[LayoutWord]) -> Lattice:
    """Drop open outer rows and columns, and narrow ones between lines, that have no text."""
    for _ in range(2):
        lattice = _without(lattice, words, axis=0)
        lattice = _without(lattice, words, axis=1)
    return lattice


def _without(lattice: Lattice, words: Sequence[LayoutWord], axis: int) -> Lattice:
    edges = (lattice.xs, lattice.ys)[axis]
    least = (_MIN_COLUMN, _MIN_ROW)[axis]
    middles = [(w.rect[axis] + w.rect[axis + 2]) / 2 for w in words if _is_in(w, lattice)]
    gone: set[int] = set()
    for i, (low, high) in enumerate(pairwise(edges)):
        outer = i in (0, len(edges) - 2)
        open_side = outer and not any(
            f.closed for f in lattice.faces if _range(f, axis)[0] <= i < _range(f, axis)[1]
        )
        narrow = high - low < least
        if (open_side or narrow) and not any(low <= m <= high for m in middles):
            gone.add(i)
    used = {v for f in lattice.faces for v in _range(f, axis)}
    if (not gone and len(used) == len(edges)) or len(gone) >= len(edges) - 1:
        return lattice
    return _renumbered(lattice, axis, gone, used)


def _renumbered(lattice: Lattice, axis: int, gone: set[int], used: set[int]) -> Lattice:
    """Drop rows or columns, and lines at which no cell begins or ends."""
    edges = (lattice.xs, lattice.ys)[axis]
    last = len(edges) - 2
    left_out = {i + 1 if i != last else i for i in gone}  # a gap joins the cells on its left
    if 0 in gone:
        left_out = (left_out - {1}) | {0}
    kept = [i for i in range(len(edges)) if i not in left_out and i in used]
    kept = kept if len(kept) >= 2 else [0, len(edges) - 1]

    def moved(value: int) -> int:
        return max(0, sum(k <= value for k in kept) - 1)

    faces = []
    for face in lattice.faces:
        low, high = _range(face, axis)
        a, b = moved(low), moved(high)
        if a < b:
            by_row = replace(face, row=a, row_end=b)
            faces.append(by_row if axis else replace(face, col=a, col_end=b))
    lines = tuple(edges[i] for i in kept)
    if axis:
        return Lattice(lattice.xs, lines, tuple(faces))
    return Lattice(lines, lattice.ys, tuple(faces))


def _range(face: Face, axis: int) -> tuple[int, int]:
    return (face.row, face.row_end) if axis else (face.col, face.col_end)


def _is_in(word: LayoutWord, lattice: Lattice) -> bool:
    return centre_inside(word.rect, lattice.rect)


def _slot(lattice: Lattice, face: Face) -> CellSlot:
    spans = (face.row_end - face.row, face.col_end - face.col)
    return CellSlot(face.row, face.col, *spans, lattice.rect_of(face))


def _held(lattice: Lattice, words: Sequence[LayoutWord]) -> _Held:
    """The words of each cell."""
    owner = {
        (r, c): i
        for i, f in enumerate(lattice.faces)
        for r in range(f.row, f.row_end)
        for c in range(f.col, f.col_end)
    }
    found: list[list[LayoutWord]] = [[] for _ in lattice.faces]
    x0, y0, x1, y1 = lattice.rect
    for word in words:
        x, y = (word.rect[0] + word.rect[2]) / 2, (word.rect[1] + word.rect[3]) / 2
        if x0 <= x <= x1 and y0 <= y <= y1:
            spot = owner.get((_step(lattice.ys, y), _step(lattice.xs, x)))
            if spot is not None:
                found[spot].append(word)
    return list(zip(lattice.faces, found, strict=True))


def _step(edges: Sequence[float], value: float) -> int:
    return max(0, min(bisect_right(edges, value), len(edges) - 1) - 1)


def _holds(lattice: Lattice, face: Face, nested: Sequence[Rect]) -> bool:
    return any(centre_inside(rect, lattice.rect_of(face)) for rect in nested)


def _is_shade(face: Face, words: Sequence[LayoutWord]) -> bool:
    """Whether a cell over several rows is the shade of a column of numbers."""
    if face.row_end - face.row < 2 or len(words) < _STACK:
        return False
    lines = lines_of(words)
    amounts = sum(all(p.is_amount for p in line.phrases) for line in lines)
    return amounts >= max(_STACK, 0.5 * len(lines))


def _with_headings_split(lattice: Lattice, held: _Held) -> Lattice:
    """Split a cell over several columns that has a text of its own in each of them.

    Headings on one coloured bar look like this.
    """
    faces: list[Face] = []
    for face, found in held:
        edges = lattice.xs[face.col : face.col_end + 1]
        if len(edges) > 2 and face.row_end == face.row + 1 and found and _fills(found, edges):
            faces += [replace(face, col=c, col_end=c + 1) for c in range(face.col, face.col_end)]
        else:
            faces.append(face)
    return replace(lattice, faces=tuple(faces)) if len(faces) > len(held) else lattice


def _fills(words: Sequence[LayoutWord], edges: Sequence[float]) -> bool:
    """Whether no phrase crosses a column, and most columns have one."""
    phrases = [p for line in lines_of(words) for p in line.phrases]
    columns = [_step(edges, (p.rect[0] + p.rect[2]) / 2) for p in phrases]
    fit = all(
        edges[c] - 1 <= p.rect[0] and p.rect[2] <= edges[c + 1] + 1
        for p, c in zip(phrases, columns, strict=True)
    )
    return fit and len(set(columns)) >= max(2, 0.6 * (len(edges) - 1))


def _is_in_columns(words: Sequence[LayoutWord]) -> bool:
    """Whether a cell holds texts in columns: a row of numbers, or lines with a common gap."""
    lines = lines_of(words)
    wide = [line for line in lines if len(line.phrases) > 1]
    if any(len(p) > 2 or all(x.is_amount for x in p) for p in (line.phrases for line in wide)):
        return True
    if len(wide) < 2:
        return False
    size = max(line.size for line in lines)
    reach = -1.0
    for start, end in sorted((w.rect[0], w.rect[2]) for w in words):
        if reach >= 0 and start - reach > _COLUMN_GAP * size:
            return sum(_is_split(line, reach, start) for line in lines) >= 2
        reach = max(reach, end)
    return False


def _is_split(line: Line, low: float, high: float) -> bool:
    return line.rect[0] < low and line.rect[2] > high


def _with_stacks_split(lattice: Lattice, held: _Held) -> Lattice:
    """Split bands of the grid in which each column holds lines that stand side by side.

    Rows without rules between them look like this. A row of paragraphs does not: the cells of a
    drawn row differ in their number of lines.
    """
    cuts: dict[int, list[float]] = {}
    for row in range(len(lattice.ys) - 1):
        cells = [(f, found) for f, found in held if f.row == row and found]
        if all(f.row_end == row + 1 for f, _ in cells):
            stack = _stack([found for _, found in cells])
            if stack:
                cuts[row] = stack
    return _cut(lattice, cuts) if cuts else lattice


def _stack(cells: Sequence[Sequence[LayoutWord]]) -> list[float]:
    """The boundaries of the rows in a band of cells; none if it is one row."""
    columns = [lines_of(found) for found in cells]
    most = max((len(c) for c in columns), default=0)
    tall = [c for c in columns if len(c) >= max(_STACK, 0.6 * most)]
    rows = [line.rect for line in max(tall, key=len, default=[])]
    values = [c for c in columns if len(c) >= _STACK and _are_values(c)]
    if not all(any(vertical_overlap(x.rect, row) > 0.6 for row in rows) for c in values for x in c):
        return []
    all_tall = len(tall) > 1 and len(columns[0]) >= 0.6 * most and len(tall) >= 0.6 * len(columns)
    if len(values) > 1 or (all_tall and values):
        return [(a[3] + b[1]) / 2 for a, b in pairwise(rows)]
    return []


def _are_values(lines: Sequence[Line]) -> bool:
    """Whether most lines of a cell are numbers or dates."""
    texts = [" ".join(p.text for p in line.phrases) for line in lines]
    return sum(is_amount(t) or _digits(t) >= _DIGITS for t in texts) > 0.5 * len(texts)


def _digits(text: str) -> float:
    return sum(c.isdigit() for c in text) / max(1, len(text))


def _cut(lattice: Lattice, cuts: dict[int, list[float]]) -> Lattice:
    ys, starts = [lattice.ys[0]], []
    for row in range(len(lattice.ys) - 1):
        starts.append(len(ys) - 1)
        ys += [*cuts.get(row, ()), lattice.ys[row + 1]]
    starts.append(len(ys) - 1)
    faces: list[Face] = []
    for face in lattice.faces:
        low, high = starts[face.row], starts[face.row_end]
        parts = range(low, high) if face.row in cuts and face.row_end == face.row + 1 else [low]
        ends = [r + 1 for r in parts] if len(parts) > 1 else [high]
        faces += [replace(face, row=a, row_end=b) for a, b in zip(parts, ends, strict=True)]
    return Lattice(lattice.xs, tuple(ys), tuple(faces))


def _header_rows(held: _Held, rows: int, cols: int) -> int:
    """Rows at the top that their spans tie together, without values; -1 if unknown."""
    count = 1
    while count < rows:
        above = [f for f, _ in held if f.row < count]
        reach = max((f.row_end for f in above), default=count)
        groups = [f for f in above if f.row_end == count and f.col_end - f.col > 1]
        deeper = any(_is_divided(f, held) for f in groups)
        if reach <= count and not deeper:
            break
        count = max(reach, count + deeper)
    texts = [_text(found) for f, found in held if f.row < count and f.col and found]
    if count < rows and not any(map(is_amount, texts)):
        return count if count > 1 or all(map(is_year, texts)) else -1
    return 1 if 1 < count < rows else -1


def _is_divided(group: Face, held: _Held) -> bool:
    under = [f for f, _ in held if f.row == group.row_end and group.col <= f.col < group.col_end]
    return len(under) > 1


def _text(words: Sequence[LayoutWord]) -> str:
    return " ".join(w.text for w in words)
