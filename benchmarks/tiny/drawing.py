"""Renders laid-out pages as PDF and as pixels, as the engine does."""

from __future__ import annotations

import numpy as np
import pymupdf
from numpy.typing import NDArray

from .layout import SIDE, SIZE, Part, Sheet

__all__ = ["DPI", "pixels", "write_pdf"]

DPI = 144  # as in the engine


def write_pdf(sheets: list[Sheet]) -> bytes:
    """Write a PDF with one page per sheet, with a text layer and without noise."""
    document = pymupdf.open()
    for sheet in sheets:
        _draw(document.new_page(width=SIDE, height=SIDE), sheet)
    data: bytes = document.tobytes(deflate=True, no_new_id=True)
    document.close()
    return data


def pixels(sheet: Sheet, random: np.random.Generator) -> NDArray[np.uint8]:
    """Render a page with its noise, as uint8 ``[448, 448, 3]``."""
    document = pymupdf.open()
    page = document.new_page(width=SIDE, height=SIDE)
    _draw(page, sheet)
    drawn = page.get_pixmap(dpi=DPI)
    array = np.frombuffer(drawn.samples_mv, np.uint8).reshape(drawn.height, drawn.width, 3).copy()
    document.close()
    if sheet.noise:
        dirty = random.random(array.shape[:2]) < sheet.noise
        array[dirty] = random.integers(0, 255, (int(dirty.sum()), 1), np.uint8)
    return array


def _draw(page: pymupdf.Page, sheet: Sheet) -> None:
    shape = page.new_shape()
    for part in sheet.parts:
        if part.kind == "image":
            _figure(shape, part)
        elif part.kind == "table" and part.frame:
            _rules(shape, part)
        for line in part.lines:
            font = "cobo" if line.bold else "cour"
            shape.insert_text(line.baseline, line.text, fontname=font, fontsize=SIZE)
    shape.commit()


def _figure(shape: pymupdf.Shape, part: Part) -> None:
    box = pymupdf.Rect(part.frame)
    shape.draw_rect(box)
    shape.draw_circle(box.tl + (box.br - box.tl) * 0.5, box.height * 0.3)
    shape.draw_line(box.bl, box.tr)
    shape.finish(color=(0, 0, 0), fill=(0.8, 0.8, 0.8), width=0.8)


def _rules(shape: pymupdf.Shape, part: Part) -> None:
    box = pymupdf.Rect(part.frame)
    rows = len(part.lines) // part.columns
    for row in range(rows + 1):
        y = box.y0 + box.height * row / rows
        shape.draw_line((box.x0, y), (box.x1, y))
    for column in range(part.columns + 1):
        x = box.x0 + box.width * column / part.columns
        shape.draw_line((x, box.y0), (x, box.y1))
    shape.finish(color=(0.3, 0.3, 0.3), width=0.6)
