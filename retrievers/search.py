"""Questions to hits, through Qdrant's Query API: the store fuses, not we."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from ..ingest.protocols import Embedder, SparseEncoder
from ..ingest.schema import DENSE, SPARSE
from ..ingest.store import QdrantStore
from .query import Hit, Query, hit_from_payload

__all__ = ["search"]

# Reciprocal rank fusion sees this many hits of each kind for every one it returns: a chunk
# that is tenth in both lists can still win.
_OVERSAMPLE = 5
_LEAST_CANDIDATES = 50


def search(
    store: QdrantStore, embedder: Embedder, sparse: SparseEncoder, query: Query
) -> list[Hit]:
    """Find the chunks that answer a question, best first.

    Args:
        store: where to look.
        embedder: the model the collection was made with.
        sparse: the sparse encoder it was made with.
        query: the question.

    Raises:
        SchemaMismatch: the collection was made with other models.
        StoreError: the store failed.
    """
    if not store.exists():
        return []
    store.verify(embedder, sparse)
    with store.guarded():
        response = store.client.query_points(
            store.collection, **_request(query, embedder, sparse), with_payload=True
        )
    return [
        hit_from_payload(str(point.id), point.score, point.payload or {})
        for point in response.points
    ]


def _request(query: Query, embedder: Embedder, sparse: SparseEncoder) -> dict[str, Any]:
    where = _filter(query.filters)
    candidates = max(_LEAST_CANDIDATES, query.top_k * _OVERSAMPLE)
    vectors: dict[str, Any] = {}
    if query.mode != "sparse":
        vectors[DENSE] = embedder.embed_query(query.text).tolist()
    if query.mode != "dense":
        indices, values = sparse.encode_query(query.text)
        vectors[SPARSE] = models.SparseVector(indices=indices, values=values)
    if len(vectors) == 1:
        (using, vector) = next(iter(vectors.items()))
        return {"query": vector, "using": using, "query_filter": where, "limit": query.top_k}
    prefetch = [
        models.Prefetch(query=vector, using=using, filter=where, limit=candidates)
        for using, vector in vectors.items()
    ]
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    return {"prefetch": prefetch, "query": fusion, "limit": query.top_k}


def _filter(filters: Mapping[str, Any]) -> models.Filter | None:
    if not filters:
        return None
    return models.Filter(must=[_condition(key, value) for key, value in filters.items()])


def _condition(key: str, value: Any) -> models.FieldCondition:
    if isinstance(value, list | tuple | set | frozenset):
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(value)))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
