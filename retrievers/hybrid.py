"""The LlamaIndex retriever over our collections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores import MetadataFilters

from ..ingest.core.protocols import Embedder
from ..ingest.indexing.dense import SentenceTransformerEmbedder
from ..ingest.indexing.sparse import Bm25Encoder
from ..ingest.store.store import QdrantStore
from .context import without_covered
from .nodes import node_of
from .query import Query, SearchMode
from .rerank import CrossEncoderReranker, Reranker
from .search import search

__all__ = ["HybridRetriever"]


class HybridRetriever(BaseRetriever):
    """Finds chunks by meaning (dense) and by words (sparse), fused by Qdrant.

    Every node's ``metadata["citation"]`` names file, pages, boxes, heading path and link. With
    ``context=``, a node's text is what stands around its chunk, within ``context_chars``, and a
    chunk that an earlier node holds already is left out. Threads and tasks may share a retriever.

    Args:
        store: an open store, or the folder or server URL of one (then closed by :meth:`close`).
        collection: of a store given by its place.
        api_key: of a server given by its URL.
        tenant: whose points are found, of a store given by its place.
        embedder: a model name or folder, or an embedder; None for the default model.
        similarity_top_k: how many nodes to return.
        mode: ``"hybrid"``, ``"dense"`` or ``"sparse"``.
        filters: LlamaIndex's metadata filters, or payload fields and the values they must have.
        reranker: a cross-encoder, or the folder or name of one, that orders the best hits anew.
        options: the other fields of :class:`Query`: ``fusion``, ``rrf_k``, ``weights``, ``mmr``,
            ``per_page``, ``per_document``, ``skip_flagged``, ``min_score``, ``context``,
            ``context_chars``.

    Raises:
        ConfigError: an option cannot work.

    Example:
        >>> HybridRetriever(".opticalrag/qdrant").retrieve("Which pump was replaced?")
    """

    def __init__(  # noqa: PLR0913  LlamaIndex configures retrievers by keyword
        self,
        store: QdrantStore | str | Path,
        *,
        collection: str = "opticalrag",
        api_key: str | None = None,
        tenant: str | None = None,
        embedder: Embedder | str | None = None,
        similarity_top_k: int = 5,
        mode: SearchMode = "hybrid",
        filters: MetadataFilters | Mapping[str, Any] | None = None,
        reranker: Reranker | str | None = None,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        self._query = Query("?", similarity_top_k, mode, filters or {}, **options)
        self._owns_store = not isinstance(store, QdrantStore)
        self._store = (
            store
            if isinstance(store, QdrantStore)
            else QdrantStore(
                store, collection=collection, api_key=api_key, tenant=tenant, create=False
            )
        )
        self._embedder: Embedder = (
            SentenceTransformerEmbedder(embedder)
            if embedder is None or isinstance(embedder, str)
            else embedder
        )
        self._sparse = Bm25Encoder()
        self._reranker = CrossEncoderReranker(reranker) if isinstance(reranker, str) else reranker
        super().__init__(callback_manager=callback_manager)

    def close(self) -> None:
        """Close the store, if this retriever opened it."""
        if self._owns_store:
            self._store.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        if not question.strip():  # an agent's slip: nothing was asked, nothing is found
            return []
        query = replace(self._query, text=question)
        hits = search(self._store, self._embedder, self._sparse, query, self._reranker)
        return [NodeWithScore(node=node_of(hit), score=hit.score) for hit in without_covered(hits)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        # Embedding is CPU work and the embedded store is not async: neither may hold the loop.
        # An async client would free it of the store's part alone, and cannot share an open folder.
        return await asyncio.to_thread(self._retrieve, query_bundle)
