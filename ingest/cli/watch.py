"""What ``ingest --watch`` does: ingest a folder's new and changed files until told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from ..core.config import SourceConfig
from ..core.errors import ConfigError, StoreUnavailable
from .console import note_failures, notes

if TYPE_CHECKING:
    from ..pipeline.pipeline import IngestPipeline

__all__ = ["WATCH_WAIT", "stop_on_signals", "watch_folder", "watched_folder"]

WATCH_WAIT: Final = 60.0
"""Seconds to wait for a busy store: without waiting, each look would report an error."""


def watched_folder(paths: Sequence[str], of_one_run: Mapping[str, object]) -> Path:
    """The folder to watch.

    Args:
        paths: what to ingest; must be one folder.
        of_one_run: values of the options that make sense for a single run only, by name.

    Raises:
        ConfigError: there is another path, or one of the options is set.
    """
    given = [name for name, value in of_one_run.items() if value]
    if given:
        raise ConfigError(f"--watch cannot be combined with {', '.join(given)}")
    if len(paths) != 1 or not Path(paths[0]).is_dir():
        raise ConfigError(f"{', '.join(paths)} is not a folder: --watch takes one existing folder")
    return Path(paths[0])


def watch_folder(
    folder: Path,
    interval: float,
    open_pipeline: Callable[[], AbstractContextManager[IngestPipeline]],
    source: SourceConfig,
) -> None:
    """Look at a folder every ``interval`` seconds until SIGINT or SIGTERM.

    A file that does not change between two looks is complete and is ingested. A file that failed is
    tried again when it changes.
    """
    from ..pipeline.watching import FolderWatch, watch

    def ingest(files: Iterator[Path]) -> None:
        with open_pipeline() as pipeline:
            report = pipeline.run(files, source)
        note_failures(report.failures)
        if report.interrupted:  # an error, so that the next look tries the same files again
            raise StoreUnavailable("the store does not answer; the next look tries again")

    stop = stop_on_signals()
    # Half an interval: a file that did not change since the last look is older.
    for cycle in watch(folder, FolderWatch(interval / 2), ingest, stop, interval):
        outcome = f"error: {cycle.error}" if cycle.error else f"{cycle.begun} ingested"
        line = f"look {cycle.number}: {cycle.seen} files, {outcome}"
        notes.print(line, markup=False, soft_wrap=True)
    notes.print("stopped", markup=False)


def stop_on_signals() -> Event:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the command at once."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(*_: object) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, on_signal)
    return stop
