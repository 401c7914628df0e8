"""The records between encoder, decoder and cache: vision tokens, requests and transcripts.

Uses numpy but not torch, so that a cached page can be read on a machine without a model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .prompts import Prompt

if TYPE_CHECKING:
    from .protocols import OpticalModel

__all__ = [
    "DecodeRequest",
    "FinishReason",
    "TokenDtype",
    "TokenKey",
    "Transcript",
    "VisionTokens",
    "bfloat16_bits",
    "float32_values",
]

TokenDtype = Literal["float32", "bfloat16"]
FinishReason = Literal["eos", "length", "loop"]
"""Why the answer ended: the model finished, reached its token limit, or repeated itself."""

_STORAGE = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(np.uint16)}


@dataclass(frozen=True, slots=True, eq=False)
class VisionTokens:
    """An encoded page: the output of the projector.

    Without the newline and separator rows that the decoder also reads: they are constants of the
    weights. Global view and tiles are separate, so that a tile can be decoded alone.

    Shape: ``global_view`` is ``[side * side, dim]``, row by row. ``tiles`` is
    ``[cols * rows, tile_side * tile_side, dim]``, row by row, or ``[0, 0, dim]`` for the grid
    (1, 1). Both are float32, or uint16 with the raw bits of bfloat16 (see ``dtype``).
    """

    global_view: NDArray[np.float32] | NDArray[np.uint16]
    tiles: NDArray[np.float32] | NDArray[np.uint16]
    grid: tuple[int, int]  # columns, rows
    mode: str
    dtype: TokenDtype
    model: str  # hub id, or name of the folder
    weights: str  # fingerprint of the weights, independent of their location
    preprocessing: str

    def __post_init__(self) -> None:
        """Require that shapes, dtype and grid agree."""
        if problem := self._problem():
            raise EngineError(
                f"invalid vision tokens: {problem} (global view {self.global_view.shape}"
                f" {self.global_view.dtype}, tiles {self.tiles.shape} {self.tiles.dtype}, grid"
                f" {self.grid}): encode the page again"
            )

    def _problem(self) -> str:
        if not all(type(count) is int for count in self.grid):
            return "the grid must be two integers"
        cols, rows = self.grid
        whole, tiles = self.global_view, self.tiles
        if self.dtype not in _STORAGE:
            return f"dtype {self.dtype!r} is neither float32 nor bfloat16"
        if {whole.dtype, tiles.dtype} != {_STORAGE[self.dtype]}:
            return f"dtype {self.dtype} needs arrays of {_STORAGE[self.dtype]}"
        if whole.ndim != 2 or tiles.ndim != 3 or whole.shape[1] != tiles.shape[2]:
            return "the arrays need 2 and 3 axes, and the last axis must have the same length"
        if cols < 1 or rows < 1 or len(tiles) != (cols * rows if cols * rows > 1 else 0):
            return f"{len(tiles)} tiles for {cols} columns and {rows} rows"
        if not _is_square(len(whole)) or not (_is_square(tiles.shape[1]) or not len(tiles)):
            return "a view must be square and not empty"
        return ""

    def tile(self, column: int, row: int) -> VisionTokens:
        """One tile as a page that can be decoded alone. Boxes in the answer refer to the tile."""
        cols, rows = self.grid
        if not (0 <= column < cols and 0 <= row < rows and len(self.tiles)):
            raise IndexError(f"no tile ({column}, {row}) in a grid of {cols} x {rows}")
        none = np.zeros((0, 0, self.tiles.shape[2]), self.tiles.dtype)
        whole = self.tiles[row * cols + column]
        return replace(self, global_view=whole, tiles=none, grid=(1, 1))

    @property
    def side(self) -> int:
        """Tokens along each side of the global view."""
        return int(len(self.global_view) ** 0.5 + 0.5)

    @property
    def tile_side(self) -> int:
        """Tokens along each side of a tile; 0 without tiles."""
        return int(self.tiles.shape[1] ** 0.5 + 0.5) if len(self.tiles) else 0

    @property
    def count(self) -> int:
        """Vision tokens as the paper counts them: without newlines and separator."""
        return len(self.global_view) + int(self.tiles.shape[0] * self.tiles.shape[1])

    @property
    def decoder_count(self) -> int:
        """Rows that enter the decoder: with a newline per row of tokens and one separator."""
        cols, rows = self.grid
        lines = rows * self.tile_side  # 0 without tiles
        return self.side * (self.side + 1) + lines * (cols * self.tile_side + 1) + 1

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.global_view.nbytes + self.tiles.nbytes


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Everything that determines vision tokens: equal keys mean equal tokens.

    ``page`` is the sha256 of the page's pixels and their shape, ``profile`` identifies how the
    page was rendered, ``weights`` is the fingerprint of the model's weights.
    """

    page: str
    profile: str
    mode: str
    weights: str
    preprocessing: str

    @classmethod
    def for_page(
        cls, pixels: NDArray[np.uint8], profile: str, mode: str, model: OpticalModel
    ) -> TokenKey:
        """The key of a rendered page. Shape: ``pixels`` is uint8 ``[height, width, 3]``."""
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return cls(digest.hexdigest(), profile, mode, model.weights, model.preprocessing)

    @property
    def digest(self) -> str:
        """The key as 64 hexadecimal digits: the name of the cache entry."""
        facts = (self.page, self.profile, self.mode, self.weights, self.preprocessing)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A page to decode.

    Attributes:
        max_tokens: upper bound of the answer; None for the model's context.
        expected_tokens: estimated length of the answer, or None. Long answers start first.
        draft: text that the answer may contain, such as the page's text layer or an earlier
            answer. A good draft makes decoding faster; no draft changes the answer.
    """

    tokens: VisionTokens
    prompt: Prompt
    max_tokens: int | None = None
    expected_tokens: int | None = None
    draft: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The decoder's answer for one page.

    ``ids`` and ``text`` include all special tokens (``<td>``, ``<|ref|>`` …) except the
    end-of-sentence token. ``seconds`` is the time from the page's start to its last token, which
    it shares with other pages. ``repeated`` counts the tokens that followed ``ids`` and were
    dropped because they only repeat earlier ones.
    """

    ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    prompt_name: str
    prompt_text: str
    vision_tokens: int
    decoder_tokens: int
    seconds: float
    repeated: int = 0

    @property
    def written(self) -> int:
        """All decoded tokens, including dropped repetitions."""
        return len(self.ids) + self.repeated


def bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to bfloat16, half to even, as raw bits. Same shape. Expects no NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def float32_values(array: NDArray[np.float32] | NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of vision tokens stored in either dtype. Same shape."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32, copy=False)


def _is_square(number: int) -> bool:
    return number > 0 and int(number**0.5 + 0.5) ** 2 == number
