"""Draws pages that were not in the training, with words that were not in it either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .drawing import pixels
from .layout import Sheet, lay_out
from .targets import free_ocr, markdown

__all__ = ["Page", "held_out"]

_STREAM: Final = 990_017  # seeds of the training are smaller, and pairs of numbers
_LEVELS: Final = (2, 3)  # alternates running text and all kinds of blocks


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A drawn page and the correct answers."""

    sheet: Sheet
    pixels: NDArray[np.uint8]
    text: str
    markdown: str


def held_out(count: int) -> Iterator[Page]:
    """Draw the first pages; the same in every run."""
    number = 0
    while count:
        random = np.random.default_rng([_STREAM, number, 3])
        sheet = lay_out(random, _LEVELS[number % 2], held_out=True)
        number += 1
        if any(part.lines for part in sheet.parts):
            count -= 1
            yield Page(sheet, pixels(sheet, random), free_ocr(sheet).text, markdown(sheet).text)
