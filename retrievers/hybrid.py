"""The LlamaIndex retriever over our collections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from ..ingest.embedding import SentenceTransformerEmbedder
from ..ingest.protocols import Embedder
from ..ingest.sparse import Bm25Encoder
from ..ingest.store import QdrantStore
from .citations import cite
from .query import Hit, Query, SearchMode
from .search import search

__all__ = ["HybridRetriever"]

CITATION_KEY = "citation"


class HybridRetriever(BaseRetriever):
    """Finds chunks by meaning (dense) and by words (sparse), fused by Qdrant.

    Every node's ``metadata["citation"]`` names file, page, boxes, heading path and link.

    Args:
        store: an open store, or the folder or server URL of one (then closed by :meth:`close`).
        collection: of a store given by its place.
        api_key: of a server given by its URL; never serialised.
        embedder: a model name or folder, or an embedder; None for the default model.
        similarity_top_k: how many nodes to return.
        mode: ``"hybrid"``, ``"dense"`` or ``"sparse"``.
        filters: payload fields and the values they must have.

    Example:
        >>> HybridRetriever(".opticalrag/qdrant").retrieve("Which pump was replaced?")
    """

    def __init__(  # noqa: PLR0913  LlamaIndex configures retrievers by keyword
        self,
        store: QdrantStore | str | Path,
        *,
        collection: str = "opticalrag",
        api_key: str | None = None,
        embedder: Embedder | str | None = None,
        similarity_top_k: int = 5,
        mode: SearchMode = "hybrid",
        filters: Mapping[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._owns_store = not isinstance(store, QdrantStore)
        self._store = (
            store
            if isinstance(store, QdrantStore)
            else QdrantStore(store, collection=collection, api_key=api_key, create=False)
        )
        self._embedder: Embedder = (
            SentenceTransformerEmbedder(embedder)
            if embedder is None or isinstance(embedder, str)
            else embedder
        )
        self._sparse = Bm25Encoder()
        self._query = Query("?", similarity_top_k, mode, dict(filters or {}))
        super().__init__(callback_manager=callback_manager)

    def close(self) -> None:
        """Close the store, if this retriever opened it."""
        if self._owns_store:
            self._store.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = self._query
        query = Query(query_bundle.query_str, asked.top_k, asked.mode, asked.filters)
        hits = search(self._store, self._embedder, self._sparse, query)
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        # Embedding is CPU work and the embedded store is not async: neither may hold the loop.
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def to_dict(self) -> dict[str, Any]:
        """What makes this retriever again, without secrets."""
        return {
            "class_name": "HybridRetriever",
            "store": self._store.location,
            "collection": self._store.collection,
            "embedder": self._embedder.name,
            "similarity_top_k": self._query.top_k,
            "mode": self._query.mode,
            "filters": dict(self._query.filters),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **kwargs: Any) -> HybridRetriever:
        """Make a retriever from :meth:`to_dict`; ``kwargs`` override (``api_key`` of a server)."""
        options = {**data, **kwargs}
        options.pop("class_name", None)
        return cls(**options)


def _node(hit: Hit) -> TextNode:
    payload = dict(hit.payload)
    node = (
        metadata_dict_to_node(payload)
        if payload.get("_node_content")
        else TextNode(id_=hit.id, text=hit.text, metadata=payload)
    )
    citation = cite(hit).as_dict()
    node.metadata[CITATION_KEY] = citation
    node.excluded_embed_metadata_keys.append(CITATION_KEY)
    node.excluded_llm_metadata_keys.append(CITATION_KEY)
    if not isinstance(node, TextNode):
        return TextNode(id_=node.node_id, text=node.get_content(), metadata=node.metadata)
    return node
