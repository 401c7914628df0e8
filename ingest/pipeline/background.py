"""Documents written in a thread of their own while pages of the next ones are parsed.

One thread: documents are written in their order, and the store has one writer.
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
from .intake import Draft
from .writer import DocumentWriter

__all__ = ["BackgroundWriter", "Writing"]

_MOST_WAITING: Final = 64 * 1024**2
"""Bytes of pages that may wait to be written. A book of 1,000 full pages has 10 MB."""
_OF_BLOCK: Final = 400
"""Bytes of a block with its box, as tracemalloc counts them for the sample report's pages."""
_OF_EDGE: Final = 32  # of a float and what refers to it


@dataclass(frozen=True, slots=True, eq=False)
class Writing:
    """A document that is being written; ``size`` in bytes."""

    draft: Draft
    size: int
    future: Future[Counter[str]]

    def result(self) -> Counter[str]:
        """Wait for it, and say what was done; raises what the writer raised."""
        return self.future.result()


class BackgroundWriter(Closeable):
    """Writes what it is given, in order. Its methods are for one thread, which is not the writer's.

    Args:
        writer: does the work.
    """

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="opticalrag-writer")
        self._queue: deque[Writing] = deque()

    def submit(self, draft: Draft) -> None:
        """Take a document whose pages are all there."""
        size = sum(map(_size, draft.pages))
        future = self._thread.submit(self._writer.write, draft)
        self._queue.append(Writing(draft, size, future))

    def settled(self, *, everything: bool = False) -> Iterator[Writing]:
        """Yield what is written; wait while too much is not, or until everything is."""
        waiting = sum(writing.size for writing in self._queue)
        while self._queue:
            first = self._queue[0]
            if not (everything or waiting > _MOST_WAITING or first.future.done()):
                return
            waiting -= first.size
            yield self._queue.popleft()

    def finished(self) -> Iterator[Counter[str]]:
        """What was done of that which nobody settled any more; for after it is closed."""
        for writing in self._queue:
            future = writing.future
            if not future.cancelled() and future.exception() is None:
                yield future.result()

    def close(self) -> None:
        """Give up what is not written, after the points that are just on their way."""
        self._writer.stop()
        self._thread.shutdown(cancel_futures=True)


def _size(page: PageMarkdown) -> int:
    """Bytes of memory that a page takes, about."""
    texts = sum(map(sys.getsizeof, (page.text, *page.furniture)))
    edges = sum(len(block.row_edges) for block in page.blocks)
    return texts + _OF_BLOCK * len(page.blocks) + _OF_EDGE * edges
