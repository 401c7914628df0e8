"""Loads PyMuPDF's layout model and helpers so that each model computes on one thread.

The models are small graphs that run page by page. With ONNX Runtime's default of one thread per
core, a page takes 1.7 times as long on two busy cores, and worker processes compete. The vendor
offers no setting, so this module replaces the default session options while the model loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime


class _OneThread(onnxruntime.SessionOptions):  # type: ignore[misc]  # no annotations
    def __init__(self) -> None:
        super().__init__()
        self.intra_op_num_threads = 1
        self.inter_op_num_threads = 1


@contextmanager
def _one_thread_per_model() -> Iterator[None]:
    default = onnxruntime.SessionOptions
    onnxruntime.SessionOptions = _OneThread
    try:
        yield
    finally:
        onnxruntime.SessionOptions = default


with _one_thread_per_model():  # this import loads the model into Page.get_layout
    from pymupdf4llm.helpers import utils
    from pymupdf4llm.ocr.analyze_page import analyze_page
    from pymupdf4llm.ocr.get_culled_pixmap import get_pixmap, pixmap_is_empty

__all__ = ["analyze_page", "get_pixmap", "pixmap_is_empty", "utils"]
