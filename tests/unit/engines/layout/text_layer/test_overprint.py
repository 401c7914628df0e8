"""Text that is drawn twice counts once; a watermark does not enter the sentences below it."""

from __future__ import annotations

from pathlib import Path

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.text import rows_of
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.overprint import watermarks, without_doubles
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

from ..test_engine import everything, parsed

BODY = "The lamp is lit at dusk and put out at dawn, and the keeper writes both times down."


def saved(tmp_path: Path, document: pymupdf.Document) -> Path:
    document.save(tmp_path / "made.pdf")
    return tmp_path / "made.pdf"


def lines(page: pymupdf.Page, count: int = 20) -> None:
    for i in range(count):
        page.insert_text((60, 120 + 18 * i), f"{i} {BODY}", fontsize=11)


@pytest.mark.parametrize("font", ["helv", "tiro", "cour"])
@pytest.mark.parametrize("offset", [(0, 0), (0.4, 0), (0.8, 0.8), (-0.3, 0.2)])
def test_text_drawn_twice_counts_once(
    tmp_path: Path, font: str, offset: tuple[float, float]
) -> None:
    """Bold print by two strokes, a shadow, or an exact copy."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page, 4)
    for dx, dy in ((0, 0), offset):
        page.insert_text((60 + dx, 300 + dy), "Storm signals", fontsize=14, fontname=font)
    text = everything(parsed(saved(tmp_path, document)))
    assert text.count("Storm") == text.count("signals") == 1


def test_a_repeated_word_stays() -> None:
    """Words of a sentence and of the next line are as far apart as they are wide."""
    where = [(10, 10, 30, 20), (33, 10, 53, 20), (10, 22, 30, 32)]
    said = [LayoutWord("very", rect, 10.0, i, 0) for i, rect in enumerate(where)]
    assert without_doubles(said) == tuple(said)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 20), st.integers(0, 20)), max_size=12
    )
)
def test_no_text_is_lost(spots: list[tuple[str, int, int]]) -> None:
    """Each text that is dropped has a copy that stays at the same spot."""
    said = [LayoutWord(t, (9 * x, 9 * y, 9 * x + 8, 9 * y + 8), 10.0, 0, 0) for t, x, y in spots]
    kept = without_doubles(said)
    assert {(w.text, w.rect) for w in kept} == {(w.text, w.rect) for w in said}
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize(
    ("mark", "angle", "size", "grey"),
    [("DRAFT", 45, 90, 0.8), ("Not for sale", 30, 60, 0.85), ("SPECIMEN", -60, 70, 0.5)],
)
def test_a_watermark_does_not_enter_a_sentence(
    tmp_path: Path, mark: str, angle: float, size: float, grey: float
) -> None:
    """It is left out and flagged; the text below it stays whole."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page)
    centre = pymupdf.Point(150, 420)
    turn = (centre, pymupdf.Matrix(angle))
    page.insert_text(centre, mark, fontsize=size, color=(grey,) * 3, morph=turn)
    (result,) = parsed(saved(tmp_path, document))
    text = everything([result])
    assert not any(part in text for part in mark.split())
    assert all(f"{i} {BODY}" in text for i in range(20))
    assert "watermark" in result.flags
    assert result.watermarks == (mark,)


@pytest.mark.parametrize("grey", [0.0, 0.3, 0.6])
def test_slanted_labels_stay(tmp_path: Path, grey: float) -> None:
    """Labels of an axis are slanted and may be pale, but they are small and stand alone."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page, 6)
    for i, month in enumerate(("January", "February", "March")):
        start = pymupdf.Point(100 + 60 * i, 600)
        turn = (start, pymupdf.Matrix(45))
        page.insert_text(start, month, fontsize=9, color=(grey,) * 3, morph=turn)
    (result,) = parsed(saved(tmp_path, document))
    assert all(month in everything([result]) for month in ("January", "February", "March"))
    assert "watermark" not in result.flags


@pytest.mark.parametrize(
    ("angle", "color"), [(20, (0, 0, 0)), (35, (0.8, 0, 0)), (-30, (0, 0, 0.4)), (25, (1, 0.6, 0))]
)
def test_a_slanted_headline_stays(
    tmp_path: Path, angle: float, color: tuple[float, float, float]
) -> None:
    """It is in full ink and crosses no text, however large it is."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page, 6)
    start = pymupdf.Point(120, 620)
    turn = (start, pymupdf.Matrix(angle))
    page.insert_text(start, "Grand opening", fontsize=36, color=color, morph=turn)
    (result,) = parsed(saved(tmp_path, document))
    assert "Grand opening" in everything([result])
    assert "watermark" not in result.flags


