"""Mends tables of characters that name a character above U+FFFF in a form MuPDF misreads.

PDF wants two UTF-16 units: ``<D83DDE00>`` for U+1F600. Programs also write ``<1F600>``, which MuPDF
takes for U+1F60, and ``<0001F600>``, which it takes for two characters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import pymupdf

from ..copies import copied

__all__ = ["is_suspect", "mended", "uncut", "with_mended_fonts"]

_SUSPECT = re.compile("[\u1d00-\u1d7f\u1f00-\u1faf\x01\x02]")
"""Codes of mathematical letters and emoji, cut from five digits to four, and the first half of
eight digits. Few pages have other characters of this sort: phonetic signs and ancient Greek."""
_CUT_HAN = re.compile("[\u2070-\u2fa1]")
_HAN = re.compile("[\u3400-\u9fff]")
_FIVE = re.compile(rb"<([12][0-9A-Fa-f]{4})>")
_EIGHT = re.compile(rb"(<[0-9A-Fa-f]{2,4}>\s*\[?\s*)<000([12][0-9A-Fa-f]{4})>")
_CUT: Final = 0x10000
_SYMBOLS: Final = ("So", "Sk")  # Unicode categories of pictures and skin tones


def is_suspect(text: str) -> bool:
    """Whether a page's text has characters that a misread table gives."""
    return bool(_SUSPECT.search(text) or (_CUT_HAN.search(text) and _HAN.search(text)))


def mended(table: bytes) -> bytes:
    """Return a table of characters with UTF-16 for characters above U+FFFF."""
    table = _EIGHT.sub(lambda m: m[1] + _utf16(m[2]), table)
    return _FIVE.sub(lambda m: _utf16(m[1]), table)


def uncut(text: str, font: str) -> str:
    """Return the pictures of an emoji font whose codes a program has cut to 16 bits."""
    if text.isascii() or "emoji" not in font.casefold():
        return text
    return "".join(map(_whole, text))


def with_mended_fonts(page: pymupdf.Page) -> pymupdf.Page | None:
    """Copy a page and mend the tables of its fonts; None if they need it not."""
    tables = {x: t for x, t in _tables(page).items() if mended(t) != t}
    if not tables:
        return None
    copy = copied(page)
    for xref, table in _tables(copy).items():
        copy.parent.update_stream(xref, mended(table))
    return copy


def _tables(page: pymupdf.Page) -> dict[int, bytes]:
    """Return the tables of characters of a page's fonts, by their cross references."""
    document = page.parent
    keys = (document.xref_get_key(font[0], "ToUnicode") for font in page.get_fonts(full=True))
    xrefs = {int(value.split()[0]) for kind, value in keys if kind == "xref"}
    return {xref: document.xref_stream(xref) or b"" for xref in xrefs}


def _utf16(digits: bytes) -> bytes:
    return b"<" + chr(int(digits, 16)).encode("utf-16-be").hex().encode() + b">"


def _whole(char: str) -> str:
    code = ord(char)
    if code >= _CUT or unicodedata.category(char) not in ("Co", "Lo"):
        return char
    wide = chr(code + _CUT)
    return wide if unicodedata.category(wide) in _SYMBOLS else char
