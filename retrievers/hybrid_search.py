"""Hybrid search: turns a query into one request of Qdrant's Query API, which fuses the rankings.

Linear fusion needs both scores of every candidate, also of one that only one vector found. So the
candidates of both vectors are scored again by each of them, which costs little beside the search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from qdrant_client import models

from ..ingest.core.flags import DOUBTFUL, Flag
from ..ingest.core.protocols import Embedder, SparseEncoder
from ..ingest.core.schema import DENSE, SPARSE, Field
from ..ingest.store.filters import qdrant_filter
from ..ingest.store.store import QdrantStore
from .context import add_context
from .query import MAX_MMR_TOP_K, Hit, Query, cap_hits, hit_from_payload, in_order, same_score
from .rerank import Reranker

__all__ = ["search"]

# Fusion gets this many candidates from each ranking per hit it returns, but at least 100: a chunk
# that is tenth in both rankings can still win. With 50 candidates, one question in sixty is lost.
_OVERSAMPLE = 5
_MIN_CANDIDATES = 100
# When per_page or per_document drops hits, the next request asks for this many times as many, up to
# the limit: later hits do not answer the question.
_LIMIT_GROWTH = 4
_MAX_LIMIT = 1000
# Linear fusion: the share of a BM25 score that is added to a cosine, for a question of one term. It
# falls with the square root of the number of terms, as does the spread of a sum of their scores:
# without that, long questions go by their words alone. Chosen with benchmarks/retrieval/ranking.py
# for all-MiniLM-L6-v2; 0.035 to 0.055 differ by a question or two. Cosines of other embedders may
# have a narrower range: then lower the second of ``weights``.
_BM25_SHARE: Final = 0.045


def search(
    store: QdrantStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    query: Query,
    reranker: Reranker | None = None,
) -> list[Hit]:
    """Find the chunks that answer a question, best first.

    ``embedder`` and ``sparse`` are those of the collection. Without a collection, there are no
    hits.

    Raises:
        FilterError: Qdrant has no equivalent of a filter.
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
    return add_context(store, hits[: query.top_k], query)


def _ranked(
    store: QdrantStore,
    query: Query,
    vectors: dict[str, Any],
    where: models.Filter | None,
    reranker: Reranker | None,
) -> list[Hit]:
    """The hits in their final order: ``top_k`` or more, if the store has as many.

    A reranker scores up to ``depth`` of the hits that ``per_page`` and ``per_document`` leave.
    """
    wanted = max(query.top_k, reranker.depth) if reranker else query.top_k
    # One hit more than wanted shows whether the last wanted one has equals.
    limit = wanted + 1 if query.mmr is None else min(wanted, MAX_MMR_TOP_K)
    while True:
        request = _request(replace(query, top_k=limit), vectors, where)
        points = store.query(**request, with_payload=True)
        found = [hit_from_payload(str(p.id), p.score, p.payload or {}) for p in points]
        if query.mmr is None:  # whose hits are not in the order of their scores
            found = in_order(found)
        kept = cap_hits(found, query)
        maximum = max(limit, _MAX_LIMIT if query.mmr is None else MAX_MMR_TOP_K)
        enough = len(kept) >= wanted and (
            query.mmr is not None or not _cut(found, kept[wanted - 1])
        )
        if enough or len(found) < limit or limit == maximum:
            break
        limit = min(limit * _LIMIT_GROWTH, maximum)
    return reranker.rerank(query.text, kept[:wanted]) if reranker else kept


def _cut(found: Sequence[Hit], last: Hit) -> bool:
    """Whether the store may have left out hits with the score of the last wanted one."""
    return same_score(last.score) == same_score(found[-1].score)


def _vectors(query: Query, embedder: Embedder, sparse: SparseEncoder) -> dict[str, Any]:
    """The vectors of the question. A question without words (``"?!"``) has no sparse vector."""
    vectors: dict[str, Any] = {}
    if query.mode != "sparse":
        vectors[DENSE] = embedder.embed_query(query.text).tolist()
    if query.mode != "dense":
        indices, values = sparse.encode_query(query.text)
        if indices:
            vectors[SPARSE] = models.SparseVector(indices=indices, values=values)
    return vectors


def _request(query: Query, vectors: dict[str, Any], where: models.Filter | None) -> dict[str, Any]:
    """Build one request: Qdrant searches by each vector and fuses the two rankings."""
    candidates = max(_MIN_CANDIDATES, query.top_k * _OVERSAMPLE)
    if len(vectors) == 1:
        ((using, vector),) = vectors.items()
        if query.mmr is not None and using == DENSE:
            diverse = _diverse(vector, query.mmr, candidates)
            return {**diverse, "where": where, "limit": query.top_k}
        return {"query": vector, "using": using, "where": where, "limit": query.top_k}
    prefetch = _stages(vectors, candidates, where)
    if query.fusion == "linear":
        prefetch = _stages(vectors, len(vectors) * candidates, prefetch=prefetch)
    fusion = _fusion(query, vectors)
    if query.mmr is not None:  # diversify the best fused hits
        fused = models.Prefetch(prefetch=prefetch, query=fusion, limit=candidates)
        diverse = _diverse(vectors[DENSE], query.mmr, candidates)
        return {**diverse, "prefetch": [fused], "limit": query.top_k}
    return {"prefetch": prefetch, "query": fusion, "limit": query.top_k}


def _stages(
    vectors: dict[str, Any],
    limit: int,
    where: models.Filter | None = None,
    prefetch: list[models.Prefetch] | None = None,
) -> list[models.Prefetch]:
    """One stage for each vector: over all points, or over those that other stages have found."""
    return [
        models.Prefetch(query=vector, using=using, filter=where, prefetch=prefetch, limit=limit)
        for using, vector in vectors.items()
    ]


def _fusion(
    query: Query, vectors: dict[str, Any]
) -> models.FusionQuery | models.RrfQuery | models.FormulaQuery:
    if query.fusion == "dbsf":
        return models.FusionQuery(fusion=models.Fusion.DBSF)
    if query.fusion == "rrf":
        return models.RrfQuery(rrf=models.Rrf(k=query.rrf_k, weights=list(query.weights)))
    dense, sparse = query.weights
    share = _BM25_SHARE / math.sqrt(len(vectors[SPARSE].indices))
    weighed = [
        models.MultExpression(mult=[weight, f"$score[{number}]"])
        for number, weight in enumerate((dense, sparse * share))
    ]
    return models.FormulaQuery(
        formula=models.SumExpression(sum=weighed), defaults={"$score[0]": 0.0, "$score[1]": 0.0}
    )


def _diverse(vector: Any, diversity: float, candidates: int) -> dict[str, Any]:
    mmr = models.Mmr(diversity=diversity, candidates_limit=candidates)
    return {"query": models.NearestQuery(nearest=vector, mmr=mmr), "using": DENSE}


def _where(query: Query) -> models.Filter | None:
    where = qdrant_filter(query.filters)
    if not query.skip_flagged:
        return where
    flagged = models.MatchAny(any=sorted(DOUBTFUL))
    replaced = models.MatchValue(value=Flag.FROM_TEXT_LAYER)
    doubtful = models.Filter(  # as Hit.doubtful
        must=[models.FieldCondition(key=Field.FLAGS, match=flagged)],
        must_not=[models.FieldCondition(key=Field.FLAGS, match=replaced)],
    )
    return models.Filter(must=[where] if where else [], must_not=[doubtful])
