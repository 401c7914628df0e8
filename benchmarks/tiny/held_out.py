"""Pages no training has drawn, with words it has never shown."""

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

_STREAM: Final = 990_017  # seeds of the training are small, and of two numbers
_LEVELS: Final = (2, 3)  # running text, and all kinds of blocks, in turn


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A drawn page and what is right about it."""

    sheet: Sheet
    pixels: NDArray[np.uint8]
    text: str
    markdown: str


def held_out(count: int) -> Iterator[Page]:
    """The first so many pages; always the same."""
    number = 0
    while count:
        random = np.random.default_rng([_STREAM, number, 3])
        sheet = lay_out(random, _LEVELS[number % 2], held_out=True)
        number += 1
        if any(part.lines for part in sheet.parts):
            count -= 1
            yield Page(sheet, pixels(sheet, random), free_ocr(sheet).text, markdown(sheet).text)
