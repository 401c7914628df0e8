"""Draws the pages of a hit with its boxes."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from ..ingest.core.errors import SourceChanged, SourceMissing
from ..ingest.core.records import Box
from ..ingest.core.schema import Field
from ..ingest.documents.drawing import draw_boxes
from ..ingest.documents.pages import SourceDocument, open_document
from ..ingest.documents.sources import path_of
from .citations import CitedPage, cite
from .query import Hit

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PagePicture", "page_pictures"]

_DPI = 150
_GAP = 4  # pixels between the text and the outline of its box
_MARGIN = 0.04  # fraction of the page around the boxes: a line or two of the surrounding text


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture of a page (1-based), cut to ``crop`` (fractions of the page, origin top left)."""

    page: int
    crop: Box
    image: Image

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def page_pictures(
    hit: Hit,
    *,
    file: str | Path | None = None,
    password: str | None = None,
    long_side: int = 1600,
    whole_page: bool = False,
) -> list[PagePicture]:
    """Draw the pages of a hit: one picture per page, cropped to the boxes and a margin.

    Args:
        hit: the hit. Pages without boxes are drawn whole.
        file: the file's current path, if it has moved since it was ingested.
        password: password of an encrypted file.
        long_side: maximum length of a page's longer side, in pixels. Pages are drawn at 150 dpi if
            that is smaller.
        whole_page: do not crop.

    Raises:
        SourceMissing: the file is not on this disk.
        SourceChanged: the file is not the one that was ingested.
        SourceError: the file cannot be opened or drawn.
    """
    pages = cite(hit).cited_pages
    if not pages:
        return []
    path = Path(file) if file else path_of(hit.file_path)
    if path is None or not os.path.isfile(path):  # noqa: PTH113  no error for an invalid name
        raise SourceMissing(
            f"{hit.file_path or hit.file_name or 'the file of the hit'} is not on this disk:"
            " pass its current path as file=, or ingest it again"
        )
    with open_document(path, password=password) as source:
        if hit.payload.get(Field.FILE_SHA256) not in (None, "", source.ref.sha256):
            raise SourceChanged(
                f"{source.ref.name} was edited after it was ingested, so the boxes may be wrong:"
                " ingest it again"
            )
        return [_draw(source, cited, long_side, whole_page) for cited in pages]


def _draw(
    source: SourceDocument, cited: CitedPage, long_side: int, whole_page: bool
) -> PagePicture:
    page = source.render(cited.page - 1, long_side=long_side, dpi=_DPI)
    height, width = page.pixels.shape[:2]
    drawn = draw_boxes(page, [(_padded(b, _GAP / width, _GAP / height), "") for b in cited.boxes])
    crop = Box(0.0, 0.0, 1.0, 1.0)
    if cited.boxes and not whole_page:
        crop = _padded(reduce(Box.union, cited.boxes), _MARGIN, _MARGIN)
    left, top = int(crop.x0 * width), int(crop.y0 * height)
    right, bottom = round(crop.x1 * width), round(crop.y1 * height)
    corners = (left, top, max(right, left + 1), max(bottom, top + 1))
    return PagePicture(cited.page, crop, drawn.crop(corners))


def _padded(box: Box, x: float, y: float) -> Box:
    return Box.clipped(box.x0 - x, box.y0 - y, box.x1 + x, box.y1 + y)
