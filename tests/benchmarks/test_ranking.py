"""The benchmark of rankings: what it measures, and that its scores are those of the store."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retrieval.question_sets import Question, measured
from benchmarks.retrieval.ranking import cross_validated
from benchmarks.retrieval.scores import bm25, linear, rrf
from opticalrag.ingest.core.records import Point
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Query

from ..builders import WordCounter
from ..contract.stores import DIMENSION, make_points, point_id, question

TEXTS = ["the red pump", "the pump of the boat", "a boat", "twelve divers", "pump, pump and pump"]


def test_a_ranking_is_measured_by_its_right_pages() -> None:
    """The second of two right pages is found late: it counts for nDCG alone."""
    asked = Question("?", frozenset({("a", 1), ("a", 2)}), ("text",))
    found = measured(asked, [("b", 1), ("a", 2), ("b", 2), ("a", 1)])

    best = 1 + 1 / np.log2(3)
    ndcg = (1 / np.log2(3) + 1 / np.log2(5)) / best
    assert found == pytest.approx([0, 1, 1, 1, ndcg])
    assert measured(asked, []) == pytest.approx([0] * 5)


def test_a_way_is_chosen_where_it_is_not_reported() -> None:
    """The best way on the other sets is reported, though another is better on this one."""
    figures = {
        "rrf": {"a": [0.9], "b": [0.1], "c": [0.1]},
        "linear": {"a": [0.1], "b": [0.9], "c": [0.9]},
        "dense": {"a": [1.0], "b": [1.0], "c": [1.0]},
    }

    assert cross_validated(figures)["a"] == {"way": "linear", "figures": [0.1]}


def test_scores_are_those_of_the_store() -> None:
    """Words and fusions: what numpy chooses is what a search finds."""
    sparse, vectors = Bm25Encoder(), [point.dense for point in make_points(len(TEXTS))]

    class Asked(WordCounter):
        name, dimension, max_tokens = "asked", DIMENSION, 256

        def embed_documents(self, texts: object) -> object:
            raise NotImplementedError

        def embed_query(self, text: str) -> object:
            return question(1)

    words = bm25(TEXTS, ["red pump"], sparse)
    dense = (np.stack(vectors) @ question(1))[None, :]
    with QdrantStore(":memory:") as store:
        store.ensure(Asked(), sparse)  # type: ignore[arg-type]
        rows = zip(vectors, sparse.encode_documents(TEXTS), strict=True)
        store.upsert([Point(point_id(n), {}, *row) for n, row in enumerate(rows)])
        for query, expected in (
            (Query("red pump", mode="sparse"), words),
            (Query("red pump"), linear(dense, words, 0.045 / np.sqrt(2))),
            (Query("red pump", fusion="rrf", rrf_k=2), rrf([dense, words], 2)),
        ):
            found = {h.id: h.score for h in search(store, Asked(), sparse, query)}  # type: ignore[arg-type]
            wanted = {point_id(n): value for n, value in enumerate(expected[0]) if value}
            assert found == pytest.approx(wanted, abs=1e-5)