@pytest.mark.parametrize("angle", [25, 40, -35])
def test_a_dark_stamp_across_the_text_is_left_out(tmp_path: Path, angle: float) -> None:
    """And flagged."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page, 30)
    start = pymupdf.Point(150, 250)
    turn = (start, pymupdf.Matrix(angle))
    page.insert_text(start, "VOIDED", fontsize=60, color=(0.1, 0, 0), morph=turn)
    (result,) = parsed(saved(tmp_path, document))
    assert "VOIDED" not in everything([result])
    assert "watermark" in result.flags
    assert result.watermarks == ("VOIDED",)


def word(text: str, rect: tuple[float, float, float, float], **options: object) -> LayoutWord:
    return LayoutWord(text, rect, **({"size": 10.0, "line": 0, "block": 0} | options))  # type: ignore[arg-type]


def test_a_huge_pale_word_across_the_lines_is_a_watermark() -> None:
    """The same word in black, or one that crosses nothing, is a title."""
    body = [word("text", (20, 20 + 12 * i, 60, 30 + 12 * i)) for i in range(6)]
    across = (10.0, 15.0, 300.0, 95.0)
    pale = word("COPY", across, size=70.0, color=0xDDDDDD)
    assert watermarks([*body, pale]) == [6]
    assert watermarks([*body, word("COPY", across, size=70.0)]) == []
    assert watermarks([*body, word("COPY", (10, 200, 300, 280), size=70.0, color=0xDDDDDD)]) == []


@pytest.mark.parametrize(
    ("mark", "angle", "size"), [("Tamm 4711", 30, 14), ("Muster", -40, 12), ("épreuve", 60, 16)]
)
def test_a_mark_all_over_the_page_is_one_between_the_lines_too(
    tmp_path: Path, mark: str, angle: float, size: float
) -> None:
    """Some copies are over words; those beside the text look like them."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    lines(page)
    for x in range(60, 560, 120):
        for y in range(80, 830, 90):
            start = pymupdf.Point(x, y)
            turn = (start, pymupdf.Matrix(angle))
            page.insert_text(start, mark, fontsize=size, color=(0.8,) * 3, morph=turn)
    (result,) = parsed(saved(tmp_path, document))
    text = everything([result])
    assert not any(part in text for part in mark.split())
    assert all(f"{i} {BODY}" in text for i in range(20))
    assert "watermark" in result.flags


@pytest.mark.parametrize("offset", [1.2, -0.8, 0.5])
@pytest.mark.parametrize("size", [16, 24])
def test_a_shadow_of_each_letter_does_not_cut_the_word(offset: float, size: int) -> None:
    """Each letter is drawn twice before the next one, so MuPDF breaks the lines."""
    document = pymupdf.open()
    page = document.new_page()
    x = 60.0
    for char in "HARBOUR LIGHT":
        for shift in (offset, 0.0):
            page.insert_text((x + shift, 100 + shift), char, fontsize=size)
        x += pymupdf.get_text_length(char, fontsize=size)
    words = without_doubles(read_page(page).words)
    assert [row.text for row in rows_of(words)] == ["HARBOUR LIGHT"]


@pytest.mark.parametrize(
    ("size", "color", "over", "expected"),
    [
        (11.0, 0xBBBBBB, True, True),
        (11.0, 0xBBBBBB, False, False),
        (11.0, 0x000000, True, False),
        (30.0, 0x000000, False, False),
        (30.0, 0xCCCCCC, False, True),
    ],
)
def test_small_slanted_words_are_watermarks_only_over_text(
    size: float, color: int, over: bool, expected: bool
) -> None:
    """A name repeated all over the page is pale; large pale ones count wherever they stand."""
    body = [word("text", (20, 20 + 12 * i, 60, 30 + 12 * i)) for i in range(6)]
    where = (50.0, 25.0, 110.0, 85.0) if over else (200.0, 25.0, 260.0, 85.0)
    mark = word("anna", where, size=size, color=color, slanted=True)
    assert bool(watermarks([*body, mark])) == expected


@pytest.mark.parametrize(
    ("color", "expected"),
    [(0xFF9900, False), (0x00E61A, False), (0xFFE600, False), (0xFFCCCC, True), (0xB0C0FF, True)],
)
def test_a_bright_colour_is_not_pale(color: int, expected: bool) -> None:
    """A large slanted word beside the text is a headline in orange and a watermark in pink."""
    body = [word("text", (20, 20 + 12 * i, 60, 30 + 12 * i)) for i in range(6)]
    mark = word("sale", (200, 25, 300, 95), size=30.0, color=color, slanted=True)
    assert bool(watermarks([*body, mark])) == expected
    across = word("sale", (10.0, 20.0, 90.0, 90.0), size=30.0, color=color, slanted=True)
    assert watermarks([*body, across]) == [6]
