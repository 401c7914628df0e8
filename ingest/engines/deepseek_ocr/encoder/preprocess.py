"""Page images to the views that the encoder reads, byte for byte as in the published code.

All resizing uses Pillow: the model was trained with its bicubic filter and its rounding of centred
images (half to even). Tensor libraries give other bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ....core.errors import PageRenderFailed
from ....core.modes import Mode, tile_grid

__all__ = ["PREPROCESSING_VERSION", "PreparedPage", "prepare"]

# Part of the key of every cached token. Change it whenever the same page gives other bytes.
PREPROCESSING_VERSION = "pillow-1"

_GREY = (127, 127, 127)
# The published code stretches pages to views up to this side, and pads them to larger views.
_STRETCHED_UP_TO = 640


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPage:
    """The views of one page, before normalization: uint8, RGB."""

    mode: str
    grid: tuple[int, int]  # columns and rows of tiles; (1, 1) means no tiles
    global_view: NDArray[np.uint8]  # [base, base, 3], the whole page
    tiles: NDArray[np.uint8]  # [columns * rows, tile, tile, 3], row by row; 0 without tiles


def prepare(pixels: NDArray[np.uint8], mode: Mode) -> PreparedPage:
    """Scale a page as displayed, uint8 ``[height, width, 3]`` in RGB, and cut it into tiles.

    Raises:
        PageRenderFailed: the array has another dtype or shape, or the page is so thin that it
            would be scaled to less than one pixel.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise PageRenderFailed(
            f"invalid page image: {pixels.dtype} {list(pixels.shape)}; expected uint8"
            " [height, width, 3] in RGB"
        )
    image = Image.fromarray(np.ascontiguousarray(pixels), "RGB")
    grid = tile_grid(image.width, image.height, mode.max_tiles, mode.tile_size)
    return PreparedPage(
        mode.name, grid, _global_view(image, mode), _tiles(image, grid, mode.tile_size)
    )


def _global_view(image: Image.Image, mode: Mode) -> NDArray[np.uint8]:
    size = (mode.base_size, mode.base_size)
    if not mode.max_tiles and mode.base_size <= _STRETCHED_UP_TO:
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    longer, shorter = max(image.size), min(image.size)
    if round(shorter / longer * mode.base_size) < 1:
        raise PageRenderFailed(
            f"page too thin: {image.width} x {image.height} pixels would be less than one pixel"
            f" wide or high in a view of {mode.base_size}; split the page"
        )
    return np.asarray(ImageOps.pad(image, size, Image.Resampling.BICUBIC, color=_GREY))


def _tiles(image: Image.Image, grid: tuple[int, int], side: int) -> NDArray[np.uint8]:
    cols, rows = grid
    if cols * rows == 1:
        return np.zeros((0, side, side, 3), np.uint8)
    whole = np.asarray(image.resize((cols * side, rows * side), Image.Resampling.BICUBIC))
    cut = whole.reshape(rows, side, cols, side, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(cut.reshape(rows * cols, side, side, 3))
