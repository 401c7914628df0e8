"""Vertical Chinese and Japanese, placed glyph by glyph, is read down its columns from the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pymupdf
import pytest

from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.engines.layout.text_layer.vertical import vertical_paragraphs
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


HAN = [chr(ord("字") + i) for i in range(30)]


def glyphs(
    columns: int, rows: int, across: float, down: float, chars: Sequence[str] = HAN
) -> list[LayoutWord]:
    """Return a grid of glyphs; each row has glyphs of its own."""
    return [
        LayoutWord(
            chars[r % len(chars)],
            (across * c, down * r, across * c + 10, down * r + 10),
            10.0,
            r,
            0,
        )
        for r in range(rows)
        for c in range(columns)
    ]


def test_horizontal_glyphs_stay() -> None:
    """Its lines are farther apart than its glyphs; equal distances are a table."""
    assert vertical_paragraphs(glyphs(20, 6, 10, 16)) == []
    assert vertical_paragraphs(glyphs(8, 8, 30, 30)) == []
    assert vertical_paragraphs(glyphs(8, 8, 40, 25)) == []
    assert [len(p) for p in vertical_paragraphs(glyphs(6, 20, 16, 10))] == [6]


@pytest.mark.parametrize(
    ("chars", "across"), [("月火水木金土日", 16), ("○×△", 20), (HAN, 40), ("有無", 24)]
)
def test_a_table_of_single_glyphs_is_not_vertical_text(chars: Sequence[str], across: float) -> None:
    """It has few different ones, or its columns are far apart."""
    assert vertical_paragraphs(glyphs(7, 20, across, 12, chars)) == []


def texts(words: list[LayoutWord]) -> list[str]:
    """Return the paragraphs, with one glyph instead of those of ``glyphs``."""
    same = str.maketrans(dict.fromkeys(HAN, "字"))
    found = vertical_paragraphs(words)
    return ["".join(w.text for w in paragraph).translate(same) for paragraph in found]


def placed(text: str, x: float, y: float, size: float = 10.0, line: int = 900) -> LayoutWord:
    return LayoutWord(text, (x, y, x + size * len(text) * 0.6, y + size), size, line, 0)


@pytest.mark.parametrize("number", ["7", "12", "- 3 -", "第三頁"])
@pytest.mark.parametrize("x", [0.0, 33.0, 70.0])
def test_page_numbers_do_not_enter_a_column(number: str, x: float) -> None:
    """Whatever column they stand below, or above."""
    body = glyphs(6, 20, 16, 10)
    words = [placed(part, x + 8 * i, 240, 8.0) for i, part in enumerate(number.split())]
    assert texts([*body, *words]) == ["字" * 120, number.replace(" ", "")]
    above = [replace(w, rect=(w.rect[0], -50, w.rect[2], -42)) for w in words]
    assert texts([*body, *above]) == [number.replace(" ", ""), "字" * 120]


@pytest.mark.parametrize("title", ["航海日誌の書き方", "Harbour log 航海", "灯台"])
def test_a_horizontal_title_stays_a_line(title: str) -> None:
    """It is neither spread over the columns nor a reason to make a table of them."""
    words = [placed(part, 60.0 * i, -60, 18.0) for i, part in enumerate(title.split())]
    assert texts([*glyphs(6, 20, 16, 10), *words]) == [title.replace(" ", ""), "字" * 120]


def test_figures_side_by_side_stay_in_their_column() -> None:
    """Two digits take the position of one glyph."""
    body = [w for w in glyphs(3, 10, 16, 10) if w.rect[:2] != (16, 50)]
    assert texts([*body, LayoutWord("12", (16, 50, 27, 60), 10.0, 5, 0)]) == [
        "字" * 10 + "字" * 5 + "12" + "字" * 4 + "字" * 10
    ]


def test_the_upper_tier_is_read_first() -> None:
    """An empty band across the page separates two tiers of columns."""
    lower = [
        replace(w, text="下", rect=(w.rect[0], w.rect[1] + 150, w.rect[2], w.rect[3] + 150))
        for w in glyphs(6, 10, 16, 10)
    ]
    assert texts([*glyphs(6, 10, 16, 10), *lower]) == ["字" * 60, "下" * 60]


def test_a_column_that_begins_lower_begins_a_paragraph() -> None:
    """As indented lines do in horizontal text."""
    body = [w for w in glyphs(6, 10, 16, 10) if w.rect[:2] != (32, 0)]
    assert texts(body) == ["字" * 30, "字" * 29]


def test_few_glyphs_or_other_scripts_stay() -> None:
    """A label in a table, or words of letters."""
    assert vertical_paragraphs(glyphs(2, 4, 30, 10)) == []
    latin = [LayoutWord("word", (30 * i, 10, 30 * i + 20, 20), 10.0, 0, 0) for i in range(30)]
    assert vertical_paragraphs([*latin, *glyphs(2, 8, 30, 10)]) == []
