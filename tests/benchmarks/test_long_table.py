from __future__ import annotations

import re
from pathlib import Path

import pymupdf
import pytest

from benchmarks.chunking.long_table import (
    FIRST_TABLE_PAGE,
    TABLE_PAGES,
    read,
    table_chunks,
    write_report,
)
from opticalrag.ingest.core.records import Box, Chunk

_ROW = re.compile(r"T\d{3}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.pdf"
    write_report(path)
    return path


@pytest.fixture(scope="module")
def chunks(report: Path) -> list[Chunk]:
    return table_chunks(read(report))


def rows_inside(page: pymupdf.Page, box: Box) -> set[str]:
    """The row numbers whose middle is inside a box on the page."""
    width, height = page.rect.width, page.rect.height
    return {
        word
        for x0, y0, x1, y1, word, *_ in page.get_text("words")
        if _ROW.fullmatch(word)
        and box.x0 * width <= (x0 + x1) / 2 <= box.x1 * width
        and box.y0 * height <= (y0 + y1) / 2 <= box.y1 * height
    }


@pytest.mark.slow
def test_boxes_of_a_table_across_four_pages_enclose_exactly_their_rows(
    report: Path, chunks: list[Chunk]
) -> None:
    """Every piece cites exactly its own rows, on each of its pages."""
    with pymupdf.open(report) as pdf:
        for chunk in chunks:
            cited = [
                rows_inside(pdf[span.index], box) for span in chunk.spans for box in span.boxes
            ]
            assert set().union(*cited) == set(_ROW.findall(chunk.text))
        every = {w for page in pdf for w in _ROW.findall(page.get_text())}
    assert set(_ROW.findall(" ".join(c.text for c in chunks))) == every


@pytest.mark.slow
def test_pieces_of_a_table_across_four_pages_repeat_their_header(chunks: list[Chunk]) -> None:
    """Header, caption and heading are in every piece; all four pages are cited."""
    pages = {page for chunk in chunks for page in chunk.pages}

    assert pages == set(range(FIRST_TABLE_PAGE + 1, FIRST_TABLE_PAGE + TABLE_PAGES + 1))
    assert any(len(chunk.pages) == 2 for chunk in chunks)
    for chunk in chunks:
        assert "| Turbine | Month | Output MWh | Remark |" in chunk.text
        assert "Table 1: Output of every turbine by month." in chunk.embedded_text
        assert "Operation of block" in chunk.context
        assert all(span.exact for span in chunk.spans)
