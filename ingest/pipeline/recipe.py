"""Everything that decides which points a document becomes, and its fingerprints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from ..core.config import ChunkingConfig
from ..core.protocols import Embedder, PageEngine, PageKeeper, SparseEncoder
from ..core.records import DocumentRef
from ..core.schema import SCHEMA_VERSION

__all__ = ["Recipe"]

_PAGE_FORMAT: Final = "page/3"
"""Raised when the same parsed page gives different Markdown."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parts that turn a document into points.

    Attributes:
        keeper: where the engine stores data of each page beside its text, such as vision tokens;
            None if it stores none. A page of another file, or of an earlier content, is reused
            only if its stored data can be reused too; otherwise it is read again.
    """

    engine: PageEngine
    chunking: ChunkingConfig
    embedder: Embedder
    sparse: SparseEncoder
    keeper: PageKeeper | None = None

    def fingerprint(self, document: DocumentRef, pages: str | None) -> str:
        """Hash all that decides a document's points; ``pages`` (1-based) None chooses all."""
        return _hash(
            document.sha256,
            document.name,
            pages or "",
            self.engine.fingerprint,
            self.chunking.fingerprint,
            self.embedder.name,
            self.sparse.name,
            str(SCHEMA_VERSION),
        )

    def page_key(self, page_hash: str) -> str:
        """Hash all that decides a page's Markdown, and whether the engine stores more than that.

        See :mod:`.page_hash` for the hash of the page's content.
        """
        kept = "" if self.keeper is None else "kept"
        return _hash(_PAGE_FORMAT, page_hash, self.engine.fingerprint, kept)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
