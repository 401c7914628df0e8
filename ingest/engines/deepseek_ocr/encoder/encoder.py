"""Views of pages to vision tokens, in batches of equal shape across pages and tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ....core.vision import TokenDtype, VisionTokens
from ..device.memory import halving_on_out_of_memory
from ..device.runtime import free_bytes
from .preprocess import PREPROCESSING_VERSION, PreparedPage

if TYPE_CHECKING:
    import torch

__all__ = ["Encoder", "Origin"]

# Where rows fill the matrix units: 16 views of 1,024 pixels are 65,536 patches. On a CPU batches
# gain nothing.
_GPU_PIXELS: Final = 16 * 1024**2
_CPU_PIXELS: Final = 1
_NUMBERS_PER_PIXEL: Final = 75  # held at once while a view is encoded; measured at full size

_View = tuple[int, int]  # page, number of the view in it: 0 the whole page, then the tiles


@dataclass(frozen=True, slots=True)
class Origin:
    """Which weights made vision tokens: the model's name and the fingerprint of its weights."""

    model: str
    weights: str


class Encoder:
    """Runs the vision tower and the projector of a loaded model.

    Args:
        model: transformers' ``UnlimitedOcrForConditionalGeneration``.
        origin: recorded in the tokens.
        dtype: in which numbers tokens are handed out: those the decoder computes in.
    """

    def __init__(self, model: Any, origin: Origin, dtype: TokenDtype) -> None:
        self._tower = model.model.vision_tower
        self._projector = model.model.multi_modal_projector
        self._origin = origin
        self._dtype = dtype

    def encode(self, pages: Sequence[PreparedPage]) -> list[VisionTokens]:
        """Encode pages.

        Raises:
            OutOfMemory: not even one view fits the device.
        """
        from ..device.transfer import launching_on

        views = [[page.global_view, *page.tiles] for page in pages]
        done: dict[_View, NDArray[Any]] = {}
        with launching_on(next(self._projector.parameters())):
            for batch in _batches(views, self._pixels_at_once()):
                stack = [views[page][number] for page, number in batch]
                features = halving_on_out_of_memory(self._forward, stack, "encoding a page")
                done.update(zip(batch, features, strict=True))
        return [self._tokens(number, page, done) for number, page in enumerate(pages)]

    def _pixels_at_once(self) -> int:
        weight = next(self._projector.parameters())
        if weight.device.type == "cpu":
            return _CPU_PIXELS
        free = free_bytes(str(weight.device)) or 0
        per_pixel: int = _NUMBERS_PER_PIXEL * weight.element_size()
        return min(_GPU_PIXELS, free // (2 * per_pixel))

    def _forward(self, views: Sequence[NDArray[np.uint8]]) -> list[NDArray[Any]]:
        import torch

        with torch.inference_mode():
            hidden = self._tower(self._normalised(np.stack(views))).last_hidden_state
            features = self._projector(hidden).to(getattr(torch, self._dtype)).cpu()
        if features.dtype == torch.bfloat16:
            return list(features.view(torch.uint16).numpy())
        return list(features.numpy())

    def _normalised(self, views: NDArray[np.uint8]) -> torch.Tensor:
        # The published ToTensor and Normalize(0.5, 0.5), then the cast.
        import torch

        like = next(self._projector.parameters())
        pixels = torch.from_numpy(views).to(like.device).permute(0, 3, 1, 2).float().div(255)
        return pixels.sub(0.5).div(0.5).to(like.dtype)

    def _tokens(
        self, number: int, page: PreparedPage, done: Mapping[_View, NDArray[Any]]
    ) -> VisionTokens:
        whole = done[number, 0]
        tiles = [done[number, i + 1] for i in range(len(page.tiles))]
        return VisionTokens(
            global_view=whole,
            tiles=np.stack(tiles) if tiles else np.zeros((0, 0, whole.shape[1]), whole.dtype),
            grid=page.grid,
            mode=page.mode,
            dtype=self._dtype,
            model=self._origin.model,
            weights=self._origin.weights,
            preprocessing=PREPROCESSING_VERSION,
        )


def _batches(views: Sequence[Sequence[NDArray[np.uint8]]], pixels: int) -> Iterator[list[_View]]:
    by_side: defaultdict[int, list[_View]] = defaultdict(list)
    for page, of_page in enumerate(views):
        for number, view in enumerate(of_page):
            by_side[len(view)].append((page, number))
    for side, same in by_side.items():
        size = max(1, pixels // side**2)
        yield from (same[i : i + size] for i in range(0, len(same), size))
