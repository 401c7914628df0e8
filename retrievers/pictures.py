"""Pictures of what is cited: the page around a hit, with its boxes drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
from .citations import PagePlace, cite
from .query import Hit

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PagePicture", "page_pictures"]

_DPI = 150
_GAP = 4  # pixels between text and the line around it
_MARGIN = 0.04  # of the page, around the boxes: a line or two of what stands beside them


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture of a page (1-based), or of the part that ``crop`` names in fractions of it."""

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
    """Draw the pages a hit stands on: one picture per page, cut to the boxes and a margin.

    Args:
        hit: what was found; pages without boxes are drawn whole.
        file: where the file is now, if not where it was read.
        password: of an encrypted file.
        long_side: most pixels of a page's longer side; pages are drawn at 150 dpi if that is less.
        whole_page: do not cut.

    Raises:
        SourceMissing: the file is not on this disk.
        SourceChanged: it is not the file that was ingested.
        SourceError: it cannot be opened or drawn.
    """
    places = cite(hit).places
    if not places:
        return []
    path = Path(file) if file else path_of(hit.file_path)
    if path is None or not _is_file(path):
        raise SourceMissing(
            f"{hit.file_path or hit.file_name or 'the file of the hit'} is not on this disk:"
            " say where it is now (file=), or ingest it again"
        )
    with open_document(path, password=password) as source:
        _check_same(source, hit)
        return [_picture(source, place, long_side, whole_page) for place in places]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name a file can have
        return False


def _check_same(source: SourceDocument, hit: Hit) -> None:
    stored = str(hit.payload.get(Field.FILE_SHA256) or "")
    if stored and stored != source.ref.sha256:
        raise SourceChanged(
            f"{source.ref.name} was edited since it was ingested, so its boxes may be wrong:"
            " ingest it again"
        )


def _picture(
    source: SourceDocument, place: PagePlace, long_side: int, whole_page: bool
) -> PagePicture:
    page = source.render(place.page - 1, long_side=long_side, dpi=_DPI)
    height, width = page.pixels.shape[:2]
    drawn = draw_boxes(page, [(_padded(b, _GAP / width, _GAP / height), "") for b in place.boxes])
    whole = Box(0.0, 0.0, 1.0, 1.0)
    crop = whole if whole_page or not place.boxes else _around(place.boxes)
    corners = (
        int(crop.x0 * width),
        int(crop.y0 * height),
        max(round(crop.x1 * width), int(crop.x0 * width) + 1),
        max(round(crop.y1 * height), int(crop.y0 * height) + 1),
    )
    return PagePicture(place.page, crop, drawn.crop(corners))


def _around(boxes: Sequence[Box]) -> Box:
    return _padded(reduce(Box.union, boxes), _MARGIN, _MARGIN)


def _padded(box: Box, x: float, y: float) -> Box:
    return Box.clipped(box.x0 - x, box.y0 - y, box.x1 + x, box.y1 + y)
