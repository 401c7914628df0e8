"""A token cache that never stops an ingest: what cannot be kept is made again another day."""

from __future__ import annotations

import logging

from .errors import CacheError
from .protocols import TokenCache
from .token_file import TokenKey
from .types import PageRef
from .vision import VisionTokens

__all__ = ["LenientCache"]

_log = logging.getLogger(__name__)


class LenientCache:
    """Hands on to another cache until that fails; then says so once and goes on without it."""

    def __init__(self, cache: TokenCache | None) -> None:
        self._cache = cache

    def find(self, key: TokenKey) -> VisionTokens | None:
        """The tokens, or None, also if the cache cannot be read."""
        try:
            return self._cache.find(key) if self._cache else None
        except CacheError as error:
            self._give_up(error)
            return None

    def store(self, key: TokenKey, tokens: VisionTokens, ref: PageRef) -> None:
        """Keep tokens if that is possible."""
        try:
            if self._cache:
                self._cache.store(key, tokens, ref)
        except CacheError as error:
            self._give_up(error)

    def _give_up(self, error: CacheError) -> None:
        self._cache = None
        _log.warning("vision tokens are not kept from here on: %s", error)
