"""Characters above U+FFFF are read whole, however the file writes them."""

from __future__ import annotations

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.text_layer import wide_codes
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.wide_codes import is_suspect, mended, uncut

WIDE = st.integers(0x10000, 0x2FFFF).map(chr)


def text_of(page: pymupdf.Page) -> str:
    return " ".join(w.text for w in read_page(page).words)


def with_table(entries: str, codes: str, font: str = "Helvetica") -> pymupdf.Page:
    """Return a page with codes of one byte, whose characters a table gives."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), codes, fontname="helv", fontsize=12)
    xref = page.get_fonts()[0][0]
    table = f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /X def /CMapType 2 def 1 begincodespacerange <00> <ff> endcodespacerange
{entries} endcmap end end"""
    stream = document.get_new_xref()
    document.update_object(stream, "<<>>")
    document.update_stream(stream, table.encode())
    document.xref_set_key(xref, "ToUnicode", f"{stream} 0 R")
    document.xref_set_key(xref, "BaseFont", f"/{font}")
    return pymupdf.open("pdf", document.tobytes())[0]


@pytest.mark.parametrize("text", ["😀 fine", "👍👎 votes", "💡 and 📈", "Let 𝐀 be 𝐁"])
def test_five_digits_are_not_cut_to_four(text: str) -> None:
    """MuPDF itself writes five, and reads a Greek letter with accents."""
    document = pymupdf.open()
    page = document.new_page()
    writer = pymupdf.TextWriter(page.rect)
    writer.append((72, 72), text, font=pymupdf.Font("cjk"), fontsize=14)
    writer.write_text(page)
    made = pymupdf.open("pdf", document.tobytes())
    before = made.tobytes(no_new_id=True)
    assert text_of(made[0]) == text
    assert made.tobytes(no_new_id=True) == before


@pytest.mark.parametrize(
    ("entries", "codes", "text"),
    [
        ("2 beginbfchar <41> <1F600> <42> <1F680> endbfchar", "AB", "😀🚀"),
        ("2 beginbfchar <41> <0001F600> <42> <0001D400> endbfchar", "AB", "😀𝐀"),
        ("1 beginbfrange <41> <43> <1F4C8> endbfrange", "ABC", "📈📉📊"),
        ("1 beginbfrange <41> <42> [<1F600> <1F601>] endbfrange", "AB", "😀😁"),
        ("2 beginbfchar <41> <20BB7> <42> <91CE> endbfchar", "AB", "𠮷野"),
        ("2 beginbfchar <41> <D83DDE00> <42> <0391> endbfchar", "AB", "😀Α"),
    ],
)
def test_tables_are_read_whatever_form_they_use(entries: str, codes: str, text: str) -> None:
    """Single characters, ranges and lists, with five and eight digits."""
    assert text_of(with_table(entries, codes)) == text


@pytest.mark.parametrize("font", ["NotoColorEmoji", "ABCDEF+AppleColorEmoji", "SegoeUIEmoji"])
def test_codes_of_an_emoji_font_are_completed(font: str) -> None:
    """A program has cut them to 16 bits."""
    table = "3 beginbfchar <41> <F600> <42> <F680> <43> <F916> endbfchar"
    assert text_of(with_table(table, "ABC", font)) == "😀🚀🤖"


@pytest.mark.parametrize(
    ("text", "font"),
    [("\uf600", "Foo"), ("\uf8ff", "AppleColorEmoji"), ("A☺", "NotoEmoji"), ("漢", "NotoEmoji")],
)
def test_other_codes_stay(text: str, font: str) -> None:
    """Those of other fonts, logos, and characters that need no more bits."""
    assert uncut(text, font) == text


@given(WIDE)
def test_every_wide_character_is_mended(char: str) -> None:
    """The table then has its two UTF-16 units, and does not change again."""
    units = char.encode("utf-16-be").hex().encode()
    five = b"<41> <%X>" % ord(char)
    eight = b"<41> <%08X>" % ord(char)
    assert mended(five) == mended(eight) == b"<41> <" + units + b">"
    assert mended(mended(five)) == mended(five)


@pytest.mark.parametrize(
    "table", [b"<41> <0041>", b"<0001> <D83DDE00>", b"<0001F600> <0041>", b"<41> <006600660069>"]
)
def test_sound_tables_stay(table: bytes) -> None:
    """Also codes of four bytes, and ligatures."""
    assert mended(table) == table


def test_usual_text_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages in most languages cost nothing."""
    monkeypatch.setattr(wide_codes, "_tables", lambda page: pytest.fail("looked up"))
    for usual in ("It’s – “so” • 5 €", "Điều này rất tốt ạ", "Ελληνικά", "→ ■ ☐", "漢字、仮名"):
        assert not is_suspect(usual)
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), "It is 5.", fontname="helv")
    assert text_of(page) == "It is 5."
