"""Views of pages to vision tokens, in batches of views of equal size across pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ....core.vision import TokenDtype, VisionTokens
from ..device.memory import split_on_out_of_memory
from ..device.runtime import free_bytes
from .preprocess import PREPROCESSING_VERSION, PreparedPage

if TYPE_CHECKING:
    import torch

__all__ = ["Encoder", "Origin"]

# Pixels of a batch. 16 views of 1,024 pixels are 65,536 patches, enough to saturate a GPU. On a
# CPU a batch gains nothing, so every view is a batch of its own.
_GPU_PIXELS: Final = 16 * 1024**2
_CPU_PIXELS: Final = 1
_NUMBERS_PER_PIXEL: Final = 75  # peak of activations while encoding; measured at full size

_ViewKey = tuple[int, int]  # page and view in it: 0 is the global view, the tiles follow


@dataclass(frozen=True, slots=True)
class Origin:
    """The name of the model that made vision tokens, and the fingerprint of its weights."""

    model: str
    weights: str


class Encoder:
    """Runs the vision tower and the projector of ``UnlimitedOcrForConditionalGeneration``.

    ``origin`` is recorded in the tokens; ``dtype`` is that of the tokens, and so of the decoder.
    """

    def __init__(self, network: Any, origin: Origin, dtype: TokenDtype) -> None:
        self._tower = network.model.vision_tower
        self._projector = network.model.multi_modal_projector
        self._origin = origin
        self._dtype = dtype

    def encode(self, pages: Sequence[PreparedPage]) -> list[VisionTokens]:
        """Encode pages and return their vision tokens in order.

        Raises:
            OutOfMemory: a single view does not fit the device.
        """
        from ..device.transfer import on_device_of

        views = [[page.global_view, *page.tiles] for page in pages]
        encoded: dict[_ViewKey, NDArray[Any]] = {}
        with on_device_of(next(self._projector.parameters())):
            for batch in _batches(views, self._pixels_at_once()):
                stack = [views[page][number] for page, number in batch]
                features = split_on_out_of_memory(self._forward, stack, "encoding a page")
                encoded.update(zip(batch, features, strict=True))
        return [self._tokens(number, page, encoded) for number, page in enumerate(pages)]

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
            hidden = self._tower(self._normalize(np.stack(views))).last_hidden_state
            features = self._projector(hidden).to(getattr(torch, self._dtype)).cpu()
        if features.dtype == torch.bfloat16:
            return list(features.view(torch.uint16).numpy())
        return list(features.numpy())

    def _normalize(self, views: NDArray[np.uint8]) -> torch.Tensor:
        # As published: torchvision's ToTensor and Normalize(0.5, 0.5), then the cast to the dtype.
        import torch

        like = next(self._projector.parameters())
        pixels = torch.from_numpy(views).to(like.device).permute(0, 3, 1, 2).float().div(255)
        return pixels.sub(0.5).div(0.5).to(like.dtype)

    def _tokens(
        self, number: int, page: PreparedPage, encoded: Mapping[_ViewKey, NDArray[Any]]
    ) -> VisionTokens:
        whole = encoded[number, 0]
        tiles = [encoded[number, i + 1] for i in range(len(page.tiles))]
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


def _batches(views: Sequence[Sequence[NDArray[np.uint8]]], pixels: int) -> Iterator[list[_ViewKey]]:
    by_side: defaultdict[int, list[_ViewKey]] = defaultdict(list)
    for page, of_page in enumerate(views):
        for number, view in enumerate(of_page):
            by_side[len(view)].append((page, number))
    for side, same in by_side.items():
        size = max(1, pixels // side**2)
        yield from (same[i : i + size] for i in range(0, len(same), size))
