"""Reads the text lines of a picture with RapidOCR. The only module that imports that library.

Takes pixels and returns lines; knows nothing of pages. Boxes are in pixels, origin top left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...core.errors import MissingExtra, PageRenderFailed
from .geometry import Rect

__all__ = ["OcrLine", "Pixels", "Recognizer", "lines_of", "load_recognizer"]

_MIN_SCORE: Final = 0.5  # RapidOCR's own ``text_score``; a line with a lower score is noise
_SHORT: Final = 3
_MIN_SHORT_SCORE: Final = 0.8
"""For lines of up to three letters: icons and drawings are read as such, with scores near 0.6."""
_THINNEST: Final = 12  # length over width; pages are never so thin, strips of them may be

Pixels = NDArray[np.uint8]
"""RGB, shape ``[height, width, 3]``."""
OcrLine = tuple[Rect, str]
"""Box and text of a line."""


class Recognizer:
    """Finds lines of text and reads them. Loads the models once.

    Args:
        threads: threads per model; 0 leaves the choice to ONNX Runtime.

    Raises:
        MissingExtra: RapidOCR is not installed.
    """

    def __init__(self, threads: int = 0) -> None:
        try:
            vendor = import_module("rapidocr")
            self._image_tools = import_module("rapidocr.utils.process_img")
            self._main = import_module("rapidocr.main")
            self._picture_error: type[Exception] = import_module("cv2").error
        except ImportError as error:
            raise MissingExtra("OCR of pages without text", "ocr") from error
        parameters: dict[str, object] = {"Global.log_level": "critical"}
        if threads:
            for option in ("intra_op_num_threads", "inter_op_num_threads"):
                parameters[f"EngineConfig.onnxruntime.{option}"] = threads
        self._engine: Any = vendor.RapidOCR(params=parameters)
        # RapidOCR adds a handler to its logger, and reports every empty page.
        logger = logging.getLogger("RapidOCR")
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL)

    def find(self, pixels: Pixels) -> tuple[NDArray[np.float32], list[Pixels]]:
        """Find text lines.

        Returns:
            Corners, shape ``[lines, 4, 2]``, clockwise from the top left; and the picture of each
            line, turned so that it is wider than high.

        Raises:
            PageRenderFailed: the library fails on this picture.
        """
        pixels = _widen_strip(pixels)
        height, width = pixels.shape[:2]
        scaled, record = self._engine.preprocess_img(np.ascontiguousarray(pixels[:, :, ::-1]))
        try:
            crops, found = self._engine.detect_and_crop(scaled, record)
        except self._main.RapidOCRError:  # raised when there is no text
            return np.zeros((0, 4, 2), dtype=np.float32), []
        except self._picture_error as error:
            raise PageRenderFailed(f"OCR failed on this picture: {error}") from error
        corners = self._image_tools.map_boxes_to_original(found.boxes, record, height, width)
        return corners, crops

    def read(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Return text and score (0 to 1) of each line that :meth:`find` cut out.

        Raises:
            PageRenderFailed: the library fails on one of them.
        """
        if not crops:
            return []
        try:
            result = self._engine.recognize_txt(list(crops))
        except (self._main.RapidOCRError, self._picture_error) as error:
            raise PageRenderFailed(f"OCR failed on a line of this picture: {error}") from error
        return [(t.strip(), float(s)) for t, s in zip(result.txts, result.scores, strict=True)]


def _widen_strip(pixels: Pixels) -> Pixels:
    # RapidOCR scales the short side up to 736 pixels and the long side with it: a strip of
    # 5 x 20,000 pixels would grow to 2.2 thousand million pixels.
    height, width = pixels.shape[:2]
    least = max(height, width) // _THINNEST
    missing = max(0, least - height), max(0, least - width)
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), constant_values=255)


def lines_of(corners: NDArray[np.float32], readings: Sequence[tuple[str, float]]) -> list[OcrLine]:
    """Combine results of :meth:`Recognizer.find` and :meth:`Recognizer.read`, and drop noise."""
    lines = []
    for box, (text, score) in zip(corners, readings, strict=True):
        if text and score >= (_MIN_SCORE if len(text) > _SHORT else _MIN_SHORT_SCORE):
            (x0, y0), (x1, y1) = box.min(axis=0), box.max(axis=0)
            lines.append(((float(x0), float(y0), float(x1), float(y1)), text))
    return lines


@cache
def load_recognizer(threads: int) -> Recognizer:
    """Return the recognizer of this process."""
    return Recognizer(threads)
