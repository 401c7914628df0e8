"""The correct answers about a page in the released grammar, with the position of each letter.

Lines of a block stay lines, so that the model always knows its position on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .layout import COLUMN, ROW, SIDE, Line, Part, Sheet

__all__ = ["Target", "free_ocr", "glyphs", "locate", "markdown"]

Point = tuple[float, float]
_NOWHERE: Point = (float("nan"), float("nan"))


@dataclass(slots=True)
class Target:
    """A text, and the point on the page of each character.

    Units: fractions of the page, origin top left; NaN for characters that are not on the page.
    """

    text: str = ""
    points: list[Point] = field(default_factory=list)
    here: Point = _NOWHERE  # after the last line

    def mark(self, text: str, point: Point | None = None) -> None:
        """Add text that is not on the page, at a point: the end of the last line."""
        self.text += text
        self.points += [point or self.here] * len(text)

    def line(self, line: Line, *, skip: int = 0) -> None:
        """Add a line of the page without its first ``skip`` characters."""
        self.text += line.text[skip:]
        places = [(x, y) for _, x, y in _places(line)]
        self.points += places[skip:]
        self.here = (places[-1][0] + COLUMN / SIDE, places[-1][1])


def free_ocr(sheet: Sheet) -> Target:
    """The text of the page."""
    target = Target()
    for part in sheet.parts:
        if not part.lines:
            continue
        if target.text:
            target.mark("\n\n")
        _lines(target, part)
    return target


def markdown(sheet: Sheet) -> Target:
    """The blocks with their kinds and boxes."""
    target = Target()
    for part in sheet.parts:
        target.mark(f"<|ref|>{_label(part)}<|/ref|>", _corner(part.box, 0, 1))
        _box(target, part.box)
        target.mark("\n")
        _CONTENT.get(part.kind, _lines)(target, part)
        if part.kind != "image":
            target.mark("\n\n")
    target.text = target.text.rstrip("\n")
    del target.points[len(target.text) :]
    return target


def locate(line: Line, words: slice) -> tuple[str, Target]:
    """A phrase of a line, and its answer: the phrase with its box."""
    parts = line.text.split(" ")
    phrase = " ".join(parts[words])
    start = len(" ".join(parts[: words.start])) + (1 if words.start else 0)
    _, x, y = _places(line)[start]
    target = Target()
    target.mark(f"<|ref|>{phrase}<|/ref|>", (x, y))
    _box(target, Line(phrase, line.column + start, line.row).box)
    return phrase, target


def glyphs(sheet: Sheet) -> Iterator[tuple[str, float, float]]:
    """All characters with their centres, in fractions of the page."""
    for part in sheet.parts:
        for line in part.lines:
            yield from (place for place in _places(line) if place[0] != " ")


def _places(line: Line) -> list[tuple[str, float, float]]:
    y = (line.row + 0.5) * ROW / SIDE
    return [
        (char, (line.column + number + 0.5) * COLUMN / SIDE, y)
        for number, char in enumerate(line.text)
    ]


def _label(part: Part) -> str:
    return "text" if part.kind == "list" else part.kind


def _box(target: Target, box: tuple[float, float, float, float]) -> None:
    numbers = [min(999, max(0, round(value / SIDE * 999))) for value in box]
    start, end = _corner(box, 0, 1), _corner(box, 2, 3)
    target.mark("<|det|>[[", start)
    target.mark(f"{numbers[0]}, {numbers[1]}, ", start)
    target.mark(f"{numbers[2]}, {numbers[3]}", end)
    target.mark("]]<|/det|>", start)
    target.here = start


def _corner(box: tuple[float, float, float, float], x: int, y: int) -> Point:
    inside = np.clip(np.array([box[x], box[y]]) / SIDE, 0.001, 0.999)
    return float(inside[0]), float(inside[1])


def _lines(target: Target, part: Part) -> None:
    if part.kind == "table":
        _rows(target, part, " ", "\n")
        return
    for number, line in enumerate(part.lines):
        if number:
            target.mark("\n")
        target.line(line)


def _hashed(marks: str) -> Callable[[Target, Part], None]:
    def write(target: Target, part: Part) -> None:
        for number, line in enumerate(part.lines):
            target.mark(" " if number else f"{marks} ")
            target.line(line)

    return write


def _centred(target: Target, part: Part) -> None:
    target.mark("<center>")
    for number, line in enumerate(part.lines):
        if number:
            target.mark("\n")
        target.line(line)
    target.mark("</center>")


def _table(target: Target, part: Part) -> None:
    target.mark("<table><tr><td>")
    _rows(target, part, "</td><td>", "</td></tr><tr><td>")
    target.mark("</td></tr></table>")


def _rows(target: Target, part: Part, between: str, after: str) -> None:
    for number, line in enumerate(part.lines):
        if number:
            target.mark(between if number % part.columns else after)
        target.line(line)


def _nothing(target: Target, part: Part) -> None:
    return


_CONTENT: dict[str, Callable[[Target, Part], None]] = {
    "title": _hashed("#"),
    "sub_title": _hashed("##"),
    "image_caption": _centred,
    "table": _table,
    "image": _nothing,
}
