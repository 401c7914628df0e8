"""Lays out random pages with exact truth: the position of each character, the kind of each block.

Pages are small cards with typewriter text from the top left: Courier, a column every 8 points, a
line every 32. The largest view renders two pixels per point, so a character fills exactly two
patches of the encoder, and a vision token covers four characters of one line. This grid lets a
small model learn to read in an hour on a CPU; with free fonts and positions it did not.

Units: points, origin at the top left. Pages are square, so that square views do not stretch them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from .lexicon import Writer

__all__ = ["COLUMN", "ROW", "SIDE", "SIZE", "Kind", "Line", "Part", "Sheet", "lay_out", "set_card"]

SIDE: Final = 224.0
"""Side of a page: 448 pixels at the engine's 144 dpi, the largest view, without resampling."""

COLUMN: Final = 8.0
ROW: Final = 32.0
SIZE: Final = COLUMN / 0.6
"""The width of Courier is 0.6 of its size."""

Kind = Literal["title", "sub_title", "text", "list", "table", "image", "image_caption"]
_COLUMNS: Final = int(SIDE / COLUMN)
_ROWS: Final = int(SIDE / ROW)
_BASELINE: Final = 20.0
_SHARES: Final = (0.45, 0.15, 0.15, 0.13, 0.12)  # of kinds of blocks


