"""Runs the layout model's image network on the picture of a page, in a thread of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

import numpy as np
import pymupdf
from numpy.typing import NDArray
from pymupdf.layout.common_util import resize_image, to_gray

__all__ = ["DrawnPage", "LaterMap", "Map", "Vision", "describe_labels"]

_OUTPUTS: Final = ("combined", "logits")


_TINY: Final = 1e-12  # keeps the logarithm of 0 finite, as the vendor does

Map = NDArray[np.float32]
"""Values at each point of a page, shape ``[channels, height, width]``."""


@dataclass(frozen=True, slots=True)
class LaterMap:
    """A map that may still be computed."""

    maps: Future[tuple[Map, Map]]
    index: int

    def wait(self) -> Map:
        """Return the map when it is there."""
        return self.maps.result()[self.index]


class DrawnPage:
    """A page that is drawn already. The vendor asks for the same picture again."""

    def __init__(self, page: pymupdf.Page) -> None:
        self.page = page
        self._drawn: pymupdf.Pixmap = page.get_pixmap()

    def get_pixmap(self) -> pymupdf.Pixmap:
        """Return the picture, one pixel per point."""
        return self._drawn

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture, shape ``[height, width, 3]``."""
        drawn = self._drawn
        return np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, drawn.n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)


class Vision:
    """Looks at pages. Has the methods of ``ImageFeatureExtractorV1`` that the vendor calls."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="layout-vision")
        self._page: DrawnPage | None = None
        self._maps: Future[tuple[Map, Map]] = Future()

    def start(self, page: pymupdf.Page) -> DrawnPage:
        """Draw a page and begin to look at it, unless it is the page that was begun last.

        Raises:
            pymupdf.mupdf.FzErrorLimit: the page is too large to be drawn.
        """
        if self._page is None or self._page.page is not page:
            drawn, running = DrawnPage(page), Event()
            self._maps = self._thread.submit(self._look, drawn.pixels, running)
            self._page = drawn
            # Reading text holds Python's lock for 50 ms: wait until the network runs without it.
            running.wait()
        return self._page

    def _look(self, pixels: NDArray[np.uint8], running: Event) -> tuple[Map, Map]:
        try:
            picture = _network_input(pixels, self._session.get_inputs()[0].shape[2:])
        finally:
            running.set()
        features, scores = self._session.run(_OUTPUTS, {"input": picture})
        return features[0], describe_labels(scores[0])

    def keep_for(self, copy: pymupdf.Page) -> None:
        """Use what was seen for a copy of the page that was begun last."""
        if self._page is not None:
            self._page.page = copy

    def consume_cache(self) -> bool:
        """Whether the vendor need not run the network: always."""
        self._page = None
        return True

    def get_feature_map(self) -> LaterMap:
        """Features of each point: 160."""
        return LaterMap(self._maps, 0)

    def get_class_logits(self) -> LaterMap:
        """What :func:`describe_labels` returns for the 12 labels."""
        return LaterMap(self._maps, 1)


def describe_labels(scores: Map) -> Map:
    """Turn the scores of labels into their probabilities, entropy, and the lead of the best one.

    The vendor does so for each box again, and finds the two best labels by sorting.
    """
    shares = np.exp(scores - scores.max(axis=0))
    shares /= shares.sum(axis=0) + _TINY
    entropy = -(shares * np.log(shares + _TINY)).sum(axis=0)
    best, second = np.maximum(*shares[:2]), np.minimum(*shares[:2])
    for share in shares[2:]:
        second = np.maximum(second, np.minimum(best, share))
        best = np.maximum(best, share)
    return np.concatenate([shares, entropy[None], (best - second)[None]])


def _network_input(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a picture to a size and its greys to 0..1, as ``ImageFeatureExtractorV1.predict``."""
    height, width = size
    gray = to_gray(resize_image(pixels, (width, height))).astype(np.float32)
    low, high = gray.min(), gray.max()
    scaled = (gray - low) / (high - low) if high > low else np.zeros_like(gray)
    return np.asarray(scaled[None, None])
