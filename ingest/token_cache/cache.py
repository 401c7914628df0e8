"""Vision tokens of pages, kept so that a page can be decoded again without being seen again.

Files are named by what they were made from (:class:`.token_file.TokenKey`): another mode, model,
drawing or preprocessing is another file, never a wrong one. An SQLite index knows sizes, last
use, and which page of which document a file is of. Any number of threads and processes may use
one cache.

Vision tokens hold the text of their page: protect the folder like the documents.
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
from .entries import Check, Entries, best_effort
from .file import decode_file, decode_tokens, encode_tokens
from .index import StoredPage, TokenIndex, Totals
from .misses import Wanted, why_none

__all__ = ["TokenCache"]

_INDEX: Final = "index.sqlite"
_TOUCH_EVERY: Final = 60.0  # seconds; finer grain would cost a write per read


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
        blobs = open_blobs(self.config.location, Path(self.config.location))
        self._index = TokenIndex(folder / _INDEX)
        self._entries = Entries(blobs, self._index)
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()
        self._entries.settle()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    # -- keeping --------------------------------------------------------------------------

    def find(self, key: TokenKey) -> VisionTokens | None:
        """The tokens made from exactly this, or None.

        Tokens kept by a codec that loses more than the cache's own are none. A damaged entry is
        removed with a warning, as if it had never been kept.

        Raises:
            CacheError: the cache cannot be read.
        """
        name = key.digest
        data = self._entries.read(name)
        if data is None:
            return None
        try:
            tokens, about = decode_file(data, key)
        except CacheCorrupt as error:
            self._entries.discard(name, error)
            return None
        if self._index.codec(name) == about.codec:
            self._touch(name)
        else:  # another machine wrote it, or its record was lost with the power
            with best_effort(f"{name[:12]} is not recorded"):
                self._entries.record(name, data)
        return None if is_lossier(about.codec, self.config.codec) else tokens

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Keep tokens and the page they are of; when this returns they are kept for good.

        Raises:
            CacheError: no room, or a place that cannot be written.
        """
        name, codec = key.digest, self.config.codec
        kept = self._index.codec(name)
        if kept and not is_lossier(kept, codec) and self._entries.link(name, ref):
            return
        self._entries.keep(name, encode_tokens(key, tokens, codec), ref)
        self._entries.remove(self._index.oldest_above(self.config.quota))

    def keeps(self, document: str, sha256: str, page: int) -> bool:
        """Whether tokens of a page are kept.

        Args:
            document: id.
            sha256: of its file, which need not be the last that was kept.
            page: 0-based.

        Raises:
            CacheError: the cache cannot be read.
        """
        return any(map(self._entries.has, self._index.names_of(document, sha256, page)))

    def pass_on(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Record that the tokens of a page are those of an equal one, too.

        Args:
            document: id of the document that has the page.
            sha256: of its file.
            page: 0-based.
            ref: the other page.

        Returns:
            Whether there are such tokens.

        Raises:
            CacheError: the cache cannot be read or written.
        """
        names = self._index.names_of(document, sha256, page)
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
        """The tokens of a page, by whichever codec they are kept.

        Args:
            document: id, path or file name.
            page: 0-based.
            weights: only those of this model.
            mode: only those of this mode; None for the widest there are.
            sha256: only those of a file of these bytes; empty for the last that was kept.

        Raises:
            CacheMiss: there are none (any more), or the name fits several documents.
            CacheError: the cache cannot be read.
        """
        wanted = Wanted(document, page, weights, mode, sha256)
        kept = self._of_one(document)
        fitting = filter(wanted.is_of, kept)
        for stored in sorted(fitting, key=lambda s: (_width(s.mode), s.accessed), reverse=True):
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
        raise CacheMiss(why_none(wanted, kept))

    def document(self, name: str) -> DocumentRef | None:
        """The document that a name means, as its tokens were kept last; None if none are.

        Args:
            name: id, path or file name.

        Raises:
            CacheMiss: it fits several documents.
            CacheError: the cache cannot be read.
        """
        stored = self._of_one(name)
        return stored[0].ref.document if stored else None

    # -- looking after --------------------------------------------------------------------

    def pages(self, document: str | None = None) -> list[StoredPage]:
        """What is kept, by document and page; ``document`` is an id, path or file name."""
        return self._index.pages(document)

    def totals(self) -> Totals:
        """Sums over everything."""
        return self._index.totals()

    def delete(self, document: str) -> int:
        """Delete a document's tokens, those of its earlier contents included.

        Entries that other documents have, too, stay theirs.

        Args:
            document: id, path or file name.

        Returns:
            How many entries are gone.

        Raises:
            CacheMiss: nothing of it is kept, or the name fits several documents.
            CacheError: the cache cannot be written.
        """
        stored = self._of_one(document, former=True)
        if not stored:
            raise CacheMiss(f"no vision tokens of {document} are kept; see `opticalrag cache ls`")
        names = self._index.forget(stored[0].document)
        self._entries.remove(names)
        return len(names)

    def collect(self, quota: int | None = None) -> int:
        """Remove what was used least recently until at most ``quota`` bytes are left.

        Also removes what writers that died left behind.

        Returns:
            How many entries were removed.
        """
        self._entries.settle()
        names = self._index.oldest_above(self.config.quota if quota is None else quota)
        self._entries.remove(names)
        return len(names)

    def verify(self) -> Check:
        """Read every entry; drop the damaged and the missing, adopt the unknown."""
        return self._entries.verify()

    # -- inside ---------------------------------------------------------------------------

    def _of_one(self, document: str, *, former: bool = False) -> list[StoredPage]:
        every = self._index.pages(document, former=former)
        ids = {stored.document for stored in every}
        if len(ids) > 1:
            raise CacheMiss(
                f"{document!r} names {len(ids)} documents: give the path"
                f" ({', '.join(sorted({s.uri or s.document for s in every})[:3])})"
            )
        return every

    def _touch(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._used.get(name, -_TOUCH_EVERY) < _TOUCH_EVERY:
                return
            self._used[name] = now
        with best_effort(f"the use of {name[:12]} is not recorded"):
            self._index.touch([name])


def _width(mode: str) -> int:
    """Vision tokens of a mode at their most; unknown modes last."""
    found = MODES.get(mode)
    return found.base_size**2 + found.max_tiles * found.tile_size**2 if found else 0


def _index_folder(location: str) -> Path:
    if "://" not in location:
        return Path(location)
    from platformdirs import user_cache_path

    return user_cache_path("opticalrag") / hashlib.sha256(location.encode()).hexdigest()[:16]
