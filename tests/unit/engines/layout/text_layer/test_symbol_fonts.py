"""The file tells how MuPDF came to the characters of a symbol font."""

from __future__ import annotations

import pymupdf
import pytest

from opticalrag.ingest.engines.layout.text_layer.extract import read_page

_NAMES = {0x34: "a20", 0x38: "a24", 0x6C: "a71", 0x6E: "a73", 0xA8: "a112", 0xD5: "a161"}


def page_with(encoding: str, codes: str, base: str = "ZapfDingbats") -> pymupdf.Page:
    """Return a page with codes in a font that the file describes."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), "n", fontname="zadb", fontsize=12)
    font = page.get_fonts()[0][0]
    document.xref_set_key(font, "BaseFont", f"/{base}")
    document.xref_set_key(font, "Encoding", encoding)
    stream = page.get_contents()[0]
    drawn = b"<" + codes.encode("latin-1").hex().encode() + b">"
    document.update_stream(stream, document.xref_stream(stream).replace(b"<6e>", drawn))
    return pymupdf.open("pdf", document.tobytes())[0]


def text_of(page: pymupdf.Page) -> str:
    return " ".join(w.text for w in read_page(page).words)


@pytest.mark.parametrize(
    ("codes", "signs"), [("4", "✔"), ("8", "✘"), ("nl", "■●"), ("\xa8\xd5", "♣→")]
)
@pytest.mark.parametrize("base", ["ZapfDingbats", "ABCDEF+ZapfDingbats"])
def test_zapf_dingbats_is_read_however_it_is_coded(codes: str, signs: str, base: str) -> None:
    """By the font's own coding, by names of glyphs in the file, and by codes of text fonts."""
    named = "".join(f" {code} /{name}" for code, name in _NAMES.items())
    moved = f"<</Type/Encoding/Differences[{named}]>>"
    assert text_of(page_with("null", codes, base)) == signs
    assert text_of(page_with(moved, codes, base)) == signs
    if codes.isascii():
        assert text_of(page_with("/WinAnsiEncoding", codes, base)) == signs


def test_the_file_may_move_the_glyphs() -> None:
    """Only the names of the glyphs count."""
    moved = "<</Type/Encoding/Differences[65 /a19 /a23 /a71]>>"
    assert text_of(page_with(moved, "ABC")) == "✓✗●"


def test_text_fonts_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without symbol fonts cost nothing."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), "4 8 n", fontname="helv")
    monkeypatch.setattr(
        "opticalrag.ingest.engines.layout.text_layer.extract.codings",
        lambda page: pytest.fail("looked up"),
    )
    assert text_of(page) == "4 8 n"


@pytest.mark.parametrize(
    ("codes", "signs"), [("abgd", "αβγδ"), ("DS", "ΔΣ"), ("\xb3\xa5", "≥∞"), ('"$^', "∀∃⊥")]
)
@pytest.mark.parametrize("base", ["Symbol", "SymbolMT", "ABCDEF+Symbol", "Symbol,Bold"])
def test_symbol_has_no_latin_letters(codes: str, signs: str, base: str) -> None:
    """Whether or not the file gives it the encoding of a text font."""
    assert text_of(page_with("/WinAnsiEncoding", codes, base)) == signs
    moved = "<</Type/Encoding/BaseEncoding/WinAnsiEncoding>>"
    assert text_of(page_with(moved, codes, base)) == signs


def test_a_text_font_with_a_like_name_keeps_its_letters() -> None:
    """Symbola has letters of many scripts."""
    assert text_of(page_with("/WinAnsiEncoding", "abgd", "Symbola")) == "abgd"
