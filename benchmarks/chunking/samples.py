"""Generates tables, formulas and code together with the facts that their chunks must satisfy.

Every body cell, caption, formula and line of code has words that occur nowhere else, which identify
the chunks that contain a part of it. Header words do not occur in other text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from opticalrag.ingest.core.records import (
    Block,
    BlockKind,
    Box,
    TableCell,
    TableGrid,
    TextSource,
)
from opticalrag.ingest.markdown.render import block_markdown

from .inputs import AtomTruth, Column, Source, TableTruth, as_source
from .metrics import words

__all__ = ["generate"]

_PROSE = words(
    "the river ran high in spring and crews checked each gate before dawn because a slow leak"
    " had been heard near the old mill while two engineers walked along the dry canal with lamps"
    " they found sand under every plank so new timber was ordered from town at once yet nobody"
    " knew when boats could pass again or how long repairs might take"
)
_HEADERS = [
    word.capitalize()
    for word in words(
        "station pressure voltage depth operator interval density quantity region category"
        " discharge salinity elevation turbidity inspector capacity revision latitude longitude"
        " material coating diameter gradient torque frequency humidity altitude currency"
        " supplier warranty threshold amplitude exposure batch tolerance velocity viscosity"
        " alloy duration condition"
    )
]
_REPEATS = 3  # per case, each with other numbers


@dataclass
class _Writer:
    """Writes one document: its blocks from top to bottom, and the facts about them."""

    rng: random.Random
    numbers: Iterator[int]
    pages: list[list[Block]] = field(default_factory=lambda: [[]])
    tables: list[TableTruth] = field(default_factory=list)
    atoms: list[AtomTruth] = field(default_factory=list)
    _top: float = 0.05

    def unique(self, letter: str) -> str:
        """Make a word that occurs nowhere else."""
        return f"{letter}{next(self.numbers):04d}"

    def prose(self, length: int) -> str:
        """Make sentences of about ten words."""
        chosen = [self.rng.choice(_PROSE) for _ in range(length)]
        sentences = [chosen[i : i + 10] for i in range(0, length, 10)]
        return " ".join(" ".join(s).capitalize() + "." for s in sentences)

    def add(self, kind: BlockKind, text: str = "", height: float = 0.03, **rest: object) -> Block:
        """Add a block below the last one, on a new page if the current one is full."""
        if self._top + height > 0.95 and self.pages[-1]:
            self.pages.append([])
            self._top = 0.05
        bottom = min(self._top + height, 0.95)
        block = Block(kind, Box.clipped(0.1, self._top, 0.9, bottom), text, **rest)  # type: ignore[arg-type]
        self._top = bottom + 0.01
        self.pages[-1].append(block)
        return block

    def heading(self, level: int = 1) -> None:
        """Add a heading of four words."""
        self.add(BlockKind.HEADING, " ".join(self.rng.sample(_PROSE, 4)).capitalize(), level=level)

    def paragraph(self, length: int = 60) -> None:
        """Add a paragraph."""
        self.add(BlockKind.TEXT, self.prose(length), 0.08)

    def table(self, grid: TableGrid, caption: str = "") -> None:
        """Add a table with its caption ``"above"`` or ``"below"`` it, or without one."""
        title = f"Table {self.unique('C')}. {self.prose(12)}" if caption else ""
        if caption == "above":
            self.add(BlockKind.CAPTION, title, 0.02)
        self.add(BlockKind.TABLE, height=min(0.02 * grid.rows, 0.5), table=grid)
        if caption == "below":
            self.add(BlockKind.CAPTION, title, 0.02)
        columns = tuple(_column(grid, number) for number in range(grid.cols))
        self.tables.append(TableTruth(columns, frozenset(words(title))))
        self._top += 0.02  # keeps a caption nearer to its table than to the next one

    def atom(self, kind: BlockKind, text: str, ids: Iterable[str]) -> None:
        """Add a formula or code block."""
        block = self.add(kind, text, 0.1, source=TextSource.MODEL)
        known = frozenset(words(" ".join(ids)))
        self.atoms.append(AtomTruth(kind, text, block_markdown(block), known))


def _column(grid: TableGrid, number: int) -> Column:
    cells = [c for c in grid.cells if c.col <= number < c.col + c.col_span]
    header = " ".join(c.text for c in cells if c.row < grid.header_rows)
    body = " ".join(c.text for c in cells if c.row >= grid.header_rows)
    return Column(frozenset(words(header)), frozenset(words(body)) - frozenset(_PROSE))


def _plain(writer: _Writer, rows: int, cols: int) -> TableGrid:
    """A header row, and rows with a unique word in every cell."""
    header = [TableCell(0, c, text) for c, text in enumerate(writer.rng.sample(_HEADERS, cols))]
    body = [TableCell(r, c, writer.unique("R")) for r in range(1, rows + 1) for c in range(cols)]
    return TableGrid(rows + 1, cols, (*header, *body), 1)


def _spanned(writer: _Writer, rows: int, merged: int = 1) -> TableGrid:
    """Two header rows. Upper cells span two columns; first body cells span ``merged`` rows."""
    names = writer.rng.sample(_HEADERS, 5)
    header = [TableCell(0, 0, names[0], row_span=2)]
    header += [
        TableCell(0, c, name, col_span=2) for c, name in zip((1, 3), names[1:], strict=False)
    ]
    lower = (names[3], names[4], "Low", "Peak")
    header += [TableCell(1, c, name) for c, name in enumerate(lower, start=1)]
    body = [
        TableCell(r + 2, 0, writer.unique("R"), row_span=min(merged, rows - r))
        for r in range(0, rows, merged)
    ]
    body += [TableCell(r + 2, c, writer.unique("R")) for r in range(rows) for c in range(1, 5)]
    return TableGrid(rows + 2, 5, (*header, *body), 2)


def _long_cells(writer: _Writer) -> TableGrid:
    """Rows with a cell of up to 400 words, with a unique word in each sentence."""
    grid = _plain(writer, 6, 3)
    cells = list(grid.cells)
    for row, sentences in enumerate((2, 40, 5, 12, 30, 3), start=1):
        text = " ".join(f"{writer.unique('R')} {writer.prose(9)}" for _ in range(sentences))
        cells[row * 3 + 2] = TableCell(row, 2, text)
    return TableGrid(grid.rows, grid.cols, tuple(cells), 1)


def _several(writer: _Writer) -> None:
    """Small tables in running text, with captions above and below."""
    for caption in ("above", "below", "", "above", "below", ""):
        writer.heading(2)
        writer.paragraph()
        writer.table(_plain(writer, 5, 3), caption)
        writer.paragraph(30)


_TABLES: dict[str, Callable[[_Writer], None]] = {
    "30 x 4, caption above": lambda w: w.table(_plain(w, 30, 4), "above"),
    "30 x 4, caption below": lambda w: w.table(_plain(w, 30, 4), "below"),
    "200 x 6, caption above": lambda w: w.table(_plain(w, 200, 6), "above"),
    "3 x 40, caption below": lambda w: w.table(_plain(w, 3, 40), "below"),
    "two header rows": lambda w: w.table(_spanned(w, 40), "above"),
    "two header rows, merged rows": lambda w: w.table(_spanned(w, 40, 4), "below"),
    "long cells": lambda w: w.table(_long_cells(w), "above"),
    "small tables": _several,
}


def _formula(writer: _Writer, terms: int) -> None:
    ids = [writer.unique("v") for _ in range(terms)]
    sums = [f"\\frac{{{name}^{{2}}}}{{{writer.rng.randint(2, 99)}}}" for name in ids]
    lines = [" + ".join(sums[i : i + 4]) for i in range(0, terms, 4)]
    if len(lines) > 1:
        text = "\\begin{aligned}\n" + " \\\\\n".join(f"& {x}" for x in lines) + "\n\\end{aligned}"
    else:
        text = f"E = {lines[0]}"
    writer.atom(BlockKind.FORMULA, text, ids)


def _code(writer: _Writer, lines: int) -> None:
    ids = [writer.unique("f") for _ in range(lines)]
    body = [
        f"    {name} = step({writer.rng.randint(1, 99)}, '{writer.rng.choice(_PROSE)}')"
        if i
        else f"def {name}(gate):"
        for i, name in enumerate(ids)
    ]
    if lines > 8:
        body.insert(6, "")  # an empty line, as inside a function
    writer.atom(BlockKind.CODE, "\n".join(body), ids)


def _written(writer: _Writer, write: Callable[[_Writer, int], None], sizes: Sequence[int]) -> None:
    for size in sizes:
        writer.heading(2)
        writer.paragraph(writer.rng.randint(20, 150))
        write(writer, size)
        writer.paragraph(30)


# Sizes are numbers of terms and lines: 14 terms or 18 lines are close to 256 tokens.
_ATOMS: dict[str, Callable[[_Writer], None]] = {
    "formulas that fit": lambda w: _written(w, _formula, (1, 3, 6, 8, 10, 12)),
    "code that fits": lambda w: _written(w, _code, (3, 6, 8, 10, 12)),
    "formulas beyond the cap": lambda w: _written(w, _formula, (24, 48)),
    "code beyond the cap": lambda w: _written(w, _code, (40, 90)),
}


def generate(seed: int = 0) -> list[Source]:
    """All generated documents."""
    numbers = count(1)
    sources = []
    for group, cases in (("tables", _TABLES), ("formulas and code", _ATOMS)):
        for number, (name, write) in enumerate(cases.items()):
            for repeat in range(_REPEATS):
                rng = random.Random(1000 * seed + 100 * repeat + number)  # noqa: S311
                writer = _Writer(rng, numbers)
                writer.add(BlockKind.TITLE, writer.prose(5).rstrip("."), level=1)
                writer.heading()
                writer.paragraph()
                write(writer)
                writer.paragraph()
                truth = {"tables": tuple(writer.tables), "atoms": tuple(writer.atoms)}
                sources.append(as_source(f"{name} #{repeat + 1}", group, writer.pages, **truth))
    return sources
