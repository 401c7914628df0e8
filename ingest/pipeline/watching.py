"""Folders looked at again and again: which files are new or changed and written to the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final

from ..core.errors import ConfigError, OpticalRagError, UnsupportedSource
from ..core.records import Stamp
from ..documents.sources import expand_sources

__all__ = ["Cycle", "FolderWatch", "look", "watch"]

_MOST_FILES: Final = 1000  # per cycle: what is done is stored before more is begun


@dataclass(slots=True)
class FolderWatch:
    """Which files are done, and since when those that are not have been as they are.

    ``settle`` is in seconds: a file is written to the end when it did not change for so long.
    """

    settle: float
    _since: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)
    _done: dict[Path, Stamp] = field(default_factory=dict)

    def due(self, files: Mapping[Path, Stamp], now: float) -> tuple[Path, ...]:
        """Files to ingest, of those that are there now; others are forgotten."""
        self._since = {
            file: self._since[file] if self._since.get(file, (None,))[0] == stamp else (stamp, now)
            for file, stamp in files.items()
        }
        self._done = {file: stamp for file, stamp in self._done.items() if file in files}
        return tuple(
            file
            for file, (stamp, since) in self._since.items()
            if now - since >= self.settle and self._done.get(file) != stamp
        )

    def did(self, file: Path) -> None:
        """A file was begun: it is left alone until it changes again, also if it failed."""
        self._done[file] = self._since[file][0]


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one look came to: files begun of those seen, or the error that ended it."""

    number: int
    seen: int
    begun: int
    error: OpticalRagError | OSError | None = None


def look(folder: Path) -> dict[Path, Stamp]:
    """The files of a folder that can be read, as they are now."""
    found: dict[Path, Stamp] = {}
    try:
        files = expand_sources([folder])
    except UnsupportedSource:  # empty, as it may be
        return found
    for file in files:
        try:
            stat = file.stat()
        except OSError:  # gone in between
            continue
        found[file] = (stat.st_mtime_ns, stat.st_size)
    return found


def watch(
    folder: Path,
    state: FolderWatch,
    ingest: Callable[[Iterator[Path]], None],
    stop: Event,
    interval: float,
) -> Iterator[Cycle]:
    """Look at a folder until told to stop, and yield what came of each look.

    Args:
        folder: is searched as for an ingest.
        state: what is known of its files.
        ingest: takes files and reads them one after the other. If it raises one of our errors,
            or one of the system, the files that it took are tried again; wrong options end it.
        stop: no file is begun after it is set.
        interval: seconds between two looks.
    """
    number = 0
    while not stop.is_set():
        number += 1
        files = look(folder)
        due = state.due(files, time.monotonic())
        begun: list[Path] = []
        error = _ingest(due, begun, ingest, stop) if due else None
        for file in () if error else begun:
            state.did(file)
        yield Cycle(number, len(files), len(begun), error)
        stop.wait(interval)


def _ingest(
    due: Sequence[Path],
    begun: list[Path],
    ingest: Callable[[Iterator[Path]], None],
    stop: Event,
) -> OpticalRagError | OSError | None:
    def until_stopped() -> Iterator[Path]:
        for file in islice(due, _MOST_FILES):
            if stop.is_set():
                return
            begun.append(file)
            yield file

    try:
        ingest(until_stopped())
    except ConfigError:  # no look that follows would find it otherwise
        raise
    except (OpticalRagError, OSError) as error:
        return error
    return None
