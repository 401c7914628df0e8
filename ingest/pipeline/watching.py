"""Watches a folder: finds files that are new or changed and no longer being written to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final

from ..core.errors import ConfigError, OpticalRagError, UnsupportedSource
from ..core.records import Stamp
from ..documents.sources import expand_sources

__all__ = ["Cycle", "FolderWatch", "look", "watch"]

_MOST_FILES: Final = 1000  # per cycle: these are stored before more files are begun


@dataclass(slots=True)
class FolderWatch:
    """Remembers which files of a folder are done, and since when the others are unchanged.

    A file that did not change for ``settle`` seconds is complete.
    """

    settle: float
    _since: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)
    _done: dict[Path, Stamp] = field(default_factory=dict)

    def due(self, files: Mapping[Path, Stamp], now: float) -> tuple[Path, ...]:
        """Choose the files to ingest among those present now, and forget all others."""
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

    def mark_done(self, file: Path) -> None:
        """Leave a file alone until it changes again, even if it failed."""
        self._done[file] = self._since[file][0]


@dataclass(frozen=True, slots=True)
class Cycle:
    """The result of one look at a folder, by counts of files; ``number`` counts looks from 1."""

    number: int
    seen: int
    begun: int
    error: OpticalRagError | OSError | None = None


def look(folder: Path) -> dict[Path, Stamp]:
    """List the readable files of a folder with their current stamps."""
    found: dict[Path, Stamp] = {}
    try:
        files = expand_sources([folder])
    except UnsupportedSource:  # an empty folder is fine
        return found
    for file in files:
        with suppress(OSError):  # deleted meanwhile
            stat = file.stat()
            found[file] = (stat.st_mtime_ns, stat.st_size)
    return found


def watch(
    folder: Path,
    state: FolderWatch,
    ingest: Callable[[Iterator[Path]], None],
    stop: Event,
    interval: float,
) -> Iterator[Cycle]:
    """Look at a folder again and again until ``stop`` is set; yield the result of each look.

    Args:
        folder: searched as for an ingest.
        state: remembers the folder's files.
        ingest: ingests files, taking them from the iterator one by one. After an
            OpticalRagError or OSError, the files that it took are tried again.
        stop: once set, no further file is begun.
        interval: seconds between two looks.

    Raises:
        ConfigError: ``ingest`` raised it: the options are wrong, so every look would fail.
    """
    number = 0
    while not stop.is_set():
        number += 1
        files = look(folder)
        due = state.due(files, time.monotonic())
        begun: list[Path] = []
        error = _ingest(due, begun, ingest, stop) if due else None
        for file in () if error else begun:
            state.mark_done(file)
        yield Cycle(number, len(files), len(begun), error)
        stop.wait(interval)


def _ingest(
    due: Sequence[Path], begun: list[Path], ingest: Callable[[Iterator[Path]], None], stop: Event
) -> OpticalRagError | OSError | None:
    def until_stopped() -> Iterator[Path]:
        for file in islice(due, _MOST_FILES):
            if stop.is_set():
                return
            begun.append(file)
            yield file

    try:
        ingest(until_stopped())
    except ConfigError:  # the next look would fail in the same way
        raise
    except (OpticalRagError, OSError) as error:
        return error
    return None
