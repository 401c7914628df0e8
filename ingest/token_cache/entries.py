"""Files of vision tokens and the index of them, kept in agreement whoever dies or interferes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from ..core.errors import CacheCorrupt, CacheError, CacheFull, CacheMiss
from ..core.records import PageRef
from .blobs import BlobStore
from .file import decode_file, read_about
from .index import Entry, TokenIndex

__all__ = ["Check", "Entries", "best_effort"]

_log = logging.getLogger(__name__)

_TRIES: Final = 20  # writes of an entry that others remove at once
_ABANDONED: Final = 3600.0  # seconds after which an announced write has died

State = Literal["whole", "missing", "damaged", "unreadable"]


@dataclass(frozen=True, slots=True)
class Check:
    """What :meth:`Entries.verify` found.

    Damaged and missing entries are gone now, and unknown ones adopted; those that the disk or
    bucket does not give out are left as they are.
    """

    entries: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    adopted: tuple[str, ...]
    unreadable: tuple[str, ...]


class Entries:
    """What happens to files and index together.

    Args:
        blobs: the files.
        index: of them.
    """

    def __init__(self, blobs: BlobStore, index: TokenIndex) -> None:
        self._blobs = blobs
        self._index = index

    def read(self, name: str) -> bytes | None:
        """The file of an entry, or None; a record without a file is dropped.

        Raises:
            CacheError: it cannot be read.
        """
        try:
            return self._blobs.get(name)
        except CacheMiss:
            if self._index.codec(name) is not None:
                _log.warning("the vision tokens %s are gone; they will be made again", name[:12])
                with best_effort(f"the record of {name[:12]} stays"):
                    self._index.remove_if([name], self._blobs.delete, self._is_gone)
            return None

    def keep(self, name: str, data: bytes, ref: PageRef) -> None:
        """Write a file and record it; when this returns it is kept for good.

        Raises:
            CacheError: no room, or a place that cannot be written.
        """
        for _ in range(_TRIES):  # another process may remove an older one meanwhile
            self._index.announce([name], "write")
            self._blobs.put(name, data)
            if self._index.add(_entry(name, data), ref, self._blobs.has):
                return
        raise CacheError(
            f"the vision tokens {name[:12]} were written {_TRIES} times and are not there; see"
            " whether the place keeps what is written to it"
        )

    def has(self, name: str) -> bool:
        """Whether the file of an entry is there."""
        return self._blobs.has(name)

    def link(self, name: str, ref: PageRef) -> bool:
        """Record that an entry is of a page, too; whether there is such an entry."""
        if self._index.is_linked(name, ref):
            return self._blobs.has(name)
        return self._blobs.has(name) and self._index.link(name, ref)

    def record(self, name: str, data: bytes) -> None:
        """Record a file that is there already."""
        self._index.add(_entry(name, data), None, self._blobs.has)

    def remove(self, names: Sequence[str]) -> None:
        """Remove entries.

        On a full disk the index cannot even say what is to go. Then files go first, one by one,
        until it can: a record without a file is a miss, and dropped here a moment later.

        Raises:
            CacheError: they cannot be removed.
        """
        for name in names:
            if self._found_room_to_remove(names):
                return
            self._blobs.delete(name)
        if names:
            self._index.remove(names, self._blobs.delete)

    def _found_room_to_remove(self, names: Sequence[str]) -> bool:
        try:
            self._index.remove(names, self._blobs.delete)
        except CacheFull:
            return False
        return True

    def discard(self, name: str, error: CacheCorrupt) -> None:
        """Remove an entry that was found damaged, if it still is."""
        _log.warning("the vision tokens %s will be made again: %s", name[:12], error)
        with best_effort(f"the damaged entry {name[:12]} stays"):
            self._index.remove_if([name], self._blobs.delete, self._is_damaged)

    def verify(self) -> Check:
        """Read every entry; drop the damaged and the missing, adopt the unknown."""
        known, there = self._index.names(), sorted(self._blobs.names())
        states = {name: self._state(name) for name in there}
        damaged, unreadable, whole = (
            {name for name in there if states[name] == state}
            for state in ("damaged", "unreadable", "whole")
        )
        missing = known.difference(there)
        for name in whole - known:
            self._adopt(name)
        self._index.remove_if(sorted(damaged), self._blobs.delete, self._is_damaged)
        self._index.remove_if(sorted(missing), self._blobs.delete, self._is_gone)
        found = (damaged, missing, whole - known, unreadable)
        return Check(len(there), *(tuple(sorted(names)) for names in found))

    def settle(self) -> None:
        """Finish or undo what processes that died had announced, as far as that is possible."""
        self._blobs.sweep()
        for pending in self._index.pending():
            with best_effort(f"what was begun with {pending.name[:12]} stays unfinished"):
                if pending.action == "remove":
                    self._index.remove([pending.name], self._blobs.delete)
                elif self._state(pending.name) == "whole":
                    self._adopt(pending.name)
                elif time.time() - pending.since > _ABANDONED:
                    self._index.done([pending.name])

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
            _log.warning("the vision tokens %s cannot be read: %s", name[:12], error)
            return "unreadable"
        return "whole"

    def _is_damaged(self, name: str) -> bool:
        return self._state(name) == "damaged"

    def _is_gone(self, name: str) -> bool:
        return not self._blobs.has(name)


@contextmanager
def best_effort(otherwise: str) -> Iterator[None]:
    """Go on if the body fails: reading must not depend on what can be written.

    Args:
        otherwise: what is the case then, for the log.
    """
    try:
        yield
    except CacheError as error:
        _log.info("%s: %s", otherwise, error)


def _check(name: str, data: bytes) -> None:
    _, about = decode_file(data)
    if about.key.digest != name:
        raise CacheCorrupt(f"the file {name[:12]} holds the tokens of {about.key.digest[:12]}")


def _entry(name: str, data: bytes) -> Entry:
    about = read_about(data)
    return Entry(name, len(data), about.key.mode, about.key.weights, about.codec)
