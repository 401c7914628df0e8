"""LlamaIndex's vector store over ours: hybrid on the store's side, filters that all hold.

What LlamaIndex's own ``QdrantVectorStore`` (0.10) does otherwise: it fuses in the client, asks for
vectors of a downloaded model for hybrid search, joins some filters by "or", and deletes everything
when it is told to delete nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from qdrant_client import models

from ..core.errors import ConfigError, NotSupported
from ..core.identity import point_id
from ..core.protocols import SparseEncoder
from ..core.records import Point
from ..core.schema import DENSE, SPARSE, Field
from ..indexing.points import now
from ..indexing.sparse import Bm25Encoder
from ..store.filters import qdrant_filter
from ..store.requests import equal
from ..store.store import QdrantStore

__all__ = ["OpticalVectorStore"]

_CANDIDATES: Final = 50  # of each kind at least, before they are fused
_OVERSAMPLE: Final = 5
_RELEVANCE: Final = 0.5  # LlamaIndex's mmr_threshold, if none is given
_Mode = VectorStoreQueryMode


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The model a collection was made with, by name and size."""

    name: str
    dimension: int


class OpticalVectorStore(BasePydanticVectorStore):
    """Nodes of LlamaIndex in a :class:`.store.QdrantStore`, whatever engine keeps it.

    Modes: ``DEFAULT`` (dense), ``SPARSE`` and ``TEXT_SEARCH`` (BM25), ``HYBRID`` (both, fused by
    rank; ``alpha`` is the weight of dense, 0 to 1) and ``MMR``. Filters, document ids and node ids
    of a query must all hold; empty lists of ids say nothing, as LlamaIndex's retriever means them.
    Node ids may be any text.

    Args:
        store: an open store; closing it is its owner's affair.
        embed_model: name of the embedding model, recorded with a new collection; None for a
            collection that is there.
        sparse: the sparse encoder; None for BM25.

    Example:
        >>> vectors = OpticalVectorStore(QdrantStore("store"), "all-MiniLM-L6-v2")
        >>> index = VectorStoreIndex.from_vector_store(vectors, embed_model=embedder)
    """

    stores_text: bool = True
    flat_metadata: bool = False
    embed_model: str | None = None
    _store: QdrantStore = PrivateAttr()
    _sparse: SparseEncoder = PrivateAttr()

    def __init__(
        self,
        store: QdrantStore,
        embed_model: str | None = None,
        sparse: SparseEncoder | None = None,
    ) -> None:
        super().__init__(stores_text=True, embed_model=embed_model)
        self._store = store
        self._sparse = sparse or Bm25Encoder()

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex serialises this store."""
        return "OpticalVectorStore"

    @property
    def client(self) -> Any:
        """The client of the store's engine."""
        return self._store.client

    # -- writing -------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes that have embeddings; those with the same ids are replaced.

        Raises:
            ConfigError: a new collection, and no name of the model.
            SchemaMismatch: the collection holds vectors of another model.
        """
        if not nodes:
            return []
        self._ensure(len(nodes[0].get_embedding()))
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        terms = self._sparse.encode_documents(texts)
        self._store.upsert(
            [
                _point(node, text, words)
                for node, text, words in zip(nodes, texts, terms, strict=True)
            ]
        )
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._store.delete_where(equal(**{Field.DOC_ID: ref_doc_id}))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete the nodes with these ids that the filters let through.

        Raises:
            ConfigError: neither is given, which would delete everything; use :meth:`clear`.
        """
        where = _selection(node_ids, qdrant_filter(filters))
        if where is None:
            raise ConfigError(
                "delete_nodes() was given neither ids nor filters: name what to delete, or use"
                " clear() to delete everything"
            )
        self._store.delete_where(where)

    def clear(self) -> None:
        """Delete all nodes, of the store's tenant if it has one; the collection stays."""
        self._store.delete_where(models.Filter())

    # -- reading -------------------------------------------------------------------------------

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The nodes with these ids that the filters let through; without either, all."""
        if not self._store.exists():
            return []
        found = self._store.scroll(_selection(node_ids, qdrant_filter(filters)))
        return [_node(str(record.id), record.payload or {}) for record in found]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find nodes, best first.

        Raises:
            ConfigError: the mode needs an embedding or text that the query has not.
            NotSupported: another mode.
        """
        if not self._store.exists():
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        where = _all_of(query)
        found = self._store.query(where=where, **self._request(query, where))
        nodes = [_node(str(point.id), point.payload or {}) for point in found]
        return VectorStoreQueryResult(
            nodes=nodes,
            similarities=[point.score for point in found],
            ids=[node.node_id for node in nodes],
        )

    def _request(self, query: VectorStoreQuery, where: models.Filter | None) -> dict[str, Any]:
        limit = query.similarity_top_k
        if query.mode is _Mode.DEFAULT:
            return {"query": _embedding(query), "using": DENSE, "limit": limit}
        if query.mode is _Mode.MMR:
            given = query.mmr_threshold
            mmr = models.Mmr(
                diversity=1.0 - (_RELEVANCE if given is None else given),
                candidates_limit=max(_CANDIDATES, limit * _OVERSAMPLE),
            )
            nearest = models.NearestQuery(nearest=_embedding(query), mmr=mmr)
            return {"query": nearest, "using": DENSE, "limit": limit}
        if query.mode in (_Mode.SPARSE, _Mode.TEXT_SEARCH):
            limit = query.sparse_top_k or limit
            return {"query": self._terms(query), "using": SPARSE, "limit": limit}
        if query.mode is _Mode.HYBRID:
            return self._hybrid(query, where)
        raise NotSupported(
            f"the mode {query.mode.value!r} is not supported; use default, sparse, hybrid or mmr"
        )

    def _hybrid(self, query: VectorStoreQuery, where: models.Filter | None) -> dict[str, Any]:
        limit = query.hybrid_top_k or query.similarity_top_k
        candidates = max(_CANDIDATES, limit * _OVERSAMPLE)
        sides = ((DENSE, _embedding(query)), (SPARSE, self._terms(query)))
        prefetch = [
            models.Prefetch(query=vector, using=using, filter=where, limit=candidates)
            for using, vector in sides
        ]
        alpha = query.alpha
        if alpha is not None and not 0.0 <= alpha <= 1.0:
            raise ConfigError(f"alpha is {alpha}; it is the share of dense, from 0 to 1")
        weights = None if alpha is None else [alpha, 1.0 - alpha]
        fusion = models.RrfQuery(rrf=models.Rrf(weights=weights))
        return {"query": fusion, "prefetch": prefetch, "limit": limit}

    def _terms(self, query: VectorStoreQuery) -> models.SparseVector:
        if not query.query_str:
            raise ConfigError(f"the mode {query.mode.value!r} needs the question's text")
        indices, values = self._sparse.encode_query(query.query_str)
        return models.SparseVector(indices=indices, values=values)

    def _ensure(self, dimension: int) -> None:
        name = self.embed_model or self._store.embedder_name()
        if name is None:
            raise ConfigError(
                f"the collection {self._store.collection!r} is new: name the embedding model, as in"
                ' OpticalVectorStore(store, "all-MiniLM-L6-v2")'
            )
        self._store.ensure(_Recorded(name, dimension), self._sparse)

    # -- the same without holding the loop -----------------------------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As :meth:`add`."""
        return await asyncio.to_thread(self.add, nodes)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As :meth:`delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """As :meth:`delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters)

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As :meth:`get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As :meth:`query`."""
        return await asyncio.to_thread(self.query, query)


def _point(node: BaseNode, text: str, words: Any) -> Point:
    payload = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    stored = {**payload, Field.TEXT: text, Field.INGESTED_AT: now()}
    return Point(point_id(node.node_id), stored, _float32(node.get_embedding()), words)


def _float32(embedding: Sequence[float]) -> Any:
    import numpy as np

    return np.asarray(embedding, np.float32)


def _node(key: str, payload: Mapping[str, Any]) -> BaseNode:
    if payload.get("_node_content"):
        with suppress(ValueError, TypeError, KeyError):  # not written by LlamaIndex
            return metadata_dict_to_node(dict(payload))
    text = str(payload.get(Field.TEXT) or "")
    return TextNode(id_=key, text=text, metadata=dict(payload))


def _embedding(query: VectorStoreQuery) -> list[float]:
    if query.query_embedding is None:
        raise ConfigError(f"the mode {query.mode.value!r} needs the question's embedding")
    return query.query_embedding


def _all_of(query: VectorStoreQuery) -> models.Filter | None:
    where = qdrant_filter(query.filters)
    if query.doc_ids:
        ids = models.MatchAny(any=query.doc_ids)
        of_documents = models.FieldCondition(key=Field.DOC_ID, match=ids)
        where = models.Filter(must=[of_documents, *([where] if where else [])])
    return _selection(query.node_ids or None, where)


def _selection(node_ids: Sequence[str] | None, where: models.Filter | None) -> models.Filter | None:
    if node_ids is None:
        return where
    named = models.HasIdCondition(has_id=[point_id(one) for one in node_ids])
    return models.Filter(must=[named, *([where] if where else [])])
