"""The LlamaIndex retriever for OpticalRAG collections."""

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

from ..ingest.indexing.given import GivenEmbedder, as_embedder
from ..ingest.indexing.sparse import Bm25Encoder
from ..ingest.store.store import QdrantStore
from .context import drop_covered
from .hybrid_search import search
from .nodes import hit_to_node
from .query import Query, SearchMode
from .rerank import CrossEncoderReranker, Reranker

__all__ = ["HybridRetriever"]


class HybridRetriever(BaseRetriever):
    """Finds chunks by dense and sparse vectors; Qdrant fuses the two rankings.

    Every node's ``metadata["citation"]`` names file, pages, boxes, heading path and link. With
    ``context=``, a node also holds the text around its chunk, up to ``context_chars`` characters,
    and chunks that an earlier node already holds are left out. Threads and asyncio tasks may share
    a retriever.

    Args:
        store: an open store, or a folder or server URL. :meth:`close` closes only a store that the
            retriever opened itself.
        collection: name of the collection, if ``store`` is a location.
        api_key: API key of the server, if ``store`` is a URL.
        tenant: search only this tenant's points, if ``store`` is a location.
        embedder: a model name or folder; an embedding of LlamaIndex, such as
            ``Settings.embed_model``; a server or an embedder; None for the default model.
        mode: see :class:`Query`, also for ``filters``.
        reranker: a cross-encoder, or its folder or name, that reorders the best hits.
        options: the other fields of :class:`Query`, such as ``mmr`` and ``context``.

    Raises:
        ConfigError: an option is invalid.

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
        embedder: GivenEmbedder = None,
        similarity_top_k: int = 5,
        mode: SearchMode = "hybrid",
        filters: MetadataFilters | Mapping[str, Any] | None = None,
        reranker: Reranker | str | None = None,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        self._query = Query("?", similarity_top_k, mode, filters or {}, **options)
        self._owns_store = not isinstance(store, QdrantStore)
        if not isinstance(store, QdrantStore):
            store = QdrantStore(
                store, collection=collection, api_key=api_key, tenant=tenant, create=False
            )
        self._store = store
        self._embedder = as_embedder(embedder)
        self._sparse = Bm25Encoder()
        self._reranker = CrossEncoderReranker(reranker) if isinstance(reranker, str) else reranker
        super().__init__(callback_manager=callback_manager)

    def close(self) -> None:
        """Close the store, if this retriever opened it."""
        if self._owns_store:
            self._store.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        if not question.strip():  # agents sometimes send an empty question
            return []
        query = replace(self._query, text=question)
        hits = search(self._store, self._embedder, self._sparse, query, self._reranker)
        return [NodeWithScore(node=hit_to_node(hit), score=hit.score) for hit in drop_covered(hits)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        # Embedding is CPU work and the embedded store is synchronous: neither may block the event
        # loop. An async client would unblock the store's part only, and cannot share a folder.
        return await asyncio.to_thread(self._retrieve, query_bundle)
