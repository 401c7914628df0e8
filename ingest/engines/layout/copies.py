"""Copies pages: the document itself never changes."""

from __future__ import annotations

import pymupdf

__all__ = ["copied"]


def copied(page: pymupdf.Page) -> pymupdf.Page:
    """Copy a page into a document of its own, which has no layers: all content is shown."""
    document = pymupdf.open()
    document.insert_pdf(page.parent, from_page=page.number, to_page=page.number)
    return document[0]
