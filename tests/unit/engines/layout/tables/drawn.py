"""Draws pages for the tests of tables: words and drawings without a PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from opticalrag.ingest.core.records import TableGrid
from opticalrag.ingest.engines.layout.geometry import Rect
from opticalrag.ingest.engines.layout.grids import fill_grid
from opticalrag.ingest.engines.layout.tables import PlacedTable, find_rules, find_tables
from opticalrag.ingest.engines.layout.tables.turning import turned_back
from opticalrag.ingest.engines.layout.text_layer.extract import Drawing
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord
from opticalrag.ingest.engines.layout.upright import box_maker

PAGE: Rect = (0.0, 0.0, 600.0, 800.0)
_WIDTH = 0.5  # of a letter, in font sizes


class Sheet:
    """A page to draw on. ``size`` is the font size of all text, in points."""

    def __init__(self, size: float = 10.0) -> None:
        self.size = size
        self.words: list[LayoutWord] = []
        self.drawings: list[Drawing] = []
        self._lines = count()

    def text(self, x: float, y: float, text: str, align: str = "left", bold: bool = False) -> None:
        """Write lines, the first one with its top at ``y``; ``x`` is the edge or the middle."""
        for row, part in enumerate(text.split("\n")):
            self._line(x, y + 1.15 * self.size * row, part, align, bold)

    def _line(self, x: float, y: float, text: str, align: str, bold: bool) -> None:
        step = _WIDTH * self.size
        number = next(self._lines)
        x -= {"left": 0.0, "right": 1.0, "centre": 0.5}[align] * step * len(text)
        for word in text.split(" "):
            rect = (x, y, x + step * len(word), y + self.size)
            if word:
                self.words.append(LayoutWord(word, rect, self.size, number, number, bold=bold))
            x += step * (len(word) + 1)

    def line(self, x0: float, y0: float, x1: float, y1: float, color: int = 0) -> None:
        """Draw a horizontal or vertical line of 0.6 pt."""
        self._draw((x0 - 0.3, y0 - 0.3, x1 + 0.3, y1 + 0.3), color, stroked=True)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: int = 0) -> None:
        """Draw a frame."""
        self._draw((x0 - 0.3, y0 - 0.3, x1 + 0.3, y1 + 0.3), color, stroked=True)

    def area(self, x0: float, y0: float, x1: float, y1: float, color: int) -> None:
        """Fill a rectangle."""
        self._draw((x0, y0, x1, y1), color, stroked=False)

    def _draw(self, rect: Rect, color: int, stroked: bool) -> None:
        self.drawings.append(Drawing(rect, color, 255, stroked, True, len(self.drawings)))

    def turned(self, turn: int, dx: float, dy: float) -> Sheet:
        """The same page written at ``turn`` quarter turns, moved."""
        sheet = Sheet(self.size)

        def moved(rect: Rect) -> Rect:
            x0, y0, x1, y1 = turned_back(rect, turn)
            return (x0 + dx, y0 + dy, x1 + dx, y1 + dy)

        sheet.words = [replace(w, rect=moved(w.rect), turn=turn) for w in self.words]
        sheet.drawings = [replace(d, rect=moved(d.rect)) for d in self.drawings]
        return sheet


def tables(sheet: Sheet, *regions: Rect) -> list[PlacedTable]:
    """The tables of a page, those of its regions first."""
    found, missed = find_tables(regions, find_rules(sheet.drawings, PAGE), sheet.words)
    return [*(t for group in found for t in group), *missed]


def filled(table: PlacedTable, words: Sequence[LayoutWord]) -> TableGrid:
    """The table with the words around whose centre it is."""
    x0, y0, x1, y1 = table.rect
    inside = [
        w
        for w in words
        if x0 <= (w.rect[0] + w.rect[2]) / 2 <= x1 and y0 <= (w.rect[1] + w.rect[3]) / 2 <= y1
    ]
    assert table.plan is not None
    return fill_grid(table.plan, inside, box_maker(PAGE, 0), frozenset())


def rows(grid: TableGrid) -> list[list[str]]:
    """The texts of a grid; a span is written once, at its first slot."""
    texts = [[""] * grid.cols for _ in range(grid.rows)]
    for cell in grid.cells:
        texts[cell.row][cell.col] = cell.text
    return texts


def spans(grid: TableGrid) -> dict[str, tuple[int, int]]:
    """Rows and columns of each cell that covers several slots, by its text."""
    wide = (c for c in grid.cells if c.row_span > 1 or c.col_span > 1)
    return {c.text: (c.row_span, c.col_span) for c in wide}
