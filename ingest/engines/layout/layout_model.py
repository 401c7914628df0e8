"""Runs PyMuPDF's layout model on a page, faster than the vendor does, with the same result.

Most of the time is one neural network that looks at the picture of the page. Here it runs in a
thread of its own while the vendor reads the text of the page. Its sessions keep their memory: the
vendor returns it to the system after each page and asks for it again (60 of 195 ms).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from threading import Event
from typing import Any, Final

import numpy as np
import onnxruntime
import pymupdf
from numpy.typing import NDArray
from pymupdf import features
from pymupdf.layout import DocumentLayoutAnalyzer, pymupdf_util_ext
from pymupdf.layout.common_util import resize_image, to_gray
from pymupdf.layout.onnx import BoxRFDGNN, TableGridExtractorV2
from pymupdf4llm.helpers import utils
from pymupdf4llm.ocr.analyze_page import analyze_page
from pymupdf4llm.ocr.get_culled_pixmap import get_pixmap, pixmap_is_empty

__all__ = ["LayoutModel", "analyze_page", "get_pixmap", "load_model", "pixmap_is_empty", "utils"]

_USEFUL_THREADS: Final = 4
"""The networks are small. More threads were not measured: the machine at hand has two cores."""


class LayoutModel:
    """The layout model of this process. Not for use in several threads.

    Args:
        threads: threads per network; 0 for one per core.
    """

    def __init__(self, threads: int) -> None:
        threads = threads or min(os.cpu_count() or 1, _USEFUL_THREADS)
        with _own_sessions(threads):
            self._model: Any = DocumentLayoutAnalyzer.get_model()._model
        # Its cells of tables, a network of 40 ms a table, are not used: see tables/.
        self._model.table_grid_extractor = None
        self._vision = _Vision(self._model.feature_extractor._session)
        self._model.feature_extractor = self._vision

    def start(self, page: pymupdf.Page) -> None:
        """Begin to look at a page in the background, if it is the next one to be laid out."""
        with suppress(pymupdf.mupdf.FzErrorLimit):  # lay_out raises it
            self._vision.start(page)

    def lay_out(self, page: pymupdf.Page) -> list[dict[str, Any]]:
        """Return the vendor's records of the regions of an upright page without rotation.

        The model draws the page at one pixel per point.

        Raises:
            pymupdf.mupdf.FzErrorLimit: the page is larger than MuPDF's largest picture, about
                16,000 points each way.
        """
        self._vision.start(page)
        groups: Sequence[dict[str, Any]] = self._model.predict(self._vision.page, return_raw=True)
        return list(groups)


class _DrawnPage:
    """A page that is drawn already: the vendor draws it once more to the same picture."""

    def __init__(self, page: pymupdf.Page, drawn: pymupdf.Pixmap) -> None:
        self.page = page
        self.get_pixmap = lambda: drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)


class _Vision:
    """Looks at pages. Has the methods of ``ImageFeatureExtractorV1`` that the vendor calls."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="layout-vision")
        self.page: _DrawnPage | None = None
        self._result: Future[list[NDArray[np.float32]]] | None = None
        self._maps: list[NDArray[np.float32]] = []

    def start(self, page: pymupdf.Page) -> None:
        if self.page is not None and page is self.page.page:
            return
        drawn = page.get_pixmap()
        pixels = np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, drawn.n)
        picture = _network_input(pixels, self._session.get_inputs()[0].shape[2:])
        running = Event()
        self.page = _DrawnPage(page, drawn)
        self._result = self._thread.submit(self._run, picture, running)
        # Reading text holds Python's lock for 50 ms: wait until the network runs without it.
        running.wait()

    def _run(self, picture: NDArray[np.float32], running: Event) -> list[NDArray[np.float32]]:
        running.set()
        maps: list[NDArray[np.float32]] = self._session.run(
            ("combined", "logits"), {"input": picture}
        )
        return maps

    def consume_cache(self) -> bool:
        """Wait for the network. Returns True: the vendor need not run it."""
        result, self._result, self.page = self._result, None, None
        if result is not None:
            self._maps = result.result()
        return True

    def get_feature_map(self) -> NDArray[np.float32]:
        """Features of each point of the page, shape ``[1, 160, 300, 300]``."""
        return self._maps[0]

    def get_class_logits(self) -> NDArray[np.float32]:
        """Scores of each label at each point of the page, shape ``[1, 12, 300, 300]``."""
        return self._maps[1]


def _describe_text(data: dict[str, Any], text: pymupdf.TextPage) -> None:
    """Do the work of ``extract_rf_features``, without listing the features again for each line."""
    rows = data["custom_features"]
    seen = False
    for box, row in zip(data["bboxes"], rows, strict=True):
        found = features.fz_features_for_region(text, pymupdf.mupdf.FzRect(*box), 0)
        row.update((name, getattr(found, name)) for name in _feature_names())
        seen |= row["num_numerals"] + row["num_non_numerals"] > 0 and row["invisible"] == 0
    if seen:  # then invisible text counts for nothing
        shown = [i for i, row in enumerate(rows) if row["invisible"] != 1]
        for key in ("custom_features", "bboxes", "text"):
            data[key][:] = [data[key][i] for i in shown]


@cache
def _feature_names() -> tuple[str, ...]:
    names = dir(features.fz_feature_stats)
    others = ("this", "thisown", "last_char_rect")
    return tuple(n for n in names if not n.startswith("_") and n not in others)


def _network_input(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a picture to a size and its greys to 0..1, as ``ImageFeatureExtractorV1.predict``."""
    height, width = size
    gray = to_gray(resize_image(pixels, (width, height))).astype(np.float32)
    low, high = gray.min(), gray.max()
    scaled = (gray - low) / (high - low) if high > low else np.zeros_like(gray)
    return np.asarray(scaled[None, None])


pymupdf_util_ext.extract_rf_features = _describe_text


@contextmanager
def _own_sessions(threads: int) -> Iterator[None]:
    """Let the vendor's modules create their networks with our options."""

    def make_session(path: str, providers: Sequence[str] | None = None) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin take the core from the extraction of text.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(path, options, providers=providers)

    modules = (BoxRFDGNN, TableGridExtractorV2)
    vendors = [module.make_session for module in modules]
    for module in modules:
        module.make_session = make_session
    try:
        yield
    finally:
        for module, vendor in zip(modules, vendors, strict=True):
            module.make_session = vendor


@cache
def load_model(threads: int) -> LayoutModel:
    """Return the layout model of this process."""
    return LayoutModel(threads)
