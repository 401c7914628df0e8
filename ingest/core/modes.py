"""The resolutions of DeepSeek-OCR, their costs in tokens, and the choice of one for a page.

Numbers come from the published model (``deepencoder.py``, ``run_dpsk_ocr.py``): one vision token
covers 64 x 64 pixels, and the decoder also reads one newline per row of tokens and one separator
per page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from .errors import ConfigError

__all__ = [
    "AUTO",
    "MODES",
    "TARGET_COMPRESSION",
    "Mode",
    "PageLoad",
    "choose_mode",
    "decoder_tokens",
    "mode_named",
    "other_mode",
    "tile_grid",
    "vision_tokens",
]

AUTO: Final = "auto"
"""Selects a mode for each page (see :func:`choose_mode`)."""

TARGET_COMPRESSION: Final = 10.0
"""Text tokens per vision token up to which the model reads 97 % of a page (paper, table 2)."""

_PIXELS_PER_TOKEN = 64  # patches of 16, then two convolutions of stride 2
_TILE = 640
_DENSE_COLUMN_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Mode:
    """A resolution.

    ``base_size`` is the side in pixels of the square view of the whole page. A large page is
    also cut into at most ``max_tiles`` square tiles with sides of ``tile_size`` pixels.
    """

    name: str
    base_size: int
    tile_size: int = _TILE
    max_tiles: int = 0


MODES: Final[Mapping[str, Mode]] = {
    mode.name: mode
    for mode in (
        Mode("tiny", 512),
        Mode("small", 640),
        Mode("base", 1024),
        Mode("large", 1280),
        Mode("gundam-6", 1024, max_tiles=6),  # the published vLLM script
        Mode("gundam", 1024, max_tiles=9),  # the published infer()
    )
}


def mode_named(name: str, modes: Mapping[str, Mode] = MODES) -> Mode:
    """The mode with this name. Raises a ConfigError if there is none."""
    if name not in modes:
        raise ConfigError(f"unknown mode {name!r}: choose one of {', '.join((AUTO, *modes))}")
    return modes[name]


def tile_grid(width: int, height: int, max_tiles: int, tile_size: int = _TILE) -> tuple[int, int]:
    """Columns and rows of tiles for a page; (1, 1) means no tiles. All lengths are in pixels.

    As in the published ``dynamic_preprocess``, the grid with the aspect ratio nearest to the
    page's. Of two equally near grids, the larger one if the page fills more than half of it.
    """
    if width <= tile_size and height <= tile_size:
        return (1, 1)
    best, nearest = (1, 1), float("inf")
    sides = range(1, max_tiles + 1)
    grids = ((c, r) for c in sides for r in sides if 2 <= c * r <= max_tiles)
    for cols, rows in sorted(grids, key=prod):
        distance = abs(width / height - cols / rows)
        fills = width * height > 0.5 * tile_size**2 * cols * rows
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (cols, rows), distance
    return best


def vision_tokens(mode: Mode, grid: tuple[int, int]) -> int:
    """Vision tokens of a page as the paper counts them: without newlines and separator."""
    side, tile = mode.base_size // _PIXELS_PER_TOKEN, mode.tile_size // _PIXELS_PER_TOKEN
    cols, rows = grid
    return side**2 + (cols * rows * tile**2 if cols * rows > 1 else 0)


def decoder_tokens(mode: Mode, grid: tuple[int, int]) -> int:
    """Tokens of a page that enter the decoder: with newlines and separator."""
    side, tile = mode.base_size // _PIXELS_PER_TOKEN, mode.tile_size // _PIXELS_PER_TOKEN
    cols, rows = grid
    tiles = rows * tile * (cols * tile + 1) if cols * rows > 1 else 0
    return side * (side + 1) + 1 + tiles


@dataclass(frozen=True, slots=True)
class PageLoad:
    """An estimate of a page's text: tokens of the model's vocabulary, and columns of text."""

    text_tokens: int
    columns: int = 1


def choose_mode(
    load: PageLoad,
    width: int,
    height: int,
    modes: Mapping[str, Mode] = MODES,
    compression: float = TARGET_COMPRESSION,
) -> Mode:
    """The cheapest mode that does not compress the page's text too much.

    Dense pages with several columns are always tiled, because their letters are small relative
    to the page (newspapers: edit distance .94 in tiny, .12 in gundam; paper, table 4).
    ``width`` and ``height`` of the rendered page are in pixels. ``compression`` is the number of
    text tokens per vision token up to which the model reads well.
    """
    grids = {m.name: tile_grid(width, height, m.max_tiles, m.tile_size) for m in modes.values()}
    by_cost = sorted(modes.values(), key=lambda m: (vision_tokens(m, grids[m.name]), m.max_tiles))
    dense = load.columns > 1 and load.text_tokens > _DENSE_COLUMN_TOKENS
    tiled = [m for m in by_cost if grids[m.name] != (1, 1)]
    candidates = tiled if dense and tiled else by_cost
    widest = vision_tokens(candidates[-1], grids[candidates[-1].name])
    needed = min(load.text_tokens / compression, widest)
    return next(m for m in candidates if vision_tokens(m, grids[m.name]) >= needed)


def other_mode(
    mode: Mode, width: int, height: int, modes: Mapping[str, Mode] = MODES
) -> Mode | None:
    """The mode to try after this one failed on a page.

    That is the mode with the most vision tokens, or the next smaller one after that mode. None if
    all modes give the same view of the page. ``width`` and ``height`` are in pixels.
    """

    def cost(m: Mode) -> tuple[int, int]:
        return vision_tokens(m, tile_grid(width, height, m.max_tiles, m.tile_size)), -m.max_tiles

    widest = max(modes.values(), key=cost)
    if cost(widest)[0] > cost(mode)[0]:
        return widest
    return max((m for m in modes.values() if cost(m)[0] < cost(mode)[0]), key=cost, default=None)
