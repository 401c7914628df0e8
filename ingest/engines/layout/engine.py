"""The CPU page engine. Parses pages in this process or in workers; a bad page fails alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import pymupdf
from onnxruntime.capi import onnxruntime_pybind11_state as onnx

from ...core.config import LayoutConfig, WorkLimits
from ...core.errors import OpticalRagError, PageRenderFailed
from ...core.records import PageFailure, PageOutcome, PageTask
from ...documents.opening import reading
from ...system.workers import WorkerCrash, WorkerPool
from .page import ENGINE, parse_page

__all__ = ["LayoutEngine"]

VERSION: Final = 4
"""Increase this when a change of this package's own code may change how a page is read."""

_QUOTING: Final = (ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""Errors whose messages quote the offending value. That value may be text of the page, and failure
messages are logged."""
_OTHERS: Final = (RuntimeError, ArithmeticError, MemoryError, OSError, pymupdf.mupdf.FzErrorBase)
_ONNX: Final = (onnx.Fail, onnx.InvalidArgument, onnx.InvalidGraph, onnx.RuntimeException)
_VENDOR_ERRORS: Final = (*_QUOTING, *_OTHERS, *_ONNX)
"""Errors that PyMuPDF, its models and RapidOCR raise, or may raise, on damaged pages."""


class LayoutEngine:
    """Reads pages with the text layer, PyMuPDF's layout model and RapidOCR.

    Args:
        config: options.
        workers: number of worker processes. With 1 and no ``limits``, pages are parsed in this
            process. Workers live until :meth:`close`, so pass the pages of many documents in one
            stream.
        limits: time and memory a process may spend on a page.
    """

    def __init__(
        self,
        config: LayoutConfig | None = None,
        *,
        workers: int = 1,
        limits: WorkLimits | None = None,
    ) -> None:
        self._config = config or LayoutConfig()
        self._pool = WorkerPool(workers, limits)
        # Threads of several processes would compete for the same cores.
        self._threads = 1 if workers > 1 else 0

    @property
    def name(self) -> str:
        """``"layout"``."""
        return ENGINE

    @property
    def fingerprint(self) -> str:
        """Versions and options that determine the output."""
        versions = [f"{name}={_version(name)}" for name in ("pymupdf", "rapidocr")]
        options = ",".join(map(str, astuple(self._config)))
        return f"{ENGINE}/{VERSION}:{':'.join(versions)}:{options}"

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead a bounded number of tasks."""
        function = partial(_parse_task, config=self._config, threads=self._threads)
        for outcome in self._pool.map(function, tasks):
            if isinstance(outcome, WorkerCrash):
                yield _failure(outcome.item, outcome.code, outcome.reason)
            else:
                yield outcome

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()


def _parse_task(task: PageTask, config: LayoutConfig, threads: int) -> PageOutcome:
    try:
        with reading(task.source) as document:
            return parse_page(document, task.ref, config, threads)
    except OpticalRagError as error:
        return _failure(task, error.code, str(error))
    except _VENDOR_ERRORS as error:
        name = type(error).__name__
        reason = name if isinstance(error, _QUOTING) else " ".join(f"{name}: {error}".split())
        return _failure(task, PageRenderFailed.code, reason)


def _failure(task: PageTask, code: str, reason: str) -> PageFailure:
    message = f"page {task.ref.number} of {task.ref.document.name} cannot be parsed: {reason}"
    return PageFailure.of(task.ref, code, message)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
