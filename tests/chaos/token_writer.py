"""Writes vision tokens to a cache until it is killed; prints each confirmed entry."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.records import DocumentRef, PageRef
from opticalrag.ingest.token_cache.cache import TokenCache

from ..unit.token_cache.test_codecs import KEY, tokens

if __name__ == "__main__":
    folder, writer = Path(sys.argv[1]), sys.argv[2]
    page = tokens()
    document = DocumentRef(writer, "0" * 64, writer, "", 10**6)
    with TokenCache(TokenCacheConfig(str(folder))) as cache:
        for number in count():
            key = replace(KEY, page=f"{writer}-{number}")
            cache.store(key, page, PageRef(document, number, ""))
            sys.stdout.write(f"{key.digest}\n")
            sys.stdout.flush()
