"""Finds out how MuPDF came to the characters of a page's symbol fonts."""

from __future__ import annotations

import re
from typing import Final

import pymupdf

from .symbols import Coding, is_dingbats, is_symbol, is_wingdings

__all__ = ["codings"]

_NUMBERED = re.compile(r"/a\d")
_PAIR = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s")
_CODES: Final = 0x100
_LATIN: Final = ("WinAnsiEncoding", "MacRomanEncoding", "StandardEncoding")


def codings(page: pymupdf.Page) -> dict[str, Coding]:
    """Return the coding of each symbol font that does not give its codes, by its name in spans."""
    found: dict[str, Coding] = {}
    for xref, _, kind, name, _, encoding, *_ in page.get_fonts():
        plain = name.rpartition("+")[2]
        if is_dingbats(name) and not encoding and _has_numbered_names(page.parent, xref):
            found[plain] = Coding.NAME
        elif is_wingdings(name) and kind == "Type0" and _repeats_numbers(page.parent, xref):
            found[plain] = Coding.NONE
        elif is_symbol(name) and encoding in _LATIN and not _has_characters(page.parent, xref):
            found[plain] = Coding.LATIN
    return found


def _has_numbered_names(document: pymupdf.Document, xref: int) -> bool:
    """Whether names such as "a73" are all there is: in the font's own coding, or in the file's."""
    kind, value = document.xref_get_key(xref, "Encoding")
    if kind == "xref":
        value = document.xref_object(int(value.split()[0]))
    if kind == "null":
        return not _has_characters(document, xref)
    return bool(_NUMBERED.search(value))


def _has_characters(document: pymupdf.Document, xref: int) -> bool:
    """Whether the file says which characters the glyphs of a font are."""
    return bool(document.xref_get_key(xref, "ToUnicode")[0] != "null")


def _repeats_numbers(document: pymupdf.Document, xref: int) -> bool:
    """Whether the table of characters gives each glyph its own number, which means nothing."""
    kind, value = document.xref_get_key(xref, "ToUnicode")
    if kind != "xref":
        return False
    pairs = _PAIR.findall(document.xref_stream(int(value.split()[0])).partition(b"beginbfchar")[2])
    return bool(pairs) and all(int(a, 16) == int(b, 16) < _CODES for a, b in pairs)
