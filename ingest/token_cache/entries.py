"""Keeps the files of a cache and its index consistent, despite crashes and other processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

from ..core.errors import CacheCorrupt, CacheError, CacheFull, CacheMiss
from ..core.records import PageRef
from .blobs import BlobStore
from .file import decode_file, read_header
from .index import Entry, TokenIndex

__all__ = ["Entries", "VerifyReport", "best_effort"]

_log = logging.getLogger(__name__)

_TRIES: Final = 20  # writes of an entry that other processes remove at once
_ABANDONED: Final = 3600.0  # seconds after which the process behind an announced write is dead

State = Literal["whole", "missing", "damaged", "unreadable"]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of :meth:`Entries.verify`.

    Attributes:
        entries: number of files read.
        damaged: entries whose file was damaged; they are removed.
        missing: recorded entries without a file; their records are removed.
        adopted: files without a record; they are recorded now.
        unreadable: entries whose file the disk or bucket does not return; they stay.
    """

    entries: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    adopted: tuple[str, ...]
    unreadable: tuple[str, ...]


class Entries:
    """Operations that change both the files and their index."""

    def __init__(self, blobs: BlobStore, index: TokenIndex) -> None:
        self._blobs = blobs
        self._index = index

    def read(self, name: str) -> bytes | None:
        """Return the file of an entry, or None; drop a record without a file.

        Raises:
            CacheError: the file cannot be read.
        """
        try:
            return self._blobs.get(name)
        except CacheMiss:
            if self._index.codec(name) is not None:
                _log.warning("the vision tokens %s are gone; they will be made again", name[:12])
                with best_effort(f"the record of {name[:12]} stays"):
                    self._index.remove_if([name], self._blobs.delete, self._is_gone)
            return None

    def write(self, name: str, data: bytes, ref: PageRef) -> None:
        """Write a file and record it; the entry is durable when this returns.

        Raises:
            CacheError: the disk is full, or the location is not writable.
        """
        for _ in range(_TRIES):  # another process may remove an older entry of this name
            self._index.announce([name], "write")
            self._blobs.put(name, data)
            if self._index.add(_entry(name, data), ref, self._blobs.has):
                return
        raise CacheError(
            f"wrote the vision tokens {name[:12]} {_TRIES} times, but they are not there; check"
            " whether the location keeps files"
        )

    def has(self, name: str) -> bool:
        """Whether the file of an entry exists."""
        return self._blobs.has(name)

    def link(self, name: str, ref: PageRef) -> bool:
        """Record that an entry belongs to a page, too; False if there is no such entry."""
        if not self._blobs.has(name):
            return False
        return self._index.is_linked(name, ref) or self._index.link(name, ref)

    def record(self, name: str, data: bytes) -> None:
        """Record an existing file."""
        self._index.add(_entry(name, data), None, self._blobs.has)

    def remove(self, names: Sequence[str]) -> None:
        """Remove entries.

        A full disk may have no room even for announcing the removal. Then this deletes files one
        by one until the index can be written: a record without a file is a miss, and its removal
        follows at once.

        Raises:
            CacheError: the entries cannot be removed.
        """
        for name in names:
            with suppress(CacheFull):
                self._index.remove(names, self._blobs.delete)
                return
            self._blobs.delete(name)
        if names:
            self._index.remove(names, self._blobs.delete)

    def discard(self, name: str, error: CacheCorrupt) -> None:
        """Remove an entry that was read as damaged, if it still is."""
        _log.warning("the vision tokens %s will be made again: %s", name[:12], error)
        with best_effort(f"the damaged entry {name[:12]} stays"):
            self._index.remove_if([name], self._blobs.delete, self._is_damaged)

    def verify(self) -> VerifyReport:
        """Read every entry; remove the damaged and missing ones, record the unknown ones."""
        recorded, found = self._index.names(), sorted(self._blobs.names())
        states = {name: self._state(name) for name in found}
        damaged, unreadable, whole = (
            {name for name in found if states[name] == state}
            for state in ("damaged", "unreadable", "whole")
        )
        missing, unknown = recorded.difference(found), whole - recorded
        for name in unknown:
            self._adopt(name)
        self._index.remove_if(sorted(damaged), self._blobs.delete, self._is_damaged)
        self._index.remove_if(sorted(missing), self._blobs.delete, self._is_gone)
        names = (damaged, missing, unknown, unreadable)
        return VerifyReport(len(found), *(tuple(sorted(one)) for one in names))

    def recover(self) -> None:
        """Finish or undo the writes and removals that dead processes had announced."""
        self._blobs.remove_unfinished()
        for name, action, since in self._index.pending():
            with best_effort(f"the {action} of {name[:12]} stays pending"):
                if action == "remove":
                    self._index.remove([name], self._blobs.delete)
                elif self._state(name) == "whole":
                    self._adopt(name)
                elif time.time() - since > _ABANDONED:
                    self._index.drop_pending(name)

    def _adopt(self, name: str) -> None:
        data = self.read(name)
        if data is not None:
            self.record(name, data)

    def _state(self, name: str) -> State:
        try:
            _check(name, self._blobs.get(name))
        except CacheMiss:
            return "missing"
        except CacheCorrupt as error:
            _log.warning("the vision tokens %s are damaged: %s", name[:12], error)
            return "damaged"
        except CacheError as error:
            _log.warning("cannot read the vision tokens %s: %s", name[:12], error)
            return "unreadable"
        return "whole"

    def _is_damaged(self, name: str) -> bool:
        return self._state(name) == "damaged"

    def _is_gone(self, name: str) -> bool:
        return not self._blobs.has(name)


@contextmanager
def best_effort(consequence: str) -> Iterator[None]:
    """Log an error of the body and its consequence: reading must not depend on writing."""
    try:
        yield
    except CacheError as error:
        _log.info("%s: %s", consequence, error)


def _check(name: str, data: bytes) -> None:
    _, header = decode_file(data)
    if header.key.digest != name:
        raise CacheCorrupt(f"the file {name[:12]} holds the tokens of {header.key.digest[:12]}")


def _entry(name: str, data: bytes) -> Entry:
    header = read_header(data)
    return Entry(name, len(data), header.key.mode, header.key.weights, header.codec)
