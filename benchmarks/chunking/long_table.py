"""Draws the chunks of a 30-page report whose table spans four pages.

    python -m benchmarks.chunking.long_table FOLDER

Writes the report, and a picture of every page with a piece of the table and its labelled boxes, for
people to look at. ``tests/benchmarks/test_long_table.py`` checks the same boxes by the words inside
them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pymupdf

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.records import BlockKind, Chunk, ParsedPage
from opticalrag.ingest.documents.drawing import draw_boxes
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.markdown.render import page_markdown

PAGES: Final = 30
FIRST_TABLE_PAGE: Final = 12  # 0-based
TABLE_PAGES: Final = 4
NAMES: Final = ("Turbine", "Month", "Output MWh", "Remark")
_EDGES: Final = (60, 130, 210, 300, 535)  # x coordinates of the columns, in points


def write_report(path: Path) -> None:
    """Write the report: running header, page number, text, and a table with a repeated header."""
    with pymupdf.open() as pdf:
        number = 0
        for index in range(PAGES):
            page = pdf.new_page()
            page.insert_text((60, 40), "North Sea Wind Farm · Annual Report", fontsize=8)
            page.insert_text((290, 815), str(index + 1), fontsize=8)
            if FIRST_TABLE_PAGE <= index < FIRST_TABLE_PAGE + TABLE_PAGES:
                number = _table(page, index, number)
            else:
                _text(page, index)
        pdf.save(path)


def _text(page: pymupdf.Page, index: int) -> None:
    if index % 5 == 0:
        page.insert_text((60, 90), f"{index // 5 + 1} Operation of block {index}", fontsize=16)
    for paragraph in range(4):
        lines = " ".join(
            f"Inspection {index}.{paragraph}.{n} of the farm found nothing to mend."
            for n in range(9)
        )
        top = 110 + 160 * paragraph
        page.insert_textbox((60, top, 535, top + 150), lines, fontsize=10)


def _table(page: pymupdf.Page, index: int, number: int) -> int:
    """Write the rows of one page; the length of the remark decides the row height."""
    top = 80.0
    if index == FIRST_TABLE_PAGE:
        page.insert_text((60, 75), "Table 1: Output of every turbine by month.", fontsize=10)
        top = 90.0
    bottom = 420 if index == FIRST_TABLE_PAGE + TABLE_PAGES - 1 else 770
    top = _row(page, top, NAMES, 1)
    while top < bottom - 45:
        lines = 1 + number % 3
        remark = " ".join(f"note{number}{'abc'[n]} on blades and gears" for n in range(lines))
        cells = (f"T{number:03}", f"M{number % 12 + 1}", f"{1000 + 7 * number}", remark)
        top = _row(page, top, cells, lines)
        number += 1
    return number


def _row(page: pymupdf.Page, top: float, cells: tuple[str, ...], lines: int) -> float:
    bottom = top + 8 + 13 * lines
    for left, right, cell in zip(_EDGES, _EDGES[1:], cells, strict=False):
        page.draw_rect((left, top, right, bottom), width=0.7)
        page.insert_textbox((left + 3, top + 3, right - 3, bottom + 2), cell, fontsize=9)
    return bottom


def read(path: Path) -> list[ParsedPage]:
    """Parse the report with the layout engine."""
    with closing(make_engine()) as engine, open_document(path) as source:
        return [page for page in engine.parse(source.tasks(None)) if isinstance(page, ParsedPage)]


def table_chunks(pages: list[ParsedPage]) -> list[Chunk]:
    """The chunks that hold rows of the table."""
    document = pages[0].ref.document
    made = chunk_pages(document, [page_markdown(p) for p in pages], make_embedder())
    return [chunk for chunk in made if BlockKind.TABLE in chunk.kinds]


def draw(path: Path, chunks: list[Chunk], folder: Path) -> Iterator[Path]:
    """Draw every page that contains chunks."""
    with open_document(path) as source:
        for index in sorted({span.index for chunk in chunks for span in chunk.spans}):
            boxes = [
                (box, f"piece {number}")
                for number, chunk in enumerate(chunks, start=1)
                for span in chunk.spans
                for box in span.boxes
                if span.index == index
            ]
            target = folder / f"page-{index + 1}.png"
            draw_boxes(source.render(index, long_side=900), boxes).save(target)
            yield target


def main() -> None:
    """Write the report and the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_report(folder / "report.pdf")
    chunks = table_chunks(read(folder / "report.pdf"))
    for picture in draw(folder / "report.pdf", chunks, folder):
        print(picture)
    for number, chunk in enumerate(chunks):
        print(number + 1, chunk.pages, chunk.tokens, chunk.context.replace("\n", " | "))


if __name__ == "__main__":
    main()
