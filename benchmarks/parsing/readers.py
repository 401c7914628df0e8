"""The two parsers of the comparison, each in a process of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

__all__ = ["Read", "Reader"]


@dataclass(frozen=True)
class Read:
    """A file as one parser read it.

    Attributes:
        seconds: wall time.
        cpu: processor time of the process, in seconds.
        text: the Markdown.
        pages: pages read.
        failed: pages that failed.
        blocks: number of blocks; 0 for pymupdf4llm.
    """

    seconds: float
    cpu: float
    text: str
    pages: int
    failed: int = 0
    blocks: int = 0


class Reader:
    """A parser in a process of its own; ``name`` is ``"ours"`` or ``"theirs"``."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, theirs), daemon=True)
        self._process.start()

    def read(self, file: Path) -> Read:
        """Read all pages of a file."""
        self._pipe.send(file)
        answer: Read = self._pipe.recv()
        return answer

    def close(self) -> float:
        """End the process. Returns its peak memory in MB."""
        self._pipe.send(None)
        peak: float = self._pipe.recv()
        self._process.join()
        return peak


def _serve(name: str, pipe: Connection) -> None:
    read = {"ours": _ours, "theirs": _theirs}[name]()
    next(read)
    while (file := pipe.recv()) is not None:
        pipe.send(read.send(file))
        next(read)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _ours() -> Iterator[Read]:
    from opticalrag.ingest.core.records import PageFailure
    from opticalrag.ingest.documents.pages import open_document
    from opticalrag.ingest.engines.layout import LayoutEngine
    from opticalrag.ingest.markdown.render import page_markdown

    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    engine = LayoutEngine()
    while True:
        file = yield
        wall, cpu = time.perf_counter(), time.process_time()
        with open_document(file) as document:
            outcomes = list(engine.parse(document.tasks()))
        pages = [o for o in outcomes if not isinstance(o, PageFailure)]
        text = "\n\n".join(page_markdown(page).text for page in pages)
        yield Read(
            time.perf_counter() - wall,
            time.process_time() - cpu,
            text,
            len(pages),
            len(outcomes) - len(pages),
            sum(len(page.blocks) for page in pages),
        )


def _theirs() -> Iterator[Read]:
    import pymupdf
    import pymupdf4llm

    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    pymupdf.set_messages(path=os.devnull)  # it reports every page it reads
    while True:
        file = yield
        wall, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()), pymupdf.open(file) as document:
            text = str(pymupdf4llm.to_markdown(document))
            pages = len(document)
        yield Read(time.perf_counter() - wall, time.process_time() - cpu, text, pages)
