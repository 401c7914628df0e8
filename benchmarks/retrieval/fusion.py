"""Which way to fuse dense and sparse hits answers best: chosen on one half of the questions.

Questions fall into halves by the SHA-256 of their text (even: choose, odd: report), so that no
figure that is reported had a say in the choice. A way is a candidate if it is nowhere below the
best single kind of vector on the half that chooses; the best mean of hit@1, @3 and @5 wins, and of
equal ones the first named, which is the plainest. ``opticalrag.retrievers.Query`` has its defaults
from here.

Each question is asked for ten hits, so that no more of the collection is looked at than in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.indexing.dense import SentenceTransformerEmbedder
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


class QuestionEmbedder(SentenceTransformerEmbedder):
    """Embeds each question once, however often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._embedded = cache(super().embed_query)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question. Shape: ``[dimension]``, unit length."""
        return self._embedded(text)


def ways() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way to search, with the options of :class:`Query` that make it."""
    for mode in SINGLE:
        yield mode, {"mode": mode}
    for k in CONSTANTS:
        for dense, sparse in WEIGHTS:
            yield (
                f"rrf k={k} weights={dense:g}:{sparse:g}",
                {"rrf_k": k, "weights": (dense, sparse)},
            )
    yield "dbsf", {"fusion": "dbsf"}


def compare(
    questions: Sequence[Any],
    store: QdrantStore,
    embedder: SentenceTransformerEmbedder,
    reranker: Reranker | None = None,
) -> dict[str, Any]:
    """Measure every way on both halves and choose.

    Args:
        questions: with ``question`` and ``found_at(pages)``.
        store: holds the documents.
        embedder: made its dense vectors.
        reranker: also measured, over the default of :class:`Query`.
    """
    sparse = Bm25Encoder()

    def place(one: Any, options: dict[str, Any], reads: Reranker | None) -> int:
        hits = search(store, embedder, sparse, Query(one.question, TOP_K, **options), reads)
        pages = ((hit.file_name, page) for hit in hits for page in hit.pages)
        return int(one.found_at(list(dict.fromkeys(pages))))

    measured: list[tuple[str, dict[str, Any], Reranker | None]] = [
        (name, options, None) for name, options in ways()
    ]
    if reranker is not None:
        measured.append((f"default, reranked by {reranker.name}", {}, reranker))
    halves = {
        "chosen_on": [one for one in questions if is_for_choosing(one.question)],
        "reported_on": [one for one in questions if not is_for_choosing(one.question)],
    }
    found = {
        half: {
            name: figures([place(one, options, reads) for one in asked])
            for name, options, reads in measured
        }
        for half, asked in halves.items()
    }
    sizes = {half: len(asked) for half, asked in halves.items()}
    return {"questions": sizes, "winner": winner(found["chosen_on"]), **found}


def is_for_choosing(question: str) -> bool:
    """Whether a question is in the half that chooses."""
    return hashlib.sha256(question.encode()).digest()[-1] % 2 == 0


def figures(places: Sequence[int]) -> dict[str, float]:
    """Share of questions whose page is among the first k, and the mean reciprocal rank."""
    count = max(len(places), 1)
    hits = {f"@{k}": sum(0 < place <= k for place in places) / count for k in DEPTHS}
    return {**hits, "mrr": sum(1 / place for place in places if place) / count}


def winner(measured: Mapping[str, Mapping[str, float]]) -> str | None:
    """The best way of fusing, or None if each is somewhere below a single kind of vector."""
    floor = {k: max(measured[single][k] for single in SINGLE) for k in ("@1", "@3", "@5")}
    fusions = [
        name
        for name in dict(ways())
        if name not in SINGLE and all(measured[name][k] >= floor[k] for k in floor)
    ]
    return max(fusions, key=lambda name: sum(measured[name][k] for k in floor), default=None)
