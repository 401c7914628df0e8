"""Writes documents in a thread of its own, while the pages of later documents are parsed.

One thread: documents are written in order, and the store has one writer.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ..markdown.render import PageMarkdown
from ..system.closeable import Closeable
from .planner import Edition
from .writer import DocumentWriter

__all__ = ["BackgroundWriter", "Writing"]

_MOST_WAITING: Final = 64 * 1024**2
"""Bytes of pages that may wait to be written. A book of 1,000 full pages takes 10 MB."""
_BLOCK_BYTES: Final = 400
"""Memory of a block with its box, measured with tracemalloc on the pages of the sample report."""
_EDGE_BYTES: Final = 32  # a float and the reference to it


@dataclass(frozen=True, slots=True, eq=False)
class Writing:
    """A document that is being written, or waits to be.

    ``failed`` counts its failed pages. ``size`` is roughly the memory of its pages, in bytes.
    """

    edition: Edition
    failed: int
    size: int
    future: Future[Counter[str]]


class BackgroundWriter(Closeable):
    """Writes documents in the order they are submitted. Its methods are for one thread only."""

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="opticalrag-writer")
        self._queue: deque[Writing] = deque()

    def submit(self, edition: Edition, pages: list[PageMarkdown], failed: int) -> None:
        """Hand over a document for :meth:`.DocumentWriter.write`, which empties ``pages``."""
        size = sum(map(_size, pages))
        future = self._thread.submit(self._writer.write, edition, pages, failed)
        self._queue.append(Writing(edition, failed, size, future))

    def settled(self, *, everything: bool = False) -> Iterator[Writing]:
        """Yield what is written. Waits while too much is not, or until everything is."""
        waiting = sum(writing.size for writing in self._queue)
        while self._queue:
            first = self._queue[0]
            if not (everything or waiting > _MOST_WAITING or first.future.done()):
                return
            waiting -= first.size
            yield self._queue.popleft()

    def finished(self) -> Iterator[Counter[str]]:
        """After :meth:`close`: yield what was done by writes that :meth:`settled` did not yield."""
        for writing in self._queue:
            future = writing.future
            if not future.cancelled() and future.exception() is None:
                yield future.result()

    def close(self) -> None:
        """Cancel what is not written yet, after the points that are on their way."""
        self._writer.stop()
        self._thread.shutdown(cancel_futures=True)


def _size(page: PageMarkdown) -> int:
    """Estimate the bytes of memory that a page takes."""
    texts = sum(map(sys.getsizeof, (page.text, *page.furniture)))
    edges = sum(len(block.row_edges) for block in page.blocks)
    return texts + _BLOCK_BYTES * len(page.blocks) + _EDGE_BYTES * edges
