"""Codes of symbol fonts are read by their tables; codes that mean nothing are never deleted."""

from __future__ import annotations

from dataclasses import replace

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.ocr.scan import in_line
from opticalrag.ingest.engines.layout.text import rows_of, running_text
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.judge import judge
from opticalrag.ingest.engines.layout.text_layer.symbols import decoded
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


@pytest.mark.parametrize(
    ("code", "font", "char"),
    [
        ("\uf061", "Symbol", "α"),
        ("\uf0b3", "ABCDEF+SymbolMT", "≥"),
        ("\uf0b1", "T3Font_7", "±"),
        ("\uf0d8", "Symbol", "¬"),
        ("\uf0d8", "Wingdings", "➢"),
        ("\uf0fe", "XYZABC+Wingdings-Regular", "☑"),
        ("þ", "Wingdings", "☑"),
        ("o", "Wingdings", "☐"),
        ("\uf0fd", "", "☒"),
        ("\uf0b7", "", "•"),
        ("4", "ZapfDingbats", "✔"),
        ("n", "ABCDEF+ZapfDingbats", "■"),
        ("H", "ITCZapfDingbats", "★"),
        ("\uf052", "Wingdings 2", "☑"),
        ("T", "Wingdings2", "☒"),
        ("\xa3", "Wingdings-2", "☐"),
        ("P", "Wingdings 3", "\ufffd"),
        ("a", "Webdings", "✔"),
        ("\xb7", "Wingdings", "🕐"),
        ("\x20", "Wingdings", " "),
        ("\uf731\uf739", "MinionExp-Regular", "19"),
        ("\uf761\uf7e9", "AGaramondExp", "aé"),
        ("\uf8eb\uf8f6", "Symbol", "⎛⎞"),
        ("\uf6f1", "", "r"),
        ("\uf0e0", "FontAwesome", "\uf0e0"),
        ("\uf731", "FontAwesome5Free-Solid", "\uf731"),
        ("\uf095", "MaterialIcons", "\uf095"),
        ("\uf735", "SegoeMDL2Assets", "\uf735"),
    ],
)
def test_codes_are_read_by_the_table_of_their_font(code: str, font: str, char: str) -> None:
    """With private codes, and with bare ones where the font has no letters."""
    assert decoded(code, font) == char


@pytest.mark.parametrize(
    "font", ["Helvetica", "Symbol", "AllumiStd-DingbatsTwo", "", "TimesNewRoman"]
)
@given(text=st.text(st.characters(max_codepoint=0x7F), max_size=8))
def test_letters_of_other_fonts_stay(text: str, font: str) -> None:
    """Only private codes of the Symbol font are read: its letters may be decoded already."""
    assert decoded(text, font) == text


def test_lone_boxes_are_not_greek_letters() -> None:
    """A font without a telling name: a box stands alone, a letter stands with others."""
    assert decoded("\uf06f", "T3") == "☐"
    assert decoded("\uf06f\uf06f", "T3") == "οο"
    assert decoded("\uf06f", "SymbolMT") == "ο"


def line(*texts: str, gaps: tuple[float, ...] = ()) -> list[LayoutWord]:
    """Make words of one line; a gap of 0 glues a word to the one before it."""
    words, x = [], 10.0
    for i, text in enumerate(texts):
        gap = gaps[i - 1] if i and gaps else 3.0
        x += gap if i else 0.0
        rect = (x, 10.0, x + 5 * len(text), 20.0)
        words.append(LayoutWord(text, rect, 10.0, 0, 0, glued=bool(i) and gap == 0))
        x = rect[2]
    return words


@pytest.mark.parametrize("word", ["o\ue009ce", "\ue009rst", "e\x02ort", "bene\ufffdt"])
def test_a_word_with_an_unknown_letter_is_read_by_ocr(word: str) -> None:
    """It is not good, and until it is read it keeps a mark for the letter."""
    layer = judge(line("The", word, "opens"), [])
    assert [w.text for w in layer.good] == ["The", "opens"]
    assert [len(w.text) for w in layer.unreadable] == [len(word)]
    assert "\ufffd" in layer.unreadable[0].text
    assert layer.garbled


@pytest.mark.parametrize("sign", ["\ufffd", "\ue123", "\x03"])
def test_an_unknown_sign_of_a_number_is_marked(sign: str) -> None:
    """OCR would drop it, and with it a minus. It is never a bullet, nor deleted."""
    for words in (line(f"{sign}0.93"), line(sign, "0.93", gaps=(0.0,)), line("from", f"{sign}4")):
        layer = judge(words, [])
        assert running_text(rows_of(layer.good)).endswith(("\ufffd0.93", "\ufffd4"))
        assert layer.garbled


@pytest.mark.parametrize("gap", [2.0, 6.0, 20.0])
def test_an_unknown_sign_before_a_gap_is_a_bullet(gap: float) -> None:
    """Also if no space separates it from the text."""
    first, second = line("\ufffd", "Ropes", gaps=(gap,))
    for glued in (False, True):
        layer = judge([first, replace(second, glued=glued)], [])
        assert [w.text for w in layer.good] == ["•", "Ropes"]
        assert not layer.garbled


def test_a_word_set_in_two_fonts_is_read_as_a_whole() -> None:
    """One letter of it is unknown, so all parts are read."""
    layer = judge(line("The", "o", "\ue009", "ce", gaps=(3.0, 0.0, 0.0)), [])
    assert [w.text for w in layer.unreadable] == ["o", "\ufffd", "ce"]


def test_a_word_read_by_ocr_takes_its_old_position() -> None:
    """It does not come after its line."""
    the, word, opens = line("The", "o\ue009ce", "opens")
    layer = judge([the, word, opens], [])
    read = replace(word, text="office", line=99, block=99)
    joined = in_line([read], layer.good, layer.unreadable)
    assert running_text(rows_of(joined)) == "The office opens"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (b"(Yes ) Tj <01> Tj ( No)", ["Yes", "No"]),
        (b"<01> Tj ( Ropes)", ["Ropes"]),
        (b"(Yes ) Tj <010101> Tj ( No)", ["Yes", "\ufffd\ufffd\ufffd", "No"]),
    ],
)
def test_a_glyph_without_ink_and_meaning_is_a_space(codes: bytes, expected: list[str]) -> None:
    """A row of them may be the text of a font that is missing."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((50, 50), "before")
    stream = b"BT 1 0 0 1 60 600 Tm /helv 11 Tf " + codes + b" Tj ET"
    document.update_stream(page.get_contents()[0], stream)
    assert [w.text for w in read_page(pymupdf.open("pdf", document.tobytes())[0]).words] == expected
