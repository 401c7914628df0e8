"""A token cache that never stops an ingest: what cannot be kept is made again another day."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..core.errors import CacheError
from ..core.protocols import TokenCache
from ..core.records import PageRef
from ..core.vision import TokenKey, VisionTokens

__all__ = ["LenientCache"]

_log = logging.getLogger(__name__)


_PATIENCE: Final = 3  # failures in a row: one entry may be bad, this many are the disk


class LenientCache:
    """Hands on to another cache; when that fails time after time, goes on without it.

    Finding and storing are counted apart: a disk without room can still be read.
    """

    def __init__(self, cache: TokenCache | None) -> None:
        self._cache = cache
        self._failures = {"find": 0, "store": 0}

    def find(self, key: TokenKey) -> VisionTokens | None:
        """The tokens, or None, also if the cache cannot be read."""
        with self._trying("find") as cache:
            return cache.find(key) if cache else None
        return None

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Keep tokens if that is possible."""
        with self._trying("store") as cache:
            if cache:
                cache.store(key, tokens, ref)

    def keeps(self, document: str, sha256: str, page: int) -> bool:
        """Whether tokens of a page are kept; no, where that cannot be known."""
        with self._trying("find") as cache:
            return cache.keeps(document, sha256, page) if cache else False
        return False

    def pass_on(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Have tokens be another page's, too; False if there are none, or it is not possible."""
        with self._trying("store") as cache:
            return cache.pass_on(document, sha256, page, ref) if cache else False
        return False

    @contextmanager
    def _trying(self, action: str) -> Iterator[TokenCache | None]:
        try:
            yield self._cache
            self._failures[action] = 0
        except CacheError as error:
            self._failures[action] += 1
            if self._failures[action] < _PATIENCE:
                _log.warning("vision tokens of a page are not kept: %s", error)
            else:
                self._cache = None
                _log.warning("vision tokens are not kept from here on: %s", error)
