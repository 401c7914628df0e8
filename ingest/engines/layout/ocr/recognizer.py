"""Reads the text lines of a picture with RapidOCR. The only module that imports that library.

Takes pixels and returns lines; knows nothing of pages. Boxes are in pixels, origin top left.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ....core.errors import MissingExtra, PageRenderFailed
from ..geometry import Rect

__all__ = ["Corners", "OcrLine", "Pixels", "Recognizer", "lines_of", "load_recognizer"]

_MAX_SIDE: Final = 2000  # pixels, as RapidOCR's own limit of the whole picture
_MIN_SCORE: Final = 0.5  # RapidOCR's own ``text_score``; a line with a lower score is noise
_SHORT: Final = 3
_MIN_SHORT_SCORE: Final = 0.8
"""For lines of up to three letters: icons and drawings are read as such, with scores near 0.6."""
_THINNEST: Final = 12  # length over width; pages are never so thin, strips of them may be
_FIND: Final = 0.73
"""Scale at which lines are found; they are read at full scale. Finding takes half as long at 110
dpi as at 150, and finds the same lines from 5.5 pt on (98.8 % of generated words at 5 pt).
"""

Pixels = NDArray[np.uint8]
"""RGB, shape ``[height, width, 3]``."""
Corners = NDArray[np.float32]
"""Of lines, shape ``[lines, 4, 2]``, in pixels."""
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
            self._cv2 = import_module("cv2")
        except ImportError as error:
            raise MissingExtra("OCR of pages without text", "ocr") from error
        parameters: dict[str, object] = {
            "Global.log_level": "critical",
            "Det.limit_type": "max",  # the vendor enlarges small pictures to 736 pixels
            "Det.limit_side_len": _MAX_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads or os.cpu_count() or 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # The vendor returns all memory after each batch of lines: a sixth of the time.
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
        }
        self._engine: Any = vendor.RapidOCR(params=parameters)
        # RapidOCR adds a handler to its logger, and reports every empty page.
        logger = logging.getLogger("RapidOCR")
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL)

    def find(self, pixels: Pixels) -> tuple[Corners, list[Pixels]]:
        """Find text lines.

        Returns:
            Corners, shape ``[lines, 4, 2]``, clockwise from the top left; and the picture of each
            line, turned so that it is wider than high.

        Raises:
            PageRenderFailed: the library fails on this picture.
        """
        pixels = np.ascontiguousarray(_widen_strip(pixels)[:, :, ::-1])
        small = self._cv2.resize(
            pixels, None, fx=_FIND, fy=_FIND, interpolation=self._cv2.INTER_AREA
        )
        scaled, record = self._engine.preprocess_img(small)
        try:
            _, found = self._engine.detect_and_crop(scaled, record)
            corners = self._image_tools.map_boxes_to_original(found.boxes, record, *small.shape[:2])
            corners = (corners / _FIND).astype(np.float32)
            return corners, self._engine.crop_text_regions(pixels, corners)
        except self._main.RapidOCRError:  # raised when there is no text
            return np.zeros((0, 4, 2), dtype=np.float32), []
        except self._cv2.error as error:
            raise PageRenderFailed(f"OCR failed on this picture: {error}") from error

    def read(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Return text and score (0 to 1) of each line that :meth:`find` cut out.

        Raises:
            PageRenderFailed: the library fails on one of them.
        """
        if not crops:
            return []
        try:
            result = self._engine.recognize_txt(list(crops))
        except (self._main.RapidOCRError, self._cv2.error) as error:
            raise PageRenderFailed(f"OCR failed on a line of this picture: {error}") from error
        return [(t.strip(), float(s)) for t, s in zip(result.txts, result.scores, strict=True)]


def _widen_strip(pixels: Pixels) -> Pixels:
    # RapidOCR scales a short side below 30 pixels up to 30 and the long side with it: a strip of
    # 5 x 20,000 pixels would become 120,000 pixels long.
    height, width = pixels.shape[:2]
    least = max(height, width) // _THINNEST
    missing = max(0, least - height), max(0, least - width)
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), constant_values=255)


def lines_of(corners: Corners, readings: Sequence[tuple[str, float]]) -> list[OcrLine]:
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