@dataclass(frozen=True, slots=True)
class Line:
    """Text that begins in a column and a row of the grid."""

    text: str
    column: int
    row: int
    bold: bool = False

    @property
    def baseline(self) -> tuple[float, float]:
        """The position where the text begins, in points."""
        return self.column * COLUMN, self.row * ROW + _BASELINE

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box of the letters, including ascenders and descenders, in points."""
        x, y = self.column * COLUMN, self.row * ROW
        return x, y + 8, x + len(self.text) * COLUMN, y + ROW - 8


@dataclass(frozen=True, slots=True)
class Part:
    """One block: its lines in reading order. ``columns`` is 0 unless it is a table."""

    kind: Kind
    lines: tuple[Line, ...]
    columns: int = 0
    frame: tuple[float, float, float, float] | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The frame if there is one, else the box of the lines."""
        if self.frame:
            return self.frame
        boxes = np.array([line.box for line in self.lines])
        x0, y0 = boxes[:, :2].min(0).tolist()
        x1, y1 = boxes[:, 2:].max(0).tolist()
        return x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page to draw. ``noise`` is the share of its pixels with noise."""

    parts: tuple[Part, ...]
    noise: float = 0.0


@dataclass(slots=True)
class _Pen:
    """Places blocks one below the other in one column of the page."""

    random: np.random.Generator
    writer: Writer
    left: int
    right: int
    row: int
    last: int
    parts: list[Part] = field(default_factory=list)

    def room(self, rows: int) -> bool:
        """Whether this many rows are left."""
        return self.row + rows <= self.last

    def wrap(self, text: str, *, bold: bool = False) -> list[Line]:
        """Break a text into lines; drop lines that do not fit the page."""
        lines: list[Line] = []
        current = ""
        for word in [*text.split(), ""]:
            longer = f"{current} {word}".strip()
            if word and len(longer) <= self.right - self.left:
                current = longer
                continue
            if current and self.room(1):
                lines.append(Line(current, self.left, self.row, bold))
                self.row += 1
            current = word if len(word) <= self.right - self.left else ""
        return lines

    def put(self, kind: Kind, lines: list[Line]) -> None:
        """Add a block."""
        if lines:
            self.parts.append(Part(kind, tuple(lines)))

    def heading(self, kind: Kind) -> None:
        """A title is in capitals, both are bold."""
        text = self.writer.heading(int(self.random.integers(1, 4)))
        self.put(kind, self.wrap(text.upper() if kind == "title" else text, bold=True))

    def paragraph(self, most: int) -> None:
        """Add up to this many sentences."""
        if self.parts and self.parts[-1].kind in ("text", "list", "image_caption"):
            self.row += 1  # otherwise the two could not be told apart
        count = int(self.random.integers(1, most + 1))
        sentences = [self.writer.sentence(int(self.random.integers(3, 10))) for _ in range(count)]
        self.put("text", self.wrap(" ".join(sentences)))

    def bullets(self) -> None:
        """Add a list with items of one line."""
        lines: list[Line] = []
        for _ in range(int(self.random.integers(2, 5))):
            words = [self.writer.word() for _ in range(int(self.random.integers(1, 4)))]
            text = "- " + " ".join(words)
            if self.room(1) and len(text) <= self.right - self.left:
                lines.append(Line(text, self.left, self.row))
                self.row += 1
        self.put("list", lines)

    def table(self) -> None:
        """Add a ruled table."""
        columns, rows = int(self.random.integers(2, 4)), int(self.random.integers(2, 4))
        width = (self.right - self.left) // columns
        if not self.room(rows):
            return
        lines = []
        for row in range(rows):
            for column in range(columns):
                text = self.writer.number() if row and column else self.writer.heading(1)
                place = self.left + column * width
                lines.append(Line(text[: width - 1], place, self.row + row))
        right = self.left + columns * width
        frame = (self.left, self.row, right, self.row + rows)
        self._framed("table", lines, frame, columns)
        self.row += rows

    def figure(self) -> None:
        """Add a figure with a caption."""
        rows = int(self.random.integers(1, 3))
        if not self.room(rows + 1):
            return
        self._framed("image", [], (self.left + 1, self.row, self.right - 1, self.row + rows))
        self.row += rows
        text = f"Figure {int(self.random.integers(1, 10))}: {self.writer.heading(1)}"
        self.put("image_caption", self.wrap(text))

    def _framed(
        self, kind: Kind, lines: list[Line], frame: tuple[int, int, int, int], columns: int = 0
    ) -> None:
        left, top, right, bottom = frame
        # two points outside the letters
        box = (left * COLUMN - 2, top * ROW + 2, right * COLUMN - 2, bottom * ROW - 2)
        self.parts.append(Part(kind, tuple(lines), columns, box))


def set_card(*blocks: tuple[Kind, str]) -> Sheet:
    """Lay out a page of given texts, one block below the other.

    Args:
        blocks: kind (a title, a heading or running text) and text of each.
    """
    pen = _Pen(
        np.random.default_rng(0), Writer(np.random.default_rng(0)), 1, _COLUMNS - 1, 0, _ROWS
    )
    for kind, text in blocks:
        pen.put(kind, pen.wrap(text, bold=kind in ("title", "sub_title")))
    return Sheet(tuple(pen.parts))


def lay_out(random: np.random.Generator, level: int, *, held_out: bool = False) -> Sheet:
    """Lay out a random page.

    Args:
        random: decides everything.
        level: 0 a few words, 1 a few lines, 2 paragraphs, 3 all kinds of blocks.
        held_out: whether words kept from training may appear.
    """
    writer = Writer(random, held_out=held_out)
    pen = _Pen(random, writer, 1, _COLUMNS - 1, 0, _ROWS)
    if level == 0:
        text = " ".join(writer.word() for _ in range(int(random.integers(1, 5))))
        pen.put("text", pen.wrap(text)[:1])
    elif level == 1:
        pen.paragraph(2)
    elif level == 2:
        for _ in range(int(random.integers(1, 4))):
            pen.paragraph(4)
    else:
        _mixed(pen)
    noise = float(random.choice([0.0, 0.0, 0.002, 0.006]))
    return Sheet(tuple(pen.parts), noise)


def _mixed(pen: _Pen) -> None:
    random = pen.random
    if random.random() < 0.6:
        pen.heading("title")
    blocks: tuple[Callable[[], None], ...] = (
        lambda: pen.paragraph(3),
        lambda: pen.heading("sub_title"),
        pen.bullets,
        pen.table,
        pen.figure,
    )
    while pen.room(1) and random.random() < 0.95:
        blocks[int(random.choice(5, p=_SHARES))]()
    if not pen.parts:
        pen.paragraph(2)
