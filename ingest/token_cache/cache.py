"""The cache of vision tokens: a page is decoded again without being rendered and encoded again.

A file's name is the hash of everything its tokens depend on (:class:`TokenKey`): page,
mode, model, rendering, preprocessing. A change of any of these makes another file, so a hit
is never stale. An SQLite index records sizes, times of last use, and the page and document of each
file. Any number of threads and processes may use one cache.

Vision tokens contain the text of their page: protect the folder like the documents.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Final

from ..core.config import TokenCacheConfig
from ..core.errors import CacheCorrupt, CacheMiss
from ..core.modes import MODES
from ..core.records import DocumentRef, PageRef
from ..core.vision import TokenKey, VisionTokens
from ..system.closeable import Closeable
from .blobs import open_blobs
from .codecs import is_lossier
from .entries import Entries, VerifyReport, best_effort
from .file import decode_file, decode_tokens, encode_tokens
from .index import StoredPage, TokenIndex, Totals
from .misses import TokenQuery, explain_miss

__all__ = ["TokenCache"]

_INDEX: Final = "index.sqlite"
_TOUCH_EVERY: Final = 60.0  # seconds; finer grain would cost a write per read


class TokenCache(Closeable):
    """Stores vision tokens in a folder, or in a bucket with an index on this machine.

    Args:
        config: location, quota and codec.
        index: folder of the index; None for the cache's own folder, or for a bucket a folder in
            the user's cache directory.

    Raises:
        CacheError: the location cannot be used.
    """

    def __init__(
        self, config: TokenCacheConfig | None = None, *, index: Path | None = None
    ) -> None:
        self.config = config or TokenCacheConfig()
        folder = index or _index_folder(self.config.location)
        blobs = open_blobs(self.config.location, Path(self.config.location))
        self._index = TokenIndex(folder / _INDEX)
        self._entries = Entries(blobs, self._index)
        self._touched: dict[str, float] = {}
        self._lock = threading.Lock()
        self._entries.recover()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def find(self, key: TokenKey) -> VisionTokens | None:
        """Return the tokens stored under this key, or None.

        An entry whose codec loses more than the cache's own codec is a miss. So is a damaged
        entry, which is removed with a warning.

        Raises:
            CacheError: the cache cannot be read.
        """
        name = key.digest
        data = self._entries.read(name)
        if data is None:
            return None
        try:
            tokens, header = decode_file(data, key)
        except CacheCorrupt as error:
            self._entries.discard(name, error)
            return None
        if self._index.codec(name) == header.codec:
            self._touch(name)
        else:  # another machine wrote the file, or a power cut undid its record
            with best_effort(f"{name[:12]} is not recorded"):
                self._entries.record(name, data)
        return None if is_lossier(header.codec, self.config.codec) else tokens

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Store the tokens of a page; they are durable when this returns.

        An entry that is at least as exact is not written again.

        Raises:
            CacheError: the disk is full, or the location is not writable.
        """
        name, codec = key.digest, self.config.codec
        stored = self._index.codec(name)
        if stored and not is_lossier(stored, codec) and self._entries.link(name, ref):
            return
        self._entries.write(name, encode_tokens(key, tokens, codec), ref)
        self._entries.remove(self._index.oldest_above(self.config.quota))

    def has_page(self, document: str, sha256: str, page: int) -> bool:
        """Whether tokens of a page are stored.

        Args:
            document: id of the document.
            sha256: hash of its file: the current content or an earlier one.
            page: 0-based.

        Raises:
            CacheError: the cache cannot be read.
        """
        return any(map(self._entries.has, self._index.names_of_page(document, sha256, page)))

    def link_page(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Record that the tokens of a page (see :meth:`has_page`) belong to an equal page, too.

        Returns whether the page has tokens.

        Raises:
            CacheError: the cache cannot be read or written.
        """
        names = self._index.names_of_page(document, sha256, page)
        linked = [name for name in names if self._entries.link(name, ref)]
        for name in linked:
            self._touch(name)
        return bool(linked)

    def load(
        self,
        document: str,
        page: int,
        *,
        weights: str | None = None,
        mode: str | None = None,
        sha256: str = "",
    ) -> VisionTokens:
        """Load the tokens of a page, whatever their codec.

        Args:
            document: id, path or file name.
            page: 0-based.
            weights: fingerprint of the model that must have made them; None for any.
            mode: name of the mode; None for the widest stored mode.
            sha256: hash of the file they must come from; empty for the file last stored.

        Raises:
            CacheMiss: no such tokens are stored, or several documents have this name.
            CacheError: the cache cannot be read.
        """
        query = TokenQuery(document, page, weights, mode, sha256)
        pages = self._pages_of_one(document)
        matching = filter(query.matches, pages)
        for stored in sorted(matching, key=lambda s: (_width(s.mode), s.accessed), reverse=True):
            data = self._entries.read(stored.name)
            if data is None:
                continue
            try:
                tokens = decode_tokens(data)
            except CacheCorrupt as error:
                self._entries.discard(stored.name, error)
                continue
            self._touch(stored.name)
            return tokens
        raise CacheMiss(explain_miss(query, pages))

    def document(self, name: str) -> DocumentRef | None:
        """Return the document with this id, path or file name, or None if it has no tokens.

        Raises:
            CacheMiss: several documents have this name.
            CacheError: the cache cannot be read.
        """
        stored = self._pages_of_one(name)
        return stored[0].ref.document if stored else None

    def pages(self, document: str | None = None) -> list[StoredPage]:
        """List the stored pages of all documents, or of one by its id, path or file name."""
        return self._index.pages(document)

    def totals(self) -> Totals:
        """Return the size of the cache."""
        return self._index.totals()

    def delete(self, document: str) -> int:
        """Delete the tokens of a document, by id, path or file name, and of its earlier contents.

        Entries that belong to other documents, too, stay. Returns the number of entries removed.

        Raises:
            CacheMiss: no tokens of the document are stored, or several documents have this name.
            CacheError: the cache cannot be written.
        """
        stored = self._pages_of_one(document, former=True)
        if not stored:
            raise CacheMiss(
                f"no vision tokens are stored for {document!r:.200}; `opticalrag cache ls` lists"
                " the documents"
            )
        names = self._index.forget(stored[0].document)
        self._entries.remove(names)
        return len(names)

    def collect(self, quota: int | None = None) -> int:
        """Remove the least recently used entries above a quota in bytes, and return their number.

        Without a quota, the quota of the configuration applies. Also finishes what dead processes
        left undone.
        """
        self._entries.recover()
        names = self._index.oldest_above(self.config.quota if quota is None else quota)
        self._entries.remove(names)
        return len(names)

    def verify(self) -> VerifyReport:
        """Read every entry; remove the damaged and missing ones, record the unknown ones."""
        return self._entries.verify()

    def _pages_of_one(self, document: str, *, former: bool = False) -> list[StoredPage]:
        pages = self._index.pages(document, former=former)
        ids = {stored.document for stored in pages}
        if len(ids) > 1:
            locations = sorted({stored.uri or stored.document for stored in pages})
            raise CacheMiss(
                f"{len(ids)} documents are named {document!r}: give the path"
                f" ({', '.join(locations[:3])})"
            )
        return pages

    def _touch(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._touched.get(name, -_TOUCH_EVERY) < _TOUCH_EVERY:
                return
            self._touched[name] = now
        with best_effort(f"the time of use of {name[:12]} is not recorded"):
            self._index.touch(name)


def _width(mode: str) -> int:
    """Return the most pixels a page has in a mode; 0 for unknown modes, which come last."""
    found = MODES.get(mode)
    return found.base_size**2 + found.max_tiles * found.tile_size**2 if found else 0


def _index_folder(location: str) -> Path:
    if "://" not in location:
        return Path(location)
    from platformdirs import user_cache_path

    return user_cache_path("opticalrag") / hashlib.sha256(location.encode()).hexdigest()[:16]
