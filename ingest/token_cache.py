"""Vision tokens of pages, kept so that a page can be decoded again without being seen again.

Files are named by what they were made from (:class:`.token_file.TokenKey`): another mode, model,
drawing or preprocessing is another file, never a wrong one. An SQLite index knows sizes, last
use, and which page of which document a file is of. Any number of threads and processes may use
one cache.

Vision tokens hold the text of their page: protect the folder like the documents.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .blobs import open_blobs
from .closing import Closeable
from .config import TokenCacheConfig
from .errors import CacheCorrupt, CacheMiss
from .modes import MODES
from .token_file import TokenKey, decode_tokens, encode_tokens, read_about
from .token_index import Entry, StoredPage, TokenIndex, Totals
from .types import PageRef
from .vision import VisionTokens

__all__ = ["Check", "TokenCache"]

_log = logging.getLogger(__name__)

_INDEX: Final = "index.sqlite"
_TOUCH_EVERY: Final = 60.0  # seconds; finer grain would cost a write per read
_ABANDONED: Final = 3600.0  # seconds after which an announced write has died


@dataclass(frozen=True, slots=True)
class Check:
    """What :meth:`TokenCache.verify` found. Damaged, missing and unknown entries are gone now."""

    entries: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    adopted: tuple[str, ...]


class TokenCache(Closeable):
    """Keeps vision tokens in a folder, or in a bucket with an index on this machine.

    Args:
        config: where, how much, by which codec.
        index: folder of the index; None for the cache's own, or one in the user's cache
            directory for a bucket.

    Raises:
        CacheError: the place cannot be used.
    """

    def __init__(
        self, config: TokenCacheConfig | None = None, *, index: Path | None = None
    ) -> None:
        self.config = config or TokenCacheConfig()
        folder = index or _index_folder(self.config.location)
        self._blobs = open_blobs(self.config.location, Path(self.config.location))
        self._index = TokenIndex(folder / _INDEX)
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()
        self._settle()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    # -- keeping --------------------------------------------------------------------------

    def find(self, key: TokenKey) -> VisionTokens | None:
        """The tokens made from exactly this, or None.

        A damaged entry is removed with a warning, as if it had never been kept.

        Raises:
            CacheError: the cache cannot be read.
        """
        name = key.digest
        data = self._read(name)
        if data is None:
            return None
        try:
            tokens = decode_tokens(data, key)
        except CacheCorrupt as error:
            self._discard(name, error)
            return None
        if self._index.has(name):
            self._touch(name)
        else:  # written by another machine, or its record was lost with the power
            self._index.add(_entry(name, data), None, self._blobs.has)
        return tokens

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Keep tokens and the page they are of; when this returns they are kept for good.

        Raises:
            CacheError: no room, or a place that cannot be written.
        """
        name = key.digest
        if self._index.is_linked(name, ref):
            return
        if self._index.has(name):
            self._index.link(name, ref)
            return
        self._keep(name, encode_tokens(key, tokens, self.config.codec), ref)
        self._remove(self._index.oldest_above(self.config.quota))

    def load(
        self, document: str, page: int, *, weights: str | None = None, mode: str | None = None
    ) -> VisionTokens:
        """The tokens of a page, whatever it looks like now.

        Args:
            document: id, path or file name.
            page: 0-based.
            weights: only those of this model.
            mode: only those of this mode; None for the widest there are.

        Raises:
            CacheMiss: there are none (any more).
            CacheError: the cache cannot be read.
        """
        for stored in self.candidates(document, page, weights=weights, mode=mode):
            data = self._read(stored.name)
            if data is None:
                continue
            try:
                tokens = decode_tokens(data)
            except CacheCorrupt as error:
                self._discard(stored.name, error)
                continue
            self._touch(stored.name)
            return tokens
        asked = "" if mode is None else f" in mode {mode}"
        raise CacheMiss(
            f"no vision tokens of page {page + 1} of {document}{asked} are kept for this model"
        )

    def candidates(
        self, document: str, page: int, *, weights: str | None = None, mode: str | None = None
    ) -> list[StoredPage]:
        """Entries of a page, the widest first; arguments as of :meth:`load`.

        Raises:
            CacheMiss: the name fits several documents.
        """
        every = self._index.pages(document)
        ids = {stored.document for stored in every}
        if len(ids) > 1:
            raise CacheMiss(
                f"{document!r} names {len(ids)} documents: give the path"
                f" ({', '.join(sorted({s.uri or s.document for s in every})[:3])})"
            )
        fitting = [
            stored
            for stored in every
            if stored.page == page
            and weights in (None, stored.weights)
            and mode in (None, stored.mode)
        ]
        return sorted(fitting, key=lambda s: (_width(s.mode), s.accessed), reverse=True)

    # -- looking after --------------------------------------------------------------------

    def pages(self, document: str | None = None) -> list[StoredPage]:
        """What is kept, by document and page; ``document`` is an id, path or file name."""
        return self._index.pages(document)

    def totals(self) -> Totals:
        """Sums over everything."""
        return self._index.totals()

    def pin(self, document: str, pinned: bool = True) -> int:
        """Keep a document's tokens whatever the quota, or no longer; how many entries it has."""
        names = sorted({stored.name for stored in self._index.pages(document)})
        self._index.pin(names, pinned)
        return len(names)

    def collect(self, quota: int | None = None) -> int:
        """Remove what was used least recently until at most ``quota`` bytes are left.

        Also removes what writers that died left behind.

        Returns:
            How many entries were removed.
        """
        self._settle()
        names = self._index.oldest_above(self.config.quota if quota is None else quota)
        self._remove(names)
        return len(names)

    def verify(self) -> Check:
        """Read every entry; drop the damaged and the missing, adopt the unknown."""
        known, there = self._index.names(), set(self._blobs.names())
        damaged = {name for name in sorted(there) if not self._is_whole(name)}
        missing = known - there
        adopted = there - known - damaged
        for name in adopted:
            data = self._read(name)
            if data is not None:
                self._index.add(_entry(name, data), None, self._blobs.has)
        self._index.remove_if(sorted(damaged | missing), self._blobs.delete, self._is_broken)
        return Check(len(there), *(tuple(sorted(s)) for s in (damaged, missing, adopted)))

    def read_file(self, name: str) -> bytes:
        """The file of an entry as it is.

        Raises:
            CacheMiss: there is none.
        """
        return self._blobs.get(name)

    def add_file(self, name: str, data: bytes, ref: PageRef) -> None:
        """Keep the file of an entry that another cache wrote.

        Raises:
            CacheCorrupt: it is damaged, or not what its name says.
            CacheError: no room, or a place that cannot be written.
        """
        about = read_about(data)
        if about.key.digest != name:
            raise CacheCorrupt(f"the file {name[:12]} holds the tokens of {about.key.digest[:12]}")
        decode_tokens(data)
        self._keep(name, data, ref)

    # -- inside ---------------------------------------------------------------------------

    def _read(self, name: str) -> bytes | None:
        try:
            return self._blobs.get(name)
        except CacheMiss:
            if self._index.has(name) and not self._blobs.has(name):
                _log.warning("the vision tokens %s are gone; they will be made again", name[:12])
                self._index.remove_if([name], self._blobs.delete, self._is_gone)
            return None

    def _is_gone(self, name: str) -> bool:
        return not self._blobs.has(name)

    def _is_whole(self, name: str) -> bool:
        try:
            data = self._blobs.get(name)
            return read_about(data).key.digest == name and bool(decode_tokens(data))
        except CacheMiss:
            return False
        except CacheCorrupt as error:
            _log.warning("the vision tokens %s are damaged: %s", name[:12], error)
            return False

    def _is_broken(self, name: str) -> bool:
        return not self._is_whole(name)

    def _discard(self, name: str, error: CacheCorrupt) -> None:
        _log.warning("the vision tokens %s will be made again: %s", name[:12], error)
        self._index.remove_if([name], self._blobs.delete, self._is_broken)

    def _keep(self, name: str, data: bytes, ref: PageRef) -> None:
        self._index.announce([name], "write")
        self._blobs.put(name, data)
        while not self._index.add(_entry(name, data), ref, self._blobs.has):
            self._blobs.put(name, data)  # another process removed an older one meanwhile

    def _remove(self, names: Sequence[str]) -> None:
        if names:
            self._index.remove(names, self._blobs.delete)

    def _touch(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._used.get(name, -_TOUCH_EVERY) < _TOUCH_EVERY:
                return
            self._used[name] = now
        self._index.touch([name])

    def _settle(self) -> None:
        """Finish or undo what processes that died had announced."""
        self._blobs.sweep()
        for pending in self._index.pending():
            if pending.action == "remove":
                self._remove([pending.name])
                continue
            if self._is_whole(pending.name):
                data = self._blobs.get(pending.name)
                self._index.add(_entry(pending.name, data), None, self._blobs.has)
            elif time.time() - pending.since > _ABANDONED:
                self._index.done([pending.name])


def _entry(name: str, data: bytes) -> Entry:
    about = read_about(data)
    return Entry(name, len(data), about.key.mode, about.key.weights, about.codec)


def _width(mode: str) -> int:
    """Vision tokens of a mode at their most; unknown modes last."""
    found = MODES.get(mode)
    return found.base_size**2 + found.max_tiles * found.tile_size**2 if found else 0


def _index_folder(location: str) -> Path:
    if "://" not in location:
        return Path(location)
    from platformdirs import user_cache_path

    return user_cache_path("opticalrag") / hashlib.sha256(location.encode()).hexdigest()[:16]
