"""Indexes LlamaIndex nodes in a store."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.schema import BaseNode, TextNode

from ..core.errors import ConfigError
from ..core.protocols import SparseEncoder
from ..core.schema import Field
from ..indexing.given import GivenEmbedder, as_embedder
from ..indexing.payload import Prepared
from ..indexing.points import now, write_points
from ..indexing.sparse import Bm25Encoder
from ..store.store import QdrantStore
from .nodes import node_payload

__all__ = ["index_nodes"]


def index_nodes(
    nodes: Sequence[BaseNode],
    store: QdrantStore,
    embedder: GivenEmbedder = None,
    sparse: SparseEncoder | None = None,
) -> int:
    """Store LlamaIndex nodes with dense and sparse vectors, for :class:`HybridRetriever`.

    Nodes whose ids are stored already are skipped: :class:`LayoutNodeParser` makes ids from
    content. The ids must be uuids, as Qdrant requires. The collection is created if it does not
    exist. By default, texts are embedded with all-MiniLM-L6-v2 and BM25. ``embedder`` may be
    ``Settings.embed_model`` or what else :data:`.given.GivenEmbedder` lists.

    Returns:
        How many points were written.

    Raises:
        ConfigError: a node is not a TextNode.
        SchemaMismatch: the collection was made for other models.
        EngineError: the embedder failed.
    """
    dense, sparse = as_embedder(embedder), sparse or Bm25Encoder()
    store.ensure(dense, sparse)
    texts = {node.node_id: _text_node(node) for node in nodes}
    stamp = {Field.INGESTED_AT: now()}
    stored = store.stored_ids(texts.keys())
    new = [
        Prepared(node_id, node.text, {**node_payload(node), **stamp})
        for node_id, node in texts.items()
        if node_id not in stored
    ]
    return write_points(new, store, dense, sparse)


def _text_node(node: BaseNode) -> TextNode:
    if not isinstance(node, TextNode):
        raise ConfigError(
            f"node {node.node_id} is a {type(node).__name__}: only a TextNode can be indexed"
        )
    return node
