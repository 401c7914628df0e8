"""A token cache that never stops an ingest: tokens it cannot store are made again later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..core.errors import CacheError
from ..core.protocols import TokenStore
from ..core.records import PageRef
from ..core.vision import TokenKey, VisionTokens

__all__ = ["LenientCache"]

_log = logging.getLogger(__name__)

_MOST_FAILURES: Final = 3  # in a row: one entry may be bad, three in a row are the disk


class LenientCache:
    """Wraps a cache, logs its errors, and stops using it after several failures in a row.

    Reads and writes count separately: a full disk can still be read.
    """

    def __init__(self, cache: TokenStore | None) -> None:
        self._cache = cache
        self._failures = {"find": 0, "store": 0}

    def find(self, key: TokenKey) -> VisionTokens | None:
        """Return the tokens, or None; also None if the cache cannot be read."""
        with self._trying("find") as cache:
            return cache.find(key) if cache else None
        return None

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Store tokens if possible."""
        with self._trying("store") as cache:
            if cache:
                cache.store(key, tokens, ref)

    def has_page(self, document: str, sha256: str, page: int) -> bool:
        """Whether tokens of a page are stored; False if the cache cannot be read."""
        with self._trying("find") as cache:
            return cache.has_page(document, sha256, page) if cache else False
        return False

    def link_page(self, document: str, sha256: str, page: int, ref: PageRef) -> bool:
        """Share the tokens of a page with an equal one; False if that is impossible."""
        with self._trying("store") as cache:
            return cache.link_page(document, sha256, page, ref) if cache else False
        return False

    @contextmanager
    def _trying(self, action: str) -> Iterator[TokenStore | None]:
        try:
            yield self._cache
            self._failures[action] = 0
        except CacheError as error:
            self._failures[action] += 1
            if self._failures[action] < _MOST_FAILURES:
                _log.warning("the token cache failed for a page: %s", error)
            else:
                self._cache = None
                _log.warning("the token cache is not used from here on: %s", error)
