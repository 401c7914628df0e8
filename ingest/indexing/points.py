"""Nodes to points: embeds what is not stored yet, and writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from llama_index.core.schema import TextNode

from ..core.protocols import Embedder, PointStore, SparseEncoder
from ..core.records import Point

__all__ = ["now", "write_points"]

# Points embedded and written at a time: bounds memory, keeps the embedder's batches full.
_BATCH = 256


def now() -> str:
    """The time to record as :attr:`.schema.Field.INGESTED_AT`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_points(
    nodes: Sequence[TextNode],
    payloads: Mapping[str, dict[str, Any]],
    store: PointStore,
    embedder: Embedder,
    sparse: SparseEncoder,
) -> int:
    """Embed nodes and write them as points with the payloads given by id."""
    written = 0
    for start in range(0, len(nodes), _BATCH):
        batch = nodes[start : start + _BATCH]
        texts = [node.text for node in batch]
        dense = embedder.embed_documents(texts)
        terms = sparse.encode_documents(texts)
        points = [
            Point(node.node_id, payloads[node.node_id], vector, words)
            for node, vector, words in zip(batch, dense, terms, strict=True)
        ]
        written += store.upsert(points)
    return written
