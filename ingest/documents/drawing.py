"""Draws labelled boxes on rendered pages, for people to inspect."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from PIL import Image, ImageDraw

from ..core.records import Box, PageImage

__all__ = ["draw_boxes"]

# The palette of Okabe and Ito, which colour-blind readers can tell apart, too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


def draw_boxes(page: PageImage, boxes: Iterable[tuple[Box, str]]) -> Image.Image:
    """Draw boxes, in fractions of the page with the origin top left, each with its label.

    Equal labels have equal colours. The result is a new RGB image of the page's size.
    """
    picture = Image.fromarray(page.pixels).convert("RGB")
    pen = ImageDraw.Draw(picture)
    height, width = page.pixels.shape[:2]
    for box, label in boxes:
        colour = _COLOURS[crc32(label.encode()) % len(_COLOURS)]
        corner = (box.x0 * width, box.y0 * height)
        pen.rectangle((*corner, box.x1 * width, box.y1 * height), outline=colour, width=2)
        pen.text((corner[0] + 3, max(corner[1] - 11, 0)), label, fill=colour)
    return picture
