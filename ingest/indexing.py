"""Nodes to points: embeds what is not stored yet, and writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from llama_index.core.schema import BaseNode, TextNode

from .config import ConfigError
from .embedding import SentenceTransformerEmbedder
from .node_parser import node_payload
from .protocols import Embedder, PointStore, SparseEncoder
from .schema import Field
from .sparse import Bm25Encoder
from .store import QdrantStore
from .types import Point

__all__ = ["index_nodes", "now", "write_points"]

# Points embedded and written at a time: bounds memory, keeps the embedder's batches full.
_BATCH = 256


def index_nodes(
    nodes: Sequence[BaseNode],
    store: QdrantStore,
    embedder: Embedder | None = None,
    sparse: SparseEncoder | None = None,
) -> int:
    """Store LlamaIndex nodes with dense and sparse vectors, for :class:`HybridRetriever`.

    Nodes whose ids are stored already are left alone: ids of :class:`LayoutNodeParser` come
    from content. The collection is made if there is none.

    Args:
        nodes: nodes with text; their ids must be uuids, as Qdrant's are.
        store: where they go.
        embedder: None for the default model.
        sparse: None for BM25.

    Returns:
        How many points were written.

    Raises:
        ConfigError: a node has no text.
        SchemaMismatch: the collection holds vectors of other models.
    """
    embedder, sparse = embedder or SentenceTransformerEmbedder(), sparse or Bm25Encoder()
    store.ensure(embedder, sparse)
    texts = {node.node_id: _text_node(node) for node in nodes}
    stamp = {Field.INGESTED_AT: now()}
    payloads = {node_id: {**node_payload(node), **stamp} for node_id, node in texts.items()}
    stored = store.stored_ids(texts.keys())
    new = [node for node_id, node in texts.items() if node_id not in stored]
    return write_points(new, payloads, store, embedder, sparse)


def now() -> str:
    """The time to record as :attr:`.schema.Field.INGESTED_AT`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text_node(node: BaseNode) -> TextNode:
    if not isinstance(node, TextNode):
        raise ConfigError(f"node {node.node_id} is a {type(node).__name__}; only text is indexed")
    return node


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
