"""Engines that read the text layer: in this process, or in workers that may be killed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from opticalrag.ingest.core.config import WorkLimits
from opticalrag.ingest.core.records import (
    Block,
    BlockKind,
    Box,
    PageFailure,
    PageOutcome,
    PageTask,
    ParsedPage,
)
from opticalrag.ingest.documents.opening import load
from opticalrag.ingest.system.workers import WorkerCrash, WorkerPool

WORKERS: Final = 2
_SECONDS: Final = 0.02  # per page in a worker, so that it can be killed in the middle of one


class TextEngine:
    """Reads the text layer in this process.

    Args:
        log: a file that gets a line for each page that was read.
    """

    name = "text"
    fingerprint = "text/1"

    def __init__(self, log: Path | None = None) -> None:
        self._log = log

    def close(self) -> None:
        """Nothing to give back."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for task in tasks:
            read = _read(task)
            if self._log is not None:
                document = task.ref.document
                note(self._log, document.sha256, task.ref.index)
            yield read


class PooledTextEngine(TextEngine):
    """Reads the text layer in two worker processes with limits, as the CPU engine does.

    Args:
        log: a file that gets a line for each page that was begun.
    """

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self._pool = WorkerPool(WORKERS, WorkLimits(seconds=60.0))
        self._function = partial(_read_slowly, log=log)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for outcome in self._pool.map(self._function, tasks):
            if isinstance(outcome, WorkerCrash):
                ref = outcome.item.ref
                yield PageFailure.of(ref, outcome.code, outcome.reason)
            else:
                yield outcome


def note(log: Path, *words: object) -> None:
    """Append a line to a file that several processes write to."""
    with log.open("a") as file:
        file.write(":".join(map(str, words)) + "\n")


def _read_slowly(task: PageTask, log: Path) -> ParsedPage:
    document = task.ref.document
    note(log, "begun", document.id, document.sha256, task.ref.index)
    time.sleep(_SECONDS)
    return _read(task)


def _read(task: PageTask) -> ParsedPage:
    page = load(task.source)[task.ref.index]
    lines = [block[4].strip() for block in page.get_text("blocks")]
    blocks = [Block(BlockKind.TEXT, Box(0.1, 0.1, 0.9, 0.2), line) for line in lines]
    return ParsedPage(task.ref, 595.0, 842.0, tuple(blocks), engine="text")
