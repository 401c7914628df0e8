"""Runs PyMuPDF's layout model on a page, faster than the vendor does, with the same result.

Most of the time is one neural network that looks at the picture of the page. Here it runs in a
thread of its own while the text of the page is read and described. Its sessions keep their memory:
the vendor returns it to the system after each page and asks for it again (60 of 195 ms).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import numpy as np
import onnxruntime
import pymupdf
from numpy.typing import NDArray
from pymupdf import features
from pymupdf.layout import DocumentLayoutAnalyzer, pymupdf_util_ext
from pymupdf.layout.onnx import BoxRFDGNN, TableGridExtractorV2
from pymupdf4llm.helpers import utils
from pymupdf4llm.ocr.analyze_page import analyze_page
from pymupdf4llm.ocr.get_culled_pixmap import get_pixmap, pixmap_is_empty

from .pooling import pool
from .vision import Vision

__all__ = ["LayoutModel", "analyze_page", "get_pixmap", "load_model", "pixmap_is_empty", "utils"]

_USEFUL_THREADS: Final = 4
"""The networks are small. More threads were not measured: the machine at hand has two cores."""
_NICENESS: Final = 10
"""A tenth of the share of a normal thread. Pages of dense text took a tenth less time on two cores
than with the normal share, and others no more."""


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
        self._vision = Vision(self._model.feature_extractor._session)
        self._model.feature_extractor = self._vision

    def start(self, page: pymupdf.Page) -> NDArray[np.uint8] | None:
        """Begin to look at a page in the background, as the next one to be laid out.

        Returns:
            The picture of the page, one pixel per point, shape ``[height, width, 3]``; None if the
            page is too large to be drawn.
        """
        with suppress(pymupdf.mupdf.FzErrorLimit):  # lay_out raises it
            return self._vision.start(page).pixels
        return None

    def keep_for(self, copy: pymupdf.Page) -> None:
        """Lay out a copy of the page that was begun last as if it looked the same."""
        self._vision.keep_for(copy)

    def lay_out(self, page: pymupdf.Page) -> list[dict[str, Any]]:
        """Return the vendor's records of the regions of an upright page without rotation.

        The model draws the page at one pixel per point.

        Raises:
            pymupdf.mupdf.FzErrorLimit: the page is larger than MuPDF's largest picture, about
                16,000 points each way.
        """
        drawn = self._vision.start(page)
        groups: Sequence[dict[str, Any]] = self._model.predict(drawn, return_raw=True)
        return list(groups)


def _describe_text(data: dict[str, Any], text: pymupdf.TextPage) -> None:
    """Do the work of ``extract_rf_features``, without listing the features again for each line."""
    rows = data["custom_features"]
    seen = False
    for box, row in zip(data["bboxes"], rows, strict=True):
        found = features.fz_features_for_region(text, pymupdf.mupdf.FzRect(*box), 0)
        row.update((name, read(found)) for name, read in _features().items())
        seen |= row["num_numerals"] + row["num_non_numerals"] > 0 and row["invisible"] == 0
    if seen:  # then invisible text counts for nothing
        shown = [i for i, row in enumerate(rows) if row["invisible"] != 1]
        for key in ("custom_features", "bboxes", "text"):
            data[key][:] = [data[key][i] for i in shown]


@cache
def _features() -> dict[str, Callable[[Any], Any]]:
    """Return the functions that read each feature: properties would look them up each time."""
    names = {"last_char_rect", "thisown"}
    found = vars(features.fz_feature_stats).items()
    return {n: p.fget for n, p in found if isinstance(p, property) and p.fget and n not in names}


pymupdf_util_ext.extract_rf_features = _describe_text
BoxRFDGNN.extract_bbox_features_by_roi_pooling = pool


@contextmanager
def _own_sessions(threads: int) -> Iterator[None]:
    """Let the vendor's modules create their networks with our options."""

    def make_session(path: str, providers: Sequence[str] | None = None) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The extraction of text needs a core, too. Idle threads that spin would take it. In small
        # blocks of work, a thread whose core it has taken does not hold up the others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.dynamic_block_base", "4")
        return _with_polite_threads(
            lambda: onnxruntime.InferenceSession(path, options, providers=providers)
        )

    modules = (BoxRFDGNN, TableGridExtractorV2)
    vendors = [module.make_session for module in modules]
    for module in modules:
        module.make_session = make_session
    try:
        yield
    finally:
        for module, vendor in zip(modules, vendors, strict=True):
            module.make_session = vendor


def _with_polite_threads(make: Callable[[], Any]) -> Any:
    """Return ``make()``. The threads that it starts leave their core to others, on Linux only.

    There, a thread inherits the niceness of the thread that starts it. Elsewhere, niceness is that
    of the whole process.
    """
    if sys.platform != "linux":
        return make()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(os.setpriority, os.PRIO_PROCESS, 0, _NICENESS)  # 0 is the thread itself
        return thread.submit(make).result()


@cache
def load_model(threads: int) -> LayoutModel:
    """Return the layout model of this process."""
    return LayoutModel(threads)
