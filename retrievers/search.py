"""Questions to hits, through Qdrant's Query API: the store fuses, not we."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qdrant_client import models

from ..ingest.core.flags import DOUBTFUL, Flag
from ..ingest.core.protocols import Embedder, SparseEncoder
from ..ingest.core.schema import DENSE, SPARSE, Field
from ..ingest.store.filters import qdrant_filter
from ..ingest.store.store import QdrantStore
from .context import with_context
from .query import MOST_DIVERSE, Hit, Query, at_most_per_place, hit_from_payload
from .rerank import Reranker

__all__ = ["search"]

# Fusion sees this many hits of each kind for every one it returns, and never few: a chunk that is
# tenth in both lists can still win. With 50 instead of 100, one question in sixty is lost.
_OVERSAMPLE = 5
_LEAST_CANDIDATES = 100
# When hits of a full page or document are dropped, so many times as many are asked for, up to a
# bound: what is found behind so many is no answer.
_WIDER = 4
_MOST_ASKED = 1000


def search(
    store: QdrantStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    query: Query,
    reranker: Reranker | None = None,
) -> list[Hit]:
    """Find the chunks that answer a question, best first.

    Args:
        store: where to look.
        embedder: the model the collection was made with.
        sparse: the sparse encoder it was made with.
        query: the question.
        reranker: reads the best hits again, together with the question, and orders them anew.

    Raises:
        FilterError: Qdrant cannot filter like this.
        SchemaMismatch: the collection was made with other models.
        StoreError: the store failed.
        EngineError: the reranker cannot run.
    """
    where = _where(query)
    if not store.exists():
        return []
    store.verify(embedder, sparse)
    vectors = _vectors(query, embedder, sparse)
    if not vectors:
        return []
    hits = _ranked(store, query, vectors, where, reranker)
    hits = [hit for hit in hits if query.min_score is None or hit.score >= query.min_score]
    return with_context(store, hits[: query.top_k], query)


def _ranked(
    store: QdrantStore,
    query: Query,
    vectors: dict[str, Any],
    where: models.Filter | None,
    reranker: Reranker | None,
) -> list[Hit]:
    """Hits in their final order: as many as wanted, if there are so many.

    A reranker reads what the caps of pages and documents leave, no more than it is worth.
    """
    wanted = max(query.top_k, reranker.depth) if reranker else query.top_k
    limit = wanted if query.mmr is None else min(wanted, MOST_DIVERSE)
    while True:
        hits = _found(store, _request(replace(query, top_k=limit), vectors, where))
        kept = at_most_per_place(hits, query)
        most = max(limit, _MOST_ASKED if query.mmr is None else MOST_DIVERSE)
        if len(kept) >= wanted or len(hits) < limit or limit == most:
            break
        limit = min(limit * _WIDER, most)
    return reranker.rerank(query.text, kept[:wanted]) if reranker else kept


def _found(store: QdrantStore, request: dict[str, Any]) -> list[Hit]:
    points = store.query(**request, with_payload=True)
    return [hit_from_payload(str(point.id), point.score, point.payload or {}) for point in points]


def _vectors(query: Query, embedder: Embedder, sparse: SparseEncoder) -> dict[str, Any]:
    """The question's vectors; a question without words (``"?!"``) has no sparse one."""
    vectors: dict[str, Any] = {}
    if query.mode != "sparse":
        vectors[DENSE] = embedder.embed_query(query.text).tolist()
    if query.mode != "dense":
        indices, values = sparse.encode_query(query.text)
        if indices:
            vectors[SPARSE] = models.SparseVector(indices=indices, values=values)
    return vectors


def _request(query: Query, vectors: dict[str, Any], where: models.Filter | None) -> dict[str, Any]:
    """One request: Qdrant prefetches by each vector and fuses what it found."""
    candidates = max(_LEAST_CANDIDATES, query.top_k * _OVERSAMPLE)
    if len(vectors) == 1:
        ((using, vector),) = vectors.items()
        if query.mmr is not None and using == DENSE:
            diverse = _diverse(vector, query.mmr, candidates)
            return {**diverse, "where": where, "limit": query.top_k}
        return {"query": vector, "using": using, "where": where, "limit": query.top_k}
    prefetch = [
        models.Prefetch(query=vector, using=using, filter=where, limit=candidates)
        for using, vector in vectors.items()
    ]
    if query.mmr is not None:  # among the hits that fusion finds best
        fused = models.Prefetch(prefetch=prefetch, query=_fusion(query), limit=candidates)
        diverse = _diverse(vectors[DENSE], query.mmr, candidates)
        return {**diverse, "prefetch": [fused], "limit": query.top_k}
    return {"prefetch": prefetch, "query": _fusion(query), "limit": query.top_k}


def _fusion(query: Query) -> models.FusionQuery | models.RrfQuery:
    if query.fusion == "dbsf":
        return models.FusionQuery(fusion=models.Fusion.DBSF)
    return models.RrfQuery(rrf=models.Rrf(k=query.rrf_k, weights=list(query.weights)))


def _diverse(vector: Any, diversity: float, candidates: int) -> dict[str, Any]:
    mmr = models.Mmr(diversity=diversity, candidates_limit=candidates)
    return {"query": models.NearestQuery(nearest=vector, mmr=mmr), "using": DENSE}


def _where(query: Query) -> models.Filter | None:
    where = qdrant_filter(query.filters)
    if not query.skip_flagged:
        return where
    must = [] if where is None else [where]
    return models.Filter(must=must, must_not=[_doubtful()])


def _doubtful() -> models.Filter:
    """Chunks of which :attr:`Hit.doubtful` says something."""
    flagged = models.MatchAny(any=sorted(DOUBTFUL))
    replaced = models.MatchValue(value=Flag.FROM_TEXT_LAYER)
    return models.Filter(
        must=[models.FieldCondition(key=Field.FLAGS, match=flagged)],
        must_not=[models.FieldCondition(key=Field.FLAGS, match=replaced)],
    )
