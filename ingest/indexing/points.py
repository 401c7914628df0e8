"""Embeds prepared points and writes them to a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Final

from ..core.protocols import Embedder, PointStore, SparseEncoder
from ..core.records import Point
from ..core.schema import Field
from .payload import Prepared
from .titles import add_titles, title_of, titled

__all__ = ["now", "write_points"]

_BATCH: Final = 256
"""Points embedded and written at a time: bounds memory and keeps the embedder's batches full."""


def now() -> str:
    """The current time in the format of :attr:`.schema.Field.INGESTED_AT`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_points(
    prepared: Sequence[Prepared], store: PointStore, embedder: Embedder, sparse: SparseEncoder
) -> int:
    """Embed points and write them; return how many were written.

    Their vectors are made from their text and from the name of their file: see :mod:`.titles`.
    """
    written = 0
    for start in range(0, len(prepared), _BATCH):
        batch = prepared[start : start + _BATCH]
        titles = [title_of(str(one.payload.get(Field.FILE_NAME) or "")) for one in batch]
        dense = add_titles(embedder.embed_documents([one.text for one in batch]), titles, embedder)
        terms = sparse.encode_documents(
            [titled(one.text, title) for one, title in zip(batch, titles, strict=True)]
        )
        vectors = zip(dense, terms, strict=True)
        written += store.upsert(
            [Point(one.id, one.payload, *pair) for one, pair in zip(batch, vectors, strict=True)]
        )
    return written
