"""Lay out random pages with exact truth: which character stands where, and what is which block.

Units: points, origin at the top left. Pages are square cards, so that the square views the
model reads do not stretch them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Final, Literal

import numpy as np
import pymupdf

from .lexicon import Writer

__all__ = ["SIDE", "Kind", "Line", "Part", "Sheet", "lay_out"]

SIDE: Final = 320.0
"""Side of a page: 640 pixels at the engine's 144 dpi, its widest view, nothing resampled."""

Kind = Literal["title", "sub_title", "text", "list", "table", "image", "image_caption"]
_FONTS: Final = ("helv", "tiro", "cour", "hebo")
_MARGIN: Final = 18.0
_LEADING: Final = 1.32


@dataclass(frozen=True, slots=True)
class Line:
    """Text on one baseline, from ``x`` on."""

    text: str
    x: float
    baseline: float
    size: float
    font: str

    @property
    def edges(self) -> list[float]:
        """Where each character begins, and the last one ends."""
        advances = _advances(self.font)
        widths = [advances[char] * self.size for char in self.text]
        return list(accumulate(widths, initial=self.x))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Around the letters, ascenders and descenders included."""
        up, down = 0.76 * self.size, 0.22 * self.size
        return self.x, self.baseline - up, self.edges[-1], self.baseline + down


@dataclass(frozen=True, slots=True)
class Part:
    """One block: its lines in reading order. ``columns`` is that of a table, else 0."""

    kind: Kind
    lines: tuple[Line, ...]
    columns: int = 0
    frame: tuple[float, float, float, float] | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The frame if there is one, else around the lines."""
        if self.frame:
            return self.frame
        boxes = np.array([line.box for line in self.lines])
        x0, y0 = boxes[:, :2].min(0).tolist()
        x1, y1 = boxes[:, 2:].max(0).tolist()
        return x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page to draw. ``noise`` is the share of its pixels that are dirtied."""

    parts: tuple[Part, ...]
    noise: float = 0.0


@cache
def _advances(font: str) -> dict[str, float]:
    """Widths of printable ASCII at size 1."""
    drawn = pymupdf.Font(font)
    return {chr(code): drawn.glyph_advance(code) for code in range(32, 127)}


@dataclass(slots=True)
class _Pen:
    """Sets parts one under the other in one column."""

    random: np.random.Generator
    writer: Writer
    font: str
    size: float
    left: float
    right: float
    top: float
    bottom: float
    parts: list[Part] = field(default_factory=list)

    def room(self, lines: float, size: float) -> bool:
        return self.top + lines * size * _LEADING <= self.bottom

    def wrap(self, text: str, size: float, font: str, indent: float = 0.0) -> list[Line]:
        """Break a text into lines; what does not fit the page is dropped."""
        lines: list[Line] = []
        current = ""
        for word in text.split():
            longer = f"{current} {word}".strip()
            if _width(longer, font, size) <= self.right - self.left - indent or not current:
                current = longer
                continue
            if not self._set(lines, current, size, font, indent):
                return lines
            current = word
        self._set(lines, current, size, font, indent)
        return lines

    def _set(self, lines: list[Line], text: str, size: float, font: str, indent: float) -> bool:
        if not text or not self.room(1, size):
            return False
        if _width(text, font, size) > self.right - self.left - indent:
            return False
        lines.append(Line(text, self.left + indent, self.top + size, size, font))
        self.top += size * _LEADING
        return True

    def put(self, kind: Kind, lines: list[Line], **more: object) -> None:
        if lines:
            self.parts.append(Part(kind, tuple(lines), **more))  # type: ignore[arg-type]
            self.top += self.size * float(self.random.uniform(0.4, 0.9))

    def heading(self, kind: Kind, scale: float) -> None:
        size = self.size * scale
        font = "hebo" if self.font == "helv" else self.font
        self.put(kind, self.wrap(self.writer.heading(int(self.random.integers(1, 5))), size, font))

    def paragraph(self, most: int) -> None:
        count = int(self.random.integers(1, most + 1))
        sentences = [self.writer.sentence(int(self.random.integers(3, 12))) for _ in range(count)]
        self.put("text", self.wrap(" ".join(sentences), self.size, self.font))

    def bullets(self) -> None:
        lines: list[Line] = []
        for _ in range(int(self.random.integers(2, 5))):
            words = [self.writer.word() for _ in range(int(self.random.integers(1, 5)))]
            text = "- " + " ".join(words)
            if not self.room(1, self.size) or _width(text, self.font, self.size) > (
                self.right - self.left
            ):
                break
            self._set(lines, text, self.size, self.font, 0)
        self.put("list", lines)

    def table(self) -> None:
        columns, rows = int(self.random.integers(2, 4)), int(self.random.integers(2, 5))
        step, width = self.size * 1.6, (self.right - self.left) / columns
        if self.top + rows * step > self.bottom:
            return
        lines = []
        for row in range(rows):
            for column in range(columns):
                text = self.writer.number() if row and column else self.writer.heading(1)
                x = self.left + column * width + 4
                if _width(text, self.font, self.size) > width - 8:
                    text = text[:3]
                lines.append(
                    Line(text, x, self.top + row * step + self.size * 1.15, self.size, self.font)
                )
        frame = (self.left, self.top, self.right, self.top + rows * step)
        self.top += rows * step
        self.put("table", lines, columns=columns, frame=frame)

    def figure(self) -> None:
        height = float(self.random.uniform(40, 80))
        if self.top + height + 2 * self.size * _LEADING > self.bottom:
            return
        frame = (self.left + 10, self.top, self.right - 10, self.top + height)
        self.parts.append(Part("image", (), frame=frame))
        self.top += height + 4
        text = f"Figure {int(self.random.integers(1, 10))}: {self.writer.heading(3)}"
        self.put("image_caption", self.wrap(text, self.size * 0.9, self.font, 10))


def _width(text: str, font: str, size: float) -> float:
    advances = _advances(font)
    return sum(advances[char] for char in text) * size


def lay_out(random: np.random.Generator, level: int, *, held_out: bool = False) -> Sheet:
    """A random page.

    Args:
        random: decides everything.
        level: 0 a few words, 1 a few lines, 2 paragraphs, 3 all kinds of blocks.
        held_out: whether words kept from training may appear.
    """
    font = _FONTS[int(random.integers(3))]
    size = float(random.uniform(11.5, 15.5))
    if level < 3:
        left = float(random.uniform(_MARGIN * 0.6, 40 if level else 140))
        top = float(random.uniform(_MARGIN * 0.6, (250, 180, 60)[level]))
        right = SIDE - _MARGIN * 0.6
    else:
        left, top, right = _MARGIN, float(random.uniform(_MARGIN * 0.6, 40)), SIDE - _MARGIN
    writer = Writer(random, held_out=held_out)
    pen = _Pen(random, writer, font, size, left, right, top, SIDE - _MARGIN * 0.6)
    if level == 0:
        text = " ".join(writer.word() for _ in range(int(random.integers(1, 6))))
        pen.put("text", pen.wrap(text, size, font)[:1])
    elif level == 1:
        pen.paragraph(3)
    elif level == 2:
        for _ in range(int(random.integers(1, 7))):
            pen.paragraph(4)
    else:
        _mixed(pen)
    noise = float(random.choice([0.0, 0.0, 0.002, 0.006]))
    return Sheet(tuple(pen.parts), noise)


def _mixed(pen: _Pen) -> None:
    random = pen.random
    if random.random() < 0.6:
        pen.heading("title", 1.5)
    if random.random() < 0.2:
        _two_columns(pen)
    while pen.room(2, pen.size) and len(pen.parts) < 7 and random.random() < 0.9:
        kind = random.random()
        if kind < 0.45:
            pen.paragraph(3)
        elif kind < 0.6:
            pen.heading("sub_title", 1.2)
        elif kind < 0.75:
            pen.bullets()
        elif kind < 0.88:
            pen.table()
        else:
            pen.figure()
    if not pen.parts:
        pen.paragraph(2)


def _two_columns(pen: _Pen) -> None:
    gap = 16.0
    middle = (pen.left + pen.right) / 2
    ends = []
    for left, right in ((pen.left, middle - gap / 2), (middle + gap / 2, pen.right)):
        bottom = min(pen.bottom, pen.top + float(pen.random.uniform(90, 200)))
        column = _Pen(
            pen.random, pen.writer, pen.font, min(pen.size, 13), left, right, pen.top, bottom
        )
        column.paragraph(3)
        pen.parts += column.parts
        ends.append(column.top)
    pen.top = max(ends)
