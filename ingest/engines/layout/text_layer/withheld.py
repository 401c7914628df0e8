"""Finds out whether a page has text that it does not show, and that MuPDF does not report."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import pymupdf

from ..copies import copied
from ..geometry import centre_inside

__all__ = ["is_text_withheld", "lacks_text"]

_CLIP = re.compile(rb"\bW\*?\s+n\b")
_OFF: Final = re.compile(r"\d")  # a list with a reference
_FEWEST: Final = 3
"""Letters. One or two are cut off by chance at an edge; of 513 pages, 6 have such a letter."""


def is_text_withheld(page: pymupdf.Page, shown: str) -> bool:
    """Whether the crop box, a clip path or a layer that is off hides text.

    A second extraction takes 3 ms. Pages without all three do not need it.

    Args:
        page: the page.
        shown: all the text that MuPDF reports for it.
    """
    if page.cropbox != page.mediabox and _has_text_outside(page):
        return True
    layers = _has_layers_off(page.parent)
    if not layers and not _CLIP.search(page.read_contents()):
        return False
    whole = copied(page) if layers else page
    return lacks_text(shown, _text_page(whole).extractText())


def lacks_text(shown: str, everything: str) -> bool:
    """Whether letters are missing in the first text, whatever the order of both."""
    return (Counter(_solid(everything)) - Counter(_solid(shown))).total() >= _FEWEST


def _solid(text: str) -> str:
    return "".join(text.split())


def _has_text_outside(page: pymupdf.Page) -> bool:
    return any(not centre_inside(word[:4], page.rect) for word in _text_page(page).extractWORDS())


def _text_page(page: pymupdf.Page) -> pymupdf.TextPage:
    flags = pymupdf.TEXT_IGNORE_ACTUALTEXT
    return page.get_textpage(flags=flags, clip=pymupdf.INFINITE_RECT())


def _has_layers_off(document: pymupdf.Document) -> bool:
    """Whether a viewer may not show all layers: some are off, or depend on its task."""
    catalog = document.pdf_catalog()
    kind, value = document.xref_get_key(catalog, "OCProperties/D/OFF")
    if kind == "xref" or (kind == "array" and _OFF.search(value)):
        return True
    if document.xref_get_key(catalog, "OCProperties/D/BaseState")[1] == "/OFF":
        return True
    return bool(document.xref_get_key(catalog, "OCProperties/D/AS")[0] != "null")
