"""Vertical Chinese and Japanese, placed glyph by glyph, is read down its columns from the right."""

from __future__ import annotations

from pathlib import Path

import pymupdf
import pytest

from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.engines.layout.text_layer.vertical import vertical_columns
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

from ..test_engine import parsed

TEXTS = {
    "japan": [
        "灯台の番人は毎晩海",
        "の様子を帳面に書く",
        "。風が強い日は船を",
        "港に戻すよう知らせる",
    ],
    "china-s": [
        "守灯人每晚记录海面",
        "情况遇到大风时通知",
        "船只返回港口避风等",
        "待天气好转再行出海",
    ],
    "china-t": ["守燈人每晚記錄海面", "情況遇到大風時通知", "船隻返回港口避風等"],
}


@pytest.mark.parametrize("font", TEXTS)
@pytest.mark.parametrize(("size", "pitch", "column"), [(14, 16, 24), (10, 10.5, 18), (20, 24, 40)])
def test_columns_are_read_from_the_right(
    tmp_path: Path, font: str, size: float, pitch: float, column: float
) -> None:
    """Each from top to bottom, as one paragraph, not as a table."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    for c, text in enumerate(TEXTS[font]):
        for r, char in enumerate(text):
            where = (460 - c * column, 120 + r * pitch)
            page.insert_text(where, char, fontsize=size, fontname=font)
    document.save(tmp_path / "made.pdf")
    (result,) = parsed(tmp_path / "made.pdf")
    assert [(b.kind, b.text) for b in result.blocks] == [(BlockKind.TEXT, "".join(TEXTS[font]))]


def glyphs(columns: int, rows: int, across: float, down: float) -> list[LayoutWord]:
    return [
        LayoutWord("字", (across * c, down * r, across * c + 10, down * r + 10), 10.0, r, 0)
        for r in range(rows)
        for c in range(columns)
    ]


def test_horizontal_glyphs_stay() -> None:
    """Its lines are farther apart than its glyphs; equal distances are a table."""
    assert vertical_columns(glyphs(20, 6, 10, 16)) == []
    assert vertical_columns(glyphs(8, 8, 30, 30)) == []
    assert len(vertical_columns(glyphs(6, 20, 16, 10))) == 6


def test_few_glyphs_or_other_scripts_stay() -> None:
    """A label in a table, or words of letters."""
    assert vertical_columns(glyphs(2, 4, 30, 10)) == []
    latin = [LayoutWord("word", (30 * i, 10, 30 * i + 20, 20), 10.0, 0, 0) for i in range(30)]
    assert vertical_columns([*latin, *glyphs(2, 8, 30, 10)]) == []
