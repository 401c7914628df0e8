"""A LlamaIndex vector store over ours: hybrid search inside the store, filters that all apply.

LlamaIndex's own ``QdrantVectorStore`` (0.10) differs: it fuses results in the client, downloads a
model for the sparse vectors of hybrid search, joins some filters by "or", and deletes everything
when it is given nothing to delete.
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

_CANDIDATES: Final = 50  # at least, from each kind of vector, before they are fused
_OVERSAMPLE: Final = 5
_RELEVANCE: Final = 0.5  # used where LlamaIndex's mmr_threshold is not given
_Mode = VectorStoreQueryMode


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The model that a collection was made with: its name and vector length."""

    name: str
    dimension: int


class OpticalVectorStore(BasePydanticVectorStore):
    """LlamaIndex nodes in a :class:`.store.QdrantStore`, on a server or in a folder.

    Modes: ``DEFAULT`` (dense), ``SPARSE`` and ``TEXT_SEARCH`` (BM25), ``HYBRID`` (both, fused by
    rank; ``alpha`` is the weight of dense, 0 to 1) and ``MMR``. The filters, document ids and node
    ids of a query must all apply. An empty list of ids does not filter: LlamaIndex's retriever
    passes one for "any". Node ids may be any text.

    Args:
        store: an open store, which the caller closes.
        embed_model: name of the embedding model, recorded with a new collection; None for an
            existing collection.
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
        """The name that LlamaIndex serialises this store under."""
        return "OpticalVectorStore"

    @property
    def client(self) -> Any:
        """The store's client."""
        return self._store.client

    # -- writing -------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes that have embeddings; nodes with the same ids are replaced.

        Raises:
            ConfigError: the collection is new and ``embed_model`` is not given.
            SchemaMismatch: the collection was made for another model.
        """
        if not nodes:
            return []
        self._ensure(len(nodes[0].get_embedding()))
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        terms = self._sparse.encode_documents(texts)
        self._store.upsert([_point(*one) for one in zip(nodes, texts, terms, strict=True)])
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
        """Delete the nodes that have these ids and match the filters.

        Raises:
            ConfigError: neither is given. To delete everything, use :meth:`clear`.
        """
        where = _selection(node_ids, qdrant_filter(filters))
        if where is None:
            raise ConfigError(
                "delete_nodes() got neither ids nor filters: name what to delete, or use clear() to"
                " delete everything"
            )
        self._store.delete_where(where)

    def clear(self) -> None:
        """Delete all nodes, or those of the store's tenant if it has one. The collection stays."""
        self._store.delete_where(models.Filter())

    # -- reading -------------------------------------------------------------------------------

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return the nodes that have these ids and match the filters; all nodes without either."""
        if not self._store.exists():
            return []
        found = self._store.scroll(_selection(node_ids, qdrant_filter(filters)))
        return [_node(str(record.id), record.payload or {}) for record in found]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find nodes, best first.

        Raises:
            ConfigError: the query lacks the embedding or the text that its mode needs.
            NotSupported: the mode is not supported.
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
            f"the mode {query.mode.value!r} is not supported: use default, sparse, hybrid or mmr"
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
            raise ConfigError(
                f"invalid alpha {alpha}: use the weight of dense vectors, from 0 to 1"
            )
        weights = None if alpha is None else [alpha, 1.0 - alpha]
        fusion = models.RrfQuery(rrf=models.Rrf(weights=weights))
        return {"query": fusion, "prefetch": prefetch, "limit": limit}

    def _terms(self, query: VectorStoreQuery) -> models.SparseVector:
        if not query.query_str:
            raise ConfigError(f"the mode {query.mode.value!r} needs query_str")
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

    # -- the same in a thread, for event loops -----------------------------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """See :meth:`add`."""
        return await asyncio.to_thread(self.add, nodes)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """See :meth:`delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """See :meth:`delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters)

    async def aclear(self) -> None:
        """See :meth:`clear`."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """See :meth:`get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """See :meth:`query`."""
        return await asyncio.to_thread(self.query, query)


def _point(node: BaseNode, text: str, words: Any) -> Point:
    import numpy as np

    payload = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    stored = {**payload, Field.TEXT: text, Field.INGESTED_AT: now()}
    vector = np.asarray(node.get_embedding(), np.float32)
    return Point(point_id(node.node_id), stored, vector, words)


def _node(key: str, payload: Mapping[str, Any]) -> BaseNode:
    if payload.get("_node_content"):
        with suppress(ValueError, TypeError, KeyError):  # LlamaIndex did not write it
            return metadata_dict_to_node(dict(payload))
    text = str(payload.get(Field.TEXT) or "")
    return TextNode(id_=key, text=text, metadata=dict(payload))


def _embedding(query: VectorStoreQuery) -> list[float]:
    if query.query_embedding is None:
        raise ConfigError(f"the mode {query.mode.value!r} needs query_embedding")
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
