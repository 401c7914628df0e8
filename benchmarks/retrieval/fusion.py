"""Compares ways to fuse dense and sparse hits. One half of the questions chooses the best way.

The SHA-256 of a question's text decides its half (even: choose, odd: report), so the reported
figures have no influence on the choice. On the half that chooses, a way is a candidate if hit@1,
@3 and @5 are all at least those of the better single vector. The candidate with the highest mean of
the three wins; among equal ones, the first in the list, which is the simplest. This benchmark
chose the defaults of ``opticalrag.retrievers.Query``.

Each question asks for ten hits, as many as a search does in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.core.protocols import Embedder
from opticalrag.ingest.indexing.minilm import MiniLMEmbedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Query
from opticalrag.retrievers.rerank import Reranker

__all__ = ["QuestionEmbedder", "compare", "is_for_choosing", "ways"]

CONSTANTS = (2, 10, 20, 60)
WEIGHTS = ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (3.0, 1.0), (1.0, 3.0))
DEPTHS = (1, 3, 5)
SINGLE = ("dense", "sparse")
TOP_K = 10


class QuestionEmbedder(MiniLMEmbedder):
    """Caches the embedding of each question."""

    def __init__(self) -> None:
        super().__init__()
        self._embedded = cache(super().embed_query)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question. Shape: ``[dimension]``, unit length."""
        return self._embedded(text)


def ways() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of every way to search and its :class:`Query` options."""
    for mode in SINGLE:
        yield mode, {"mode": mode}
    for dense, sparse in WEIGHTS:
        yield f"linear weights={dense:g}:{sparse:g}", {"weights": (dense, sparse)}
    for k in CONSTANTS:
        for dense, sparse in WEIGHTS:
            yield (
                f"rrf k={k} weights={dense:g}:{sparse:g}",
                {"fusion": "rrf", "rrf_k": k, "weights": (dense, sparse)},
            )
    yield "dbsf", {"fusion": "dbsf"}


def compare(
    questions: Sequence[Any],
    store: QdrantStore,
    embedder: Embedder,
    reranker: Reranker | None = None,
) -> dict[str, Any]:
    """Measure every way on both halves and choose the best.

    Args:
        questions: objects with ``question`` and ``found_at(pages)``.
        store: the store of the documents.
        embedder: the embedding model of the store.
        reranker: measured too, with the default options of :class:`Query`.
    """
    sparse = Bm25Encoder()

    def rank(asked: Any, options: dict[str, Any], used: Reranker | None) -> int:
        hits = search(store, embedder, sparse, Query(asked.question, TOP_K, **options), used)
        pages = ((hit.file_name, page) for hit in hits for page in hit.pages)
        return int(asked.found_at(list(dict.fromkeys(pages))))

    measured: list[tuple[str, dict[str, Any], Reranker | None]] = [
        (name, options, None) for name, options in ways()
    ]
    if reranker is not None:
        measured.append((f"default, reranked by {reranker.name}", {}, reranker))
    halves = {
        "chosen_on": [q for q in questions if is_for_choosing(q.question)],
        "reported_on": [q for q in questions if not is_for_choosing(q.question)],
    }
    found = {
        half: {
            name: figures([rank(asked, options, used) for asked in half_questions])
            for name, options, used in measured
        }
        for half, half_questions in halves.items()
    }
    sizes = {half: len(half_questions) for half, half_questions in halves.items()}
    return {"questions": sizes, "winner": winner(found["chosen_on"]), **found}


def is_for_choosing(question: str) -> bool:
    """Whether a question belongs to the half that chooses."""
    return hashlib.sha256(question.encode()).digest()[-1] % 2 == 0


def figures(ranks: Sequence[int]) -> dict[str, float]:
    """Compute hit@k and the mean reciprocal rank from 1-based ranks (0: not found)."""
    count = max(len(ranks), 1)
    hits = {f"@{k}": sum(0 < rank <= k for rank in ranks) / count for k in DEPTHS}
    return {**hits, "mrr": sum(1 / rank for rank in ranks if rank) / count}


def winner(measured: Mapping[str, Mapping[str, float]]) -> str | None:
    """The best fusion, or None if a single vector beats every fusion at some depth."""
    floor = {k: max(measured[single][k] for single in SINGLE) for k in ("@1", "@3", "@5")}
    fusions = [
        name
        for name in dict(ways())
        if name not in SINGLE and all(measured[name][k] >= floor[k] for k in floor)
    ]
    return max(fusions, key=lambda name: sum(measured[name][k] for k in floor), default=None)
