"""Scores a transcript against the truth: characters and boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opticalrag.ingest.core.records import Box
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding

from .layout import SIDE, Sheet

__all__ = ["box_overlap", "plain", "precision", "truth_boxes"]


def precision(read: str, truth: str) -> float:
    """The share of correct characters: 1 - edit distance / length of the longer text.

    Runs of white space count as one space.
    """
    a, b = (" ".join(text.split()) for text in (read, truth))
    longest = max(len(a), len(b))
    return 1 - _distance(a, b) / longest if longest else 1.0


def _distance(a: str, b: str) -> int:
    letters = np.frombuffer(b.encode("utf-32-le"), np.uint32)
    places = np.arange(len(b) + 1)
    row = places.copy()
    for number, char in enumerate(a, 1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(char)))
        row = np.concatenate([[number], kept])
        # Insertions run along the row: each costs one more than the best to its left.
        row = np.minimum.accumulate(row - places) + places
    return int(row[-1])


def plain(transcript: str) -> str:
    """The text of a transcript's blocks, cells of tables included, as the engine reads it."""
    parts = []
    for block in read_grounding(transcript).blocks:
        parts.append(block.text)
        parts += [cell.text for cell in block.table.cells] if block.table else []
    return "\n".join(part for part in parts if part)


def truth_boxes(sheet: Sheet) -> list[Box]:
    """Boxes of the blocks, in fractions of the page."""
    return [Box(*(min(1.0, value / SIDE) for value in part.box)) for part in sheet.parts]


def box_overlap(transcript: str, truth: Sequence[Box]) -> float:
    """The mean overlap (IoU) of each true box with the best box of the transcript."""
    found = [block.box for block in read_grounding(transcript).blocks]
    best = [max((_overlap(box, other) for other in found), default=0.0) for box in truth]
    return float(np.mean(best)) if best else 1.0


def _overlap(a: Box, b: Box) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = [(box.x1 - box.x0) * (box.y1 - box.y0) for box in (a, b)]
    return common / (sum(areas) - common)
