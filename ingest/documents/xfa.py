"""Recognizes forms whose pages say only that another program must draw them.

A dynamic XFA form is XML inside a PDF. Its only page asks the reader to wait, or to get another
program; the form itself is not on any page.
"""

from __future__ import annotations

from typing import Final

import pymupdf

__all__ = ["is_xfa_placeholder"]

_MAKER: Final = "adobe"
"""The placeholder names the program in every language that it is written in."""


def is_xfa_placeholder(document: pymupdf.Document) -> bool:
    """Whether the content of an opened document is an XFA form that its pages do not show.

    The document says that it must be rendered first; or its only page has no fields, but names
    the program to use. Other XFA forms have their fields on their pages, and are read as usual.
    """
    try:
        return document.is_pdf and _is_placeholder(document)
    except pymupdf.mupdf.FzErrorBase:
        return False  # a damaged catalog; its pages are read as they are


def _is_placeholder(document: pymupdf.Document) -> bool:
    catalog = document.pdf_catalog()
    if document.xref_get_key(catalog, "AcroForm/XFA")[0] == "null":
        return False
    if document.xref_get_key(catalog, "NeedsRendering") == ("bool", "true"):
        return True
    if document.page_count != 1:
        return False
    page = document[0]
    return page.first_widget is None and _MAKER in page.get_text().lower()
