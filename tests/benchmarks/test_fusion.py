"""The benchmark of fusions: how it chooses, and that it measures a reranker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llama_index.core.schema import TextNode

from benchmarks.retrieval.fusion import (
    QuestionEmbedder,
    compare,
    is_for_choosing,
    ways,
    winner,
)
from opticalrag.ingest.llama_index.index_nodes import index_nodes
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.query import Hit, Query


@dataclass(frozen=True)
class Asked:
    question: str

    def found_at(self, pages: Sequence[object]) -> int:
        return 1 if pages else 0


class Backwards:
    """A reranker that reverses the order."""

    name = "backwards"
    depth = 10

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        return [replace(hit, score=float(n)) for n, hit in enumerate(reversed(hits))]


def measured(**better: float) -> dict[str, dict[str, float]]:
    figures = {name: {"@1": 0.5, "@3": 0.5, "@5": 0.5} for name, _ in ways()}
    for name, value in better.items():
        figures[name] = {"@1": value, "@3": 0.5, "@5": 0.5}
    return figures


def test_the_best_way_wins_and_the_simplest_among_equals() -> None:
    """A way that a single vector beats at any depth cannot win."""
    simplest = next(name for name, options in ways() if "mode" not in options)

    assert winner(measured()) == simplest
    assert winner(measured(dbsf=0.9)) == "dbsf"
    assert winner(measured(dbsf=0.9, sparse=0.95)) is None


def test_the_default_query_is_the_simplest_way() -> None:
    """A way that only ties does not replace the default."""
    options = next(options for _, options in ways() if "mode" not in options)

    assert Query("?", **options) == Query("?")


def test_every_way_is_measured_on_both_halves() -> None:
    """The halves depend on the questions alone and cover all of them."""
    nodes = [
        TextNode(text=t, metadata={"file_name": "a", "pages": [1]}) for t in ("A pump.", "A valve.")
    ]
    questions = [Asked(f"Is pump {n} old?") for n in range(8)]
    embedder = QuestionEmbedder()
    with QdrantStore(":memory:") as store:
        index_nodes(nodes, store, embedder)
        found = compare(questions, store, embedder, Backwards())

    assert sum(found["questions"].values()) == 8
    assert found["questions"]["chosen_on"] == sum(is_for_choosing(q.question) for q in questions)
    assert len(found["reported_on"]) == len(list(ways())) + 1
    assert found["reported_on"]["default, reranked by backwards"]["@1"] == 1
