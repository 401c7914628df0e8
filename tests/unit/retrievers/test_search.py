"""Retrieval with real vectors in a real embedded store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore
from numpy.typing import NDArray

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.errors import ConfigError, FilterError, SchemaMismatch
from opticalrag.ingest.core.records import BlockKind, Box, Point
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.minilm import MiniLMEmbedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.llama_index.nodes import chunk_nodes, node_payload
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.citations import cite
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Fusion, Hit, Query, SearchMode, hit_from_payload
from opticalrag.retrievers.retriever import HybridRetriever

from ...builders import block, document, page

EMBEDDER = make_embedder()
SPARSE = Bm25Encoder()
SECTIONS = {
    "Pumps": "The main coolant pump was exchanged during the spring outage.",
    "Faults": "The controller logged error E-4711 and restarted by itself.",
    "Weather": "Storms were rarer than in any year since records began.",
    "Staff": "Twelve people joined the station, among them two divers.",
}


@pytest.fixture(scope="module")
def store() -> Iterator[QdrantStore]:
    """One page per section, stored as by the pipeline."""
    pages = [
        page_markdown(page(block(title, BlockKind.HEADING, 1), block(text * 3), index=n))
        for n, (title, text) in enumerate(SECTIONS.items())
    ]
    chunks = [c for p in pages for c in chunk_pages(document(4), [p], EMBEDDER)]
    nodes = chunk_nodes(chunks, {p.index: p for p in pages})
    dense = EMBEDDER.embed_documents([n.text for n in nodes])
    sparse = SPARSE.encode_documents([n.text for n in nodes])
    with QdrantStore(":memory:") as opened:
        opened.ensure(EMBEDDER, SPARSE)
        opened.upsert(
            [
                Point(node.node_id, node_payload(node), vector, terms)
                for node, vector, terms in zip(nodes, dense, sparse, strict=True)
            ]
        )
        yield opened


@pytest.mark.parametrize(
    ("question", "section", "modes"),
    [
        ("When did they replace the water circulation machine?", "Pumps", ["dense", "hybrid"]),
        ("E-4711", "Faults", ["sparse", "hybrid"]),
        ("how many new employees", "Staff", ["dense", "hybrid"]),
    ],
)
def test_meaning_and_exact_words_are_found(
    store: QdrantStore, question: str, section: str, modes: list[SearchMode]
) -> None:
    """Dense search finds paraphrases, sparse search identifiers, hybrid search both."""
    for mode in modes:
        hits = search(store, EMBEDDER, SPARSE, Query(question, mode=mode))
        assert hits[0].heading_path == (section,), mode


def test_a_hit_names_its_source(store: QdrantStore) -> None:
    """File, page, label, boxes and headings come back as they were stored."""
    (hit,) = search(store, EMBEDDER, SPARSE, Query("error E-4711", top_k=1))

    assert (hit.file_name, hit.pages, hit.page_labels) == ("report.pdf", (2,), ("2",))
    assert hit.boxes == ((2, Box(0.1, 0.1, 0.9, 0.2)),)
    assert hit.kind == "text"


def test_filters_narrow_the_search(store: QdrantStore) -> None:
    """A filter by page or by several sections excludes everything else."""
    for filters, pages in [({Field.PAGES: 3}, {3}), ({Field.SECTION: ["Pumps", "Staff"]}, {1, 4})]:
        hits = search(store, EMBEDDER, SPARSE, Query("pump", top_k=9, filters=filters))
        assert {hit.pages[0] for hit in hits} == pages


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": " "},
        {"top_k": 0},
        {"mode": "magic"},
        {"fusion": "sum"},
        {"rrf_k": 0},
        {"weights": (1.0, 0.0)},
        {"weights": (1.0,)},
        {"fusion": "dbsf", "weights": (2.0, 1.0)},
        {"mmr": 1.5},
        {"mmr": 0.5, "mode": "sparse"},
        {"per_page": 0},
        {"per_document": 0},
        {"context": "chapter"},
        {"context_chars": 0},
    ],
)
def test_invalid_queries_are_refused(wrong: dict[str, object]) -> None:
    """An empty question, zero hits, and unknown or contradictory options are errors."""
    with pytest.raises(ConfigError):
        Query(**{"text": "x", **wrong})  # type: ignore[arg-type]


def test_a_question_without_words_finds_by_meaning_only(store: QdrantStore) -> None:
    """Punctuation has no sparse terms; this is not an error."""
    assert len(search(store, EMBEDDER, SPARSE, Query("?!", top_k=2))) == 2


def test_a_question_of_stop_words_alone_finds_no_words(store: QdrantStore) -> None:
    """Its BM25 vector is empty: sparse search finds nothing, hybrid search does."""
    assert search(store, EMBEDDER, SPARSE, Query("?!", mode="sparse")) == []
    assert search(store, EMBEDDER, SPARSE, Query("the of and", mode="sparse")) == []
    assert len(search(store, EMBEDDER, SPARSE, Query("the of and", top_k=2, fusion="dbsf"))) == 2


def sections(hits: Sequence[Hit]) -> list[str]:
    return [hit.heading_path[0] for hit in hits]


@pytest.mark.parametrize(
    ("k", "weights"), [(2, (1.0, 1.0)), (60, (1.0, 1.0)), (2, (3.0, 1.0)), (10, (1.0, 2.0))]
)
def test_fusion_uses_the_constant_and_the_weights(
    store: QdrantStore, k: int, weights: tuple[float, float]
) -> None:
    """Scores follow the formula: the sum of 1 / (k - 1 + rank / weight)."""
    question = "Did they employ divers because of error E-4711?"
    expected: dict[str, float] = {}
    for mode, weight in zip(("dense", "sparse"), weights, strict=True):
        hits = search(store, EMBEDDER, SPARSE, Query(question, 9, mode))
        for rank, hit in enumerate(hits, start=1):
            expected[hit.id] = expected.get(hit.id, 0) + 1 / (k - 1 + rank / weight)
    query = Query(question, 9, fusion="rrf", rrf_k=k, weights=weights)
    found = search(store, EMBEDDER, SPARSE, query)

    assert {hit.id: hit.score for hit in found} == pytest.approx(expected)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 3.0)])
def test_linear_fusion_adds_the_scores_of_both_vectors(
    store: QdrantStore, weights: tuple[float, float]
) -> None:
    """BM25 counts less the more terms a question has; a hit without them has its cosine alone."""
    question = "Did they employ divers because of error E-4711?"
    dense, sparse = (
        {h.id: h.score for h in search(store, EMBEDDER, SPARSE, Query(question, 9, mode))}
        for mode in ("dense", "sparse")
    )
    share = 0.045 / len(SPARSE.encode_query(question)[0]) ** 0.5
    found = search(store, EMBEDDER, SPARSE, Query(question, 9, weights=weights))

    assert 0 < len(sparse) < len(dense)
    assert {hit.id: hit.score for hit in found} == pytest.approx(
        {
            name: weights[0] * score + weights[1] * share * sparse.get(name, 0)
            for name, score in dense.items()
        },
        abs=1e-6,
    )
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)


EQUALS = 300


@pytest.fixture(scope="module")
def equals() -> Iterator[QdrantStore]:
    """Three documents in a folder; all their chunks have the same text. Stored in a mixed order."""
    text = "The coolant pump was exchanged."
    dense, sparse = EMBEDDER.embed_documents([text])[0], SPARSE.encode_documents([text])[0]
    points = [
        Point(
            str(uuid5(NAMESPACE_OID, str(n))),
            {Field.FILE_PATH: f"/{n % 3}.pdf", Field.ORDINAL: n // 3, Field.TEXT: text},
            dense,
            sparse,
        )
        for n in np.random.default_rng(0).permutation(EQUALS).tolist()
    ]
    with TemporaryDirectory() as folder, QdrantStore(folder) as opened:
        opened.ensure(EMBEDDER, SPARSE)
        opened.upsert(points)
        yield opened


@pytest.mark.parametrize("options", [{}, {"mode": "dense"}, {"mode": "sparse"}])
def test_equal_hits_are_in_the_order_of_their_documents(
    equals: QdrantStore, options: dict[str, Any]
) -> None:
    """Neither the order of storing nor the engine decides, nor where the result ends."""
    hits = search(equals, EMBEDDER, SPARSE, Query("coolant pump", EQUALS, **options))
    order = [(hit.file_path, hit.payload[Field.ORDINAL]) for hit in hits]
    first = search(equals, EMBEDDER, SPARSE, Query("coolant pump", 5, **options))

    assert order == sorted(order)
    assert len({hit.id for hit in hits}) == len(hits) == EQUALS
    if options:
        assert [hit.id for hit in first] == [hit.id for hit in hits[:5]]


@pytest.mark.parametrize("fusion", ["linear", "rrf", "dbsf"])
def test_equal_hits_are_in_the_same_order_every_time(equals: QdrantStore, fusion: Fusion) -> None:
    """The embedded engine fuses in the order of a hash table, which is another in every query."""
    query = Query("coolant pump", 5, fusion=fusion)
    asked = [search(equals, EMBEDDER, SPARSE, query) for _ in range(20)]

    assert len({tuple(hit.id for hit in hits) for hits in asked}) == 1


def test_dbsf_fuses_scores_instead_of_ranks(store: QdrantStore) -> None:
    """It finds the same best hit with other scores."""
    hits = search(store, EMBEDDER, SPARSE, Query("error E-4711", fusion="dbsf"))

    assert sections(hits)[0] == "Faults"
    assert hits[0].score > hits[1].score


@pytest.mark.parametrize("options", [{}, {"fusion": "dbsf"}, {"mmr": 0.5}])
def test_a_question_is_one_request(
    store: QdrantStore, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Qdrant searches, fuses and diversifies in one request."""
    asked: list[dict[str, Any]] = []
    query_points = store.client.query_points
    monkeypatch.setattr(
        store.client,
        "query_points",
        lambda *args, **request: asked.append(request) or query_points(*args, **request),  # type: ignore[func-returns-value]
    )
    assert search(store, EMBEDDER, SPARSE, Query("pump", top_k=2, **options))
    assert len(asked) == 1


@pytest.fixture(scope="module")
def crowded() -> Iterator[QdrantStore]:
    """Two documents. One has the same text on three pages, the first with doubtful OCR."""
    texts = ["The coolant pump was exchanged."] * 3 + ["The coolant pump of the boat is old."]
    payloads = [
        {
            Field.FILE_ID: "a" if n < 3 else "b",
            Field.FILE_NAME: "a.pdf" if n < 3 else "b.pdf",
            Field.PAGES: [max(n, 1)] if n < 3 else [1],
            Field.FLAGS: [["loop"], ["loop", "text_layer_used"], ["ocr"], []][n],
            Field.KIND: "text",
            Field.TEXT: text,
        }
        for n, text in enumerate(texts)
    ]
    with QdrantStore(":memory:") as opened:
        opened.ensure(EMBEDDER, SPARSE)
        dense, sparse = EMBEDDER.embed_documents(texts), SPARSE.encode_documents(texts)
        ids = [f"d0c00000-0000-5000-8000-00000000000{n}" for n in range(4)]
        rows = zip(ids, payloads, dense, sparse, strict=True)
        opened.upsert([Point(i, dict(p), d, s) for i, p, d, s in rows])
        yield opened


def numbers(hits: Sequence[Hit]) -> set[int]:
    return {int(hit.id[-1]) for hit in hits}


def test_hits_per_page_and_per_document_are_limited(crowded: QdrantStore) -> None:
    """Hits of other pages fill the result, with further requests if necessary."""
    ask = {"text": "coolant pump exchanged", "mode": "dense"}

    def found(**options: Any) -> list[Hit]:
        return search(crowded, EMBEDDER, SPARSE, Query(**ask, **options))

    assert numbers(found(top_k=2)) < {0, 1, 2}
    assert sorted((h.file_id, h.pages[0]) for h in found(top_k=3, per_page=1)) == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]
    assert [h.file_id for h in found(top_k=2, per_document=1)] == ["a", "b"]
    assert len(found(top_k=9, per_document=2)) == 3


def test_mmr_prefers_different_texts(crowded: QdrantStore) -> None:
    """The second hit has another text, in either mode."""
    for mode in ("dense", "hybrid"):
        plain = search(crowded, EMBEDDER, SPARSE, Query("coolant pump", 2, mode))
        diverse = search(crowded, EMBEDDER, SPARSE, Query("coolant pump", 2, mode, mmr=0.6))
        assert len({hit.text for hit in plain}) == 1, mode
        assert len({hit.text for hit in diverse}) == 2, mode


def test_doubtful_pages_are_marked_or_left_out(crowded: QdrantStore) -> None:
    """A page whose doubtful OCR was replaced by its text layer is not doubtful."""
    query = Query("coolant pump", top_k=9, filters={Field.KIND: "text"})
    marked = search(crowded, EMBEDDER, SPARSE, query)
    sure = search(crowded, EMBEDDER, SPARSE, replace(query, skip_flagged=True))

    assert {hit.id[-1]: hit.doubtful for hit in marked} == {
        "0": ("loop",),
        "1": (),
        "2": (),
        "3": (),
    }
    assert numbers(sure) == {1, 2, 3}
    assert cite(next(h for h in marked if h.id[-1] == "0")).doubtful == ("loop",)


def test_hits_below_a_score_are_left_out(store: QdrantStore) -> None:
    """``min_score`` applies to the returned score."""
    query = Query("coolant pump", top_k=9, mode="dense")
    scores = [hit.score for hit in search(store, EMBEDDER, SPARSE, query)]
    kept = search(store, EMBEDDER, SPARSE, replace(query, min_score=scores[1]))

    assert [hit.score for hit in kept] == scores[:2]


def test_filters_of_llama_index_narrow_the_search(store: QdrantStore) -> None:
    """Nested conditions apply to every prefetch, so that a filtered search is complete."""
    second = MetadataFilter(key=Field.PAGES, value=2, operator=FilterOperator.GTE)
    last = MetadataFilter(key=Field.SECTION, value="Staff", operator=FilterOperator.EQ)
    filters = MetadataFilters(
        filters=[second, MetadataFilters(filters=[last], condition=FilterCondition.NOT)]
    )
    for mode in ("dense", "sparse", "hybrid"):
        hits = search(store, EMBEDDER, SPARSE, Query("error storms", 9, mode, filters))
        assert set(sections(hits)) <= {"Faults", "Weather"}, mode
    assert set(sections(hits)) == {"Faults", "Weather"}
    nonsense = MetadataFilter(key=Field.SECTION, value="Z", operator=FilterOperator.GT)
    with pytest.raises(FilterError, match="section"):
        search(store, EMBEDDER, SPARSE, Query("x", filters=MetadataFilters(filters=[nonsense])))


def test_an_empty_store_has_no_hits() -> None:
    """Searching before ingesting finds nothing."""
    with QdrantStore(":memory:") as empty:
        assert search(empty, EMBEDDER, SPARSE, Query("pump")) == []


def test_another_model_than_the_collections_is_refused(store: QdrantStore) -> None:
    """Vectors of two models are never compared."""

    class Other(MiniLMEmbedder):
        name = "other"

    with pytest.raises(SchemaMismatch, match="other"):
        search(store, Other(), SPARSE, Query("pump"))


def test_a_citation_names_page_printed_label_and_link() -> None:
    """The string is for people, the link for programs."""
    hit = hit_from_payload(
        "id",
        0.5,
        {
            Field.TEXT: "Some  words " * 50,
            Field.FILE_NAME: "a b.pdf",
            Field.FILE_PATH: "/docs/a b.pdf",
            Field.PAGES: [3, 4],
            Field.PAGE_LABELS: ["iii", "1"],
            Field.BOXES: [{"page": 3, "box": [0, 0, 1, 1]}, {"page": 4, "box": [0, 0, 1, 1]}],
            Field.HEADING_PATH: ["A", "B"],
        },
    )
    citation = cite(hit)

    assert str(citation) == "a b.pdf · page 3 (iii) · A > B [0.500]"
    assert citation.link == "/docs/a%20b.pdf#page=3"
    assert len(citation.boxes) == 1
    assert len(citation.snippet) == 240
    assert json.loads(json.dumps(citation.as_dict()))["page"] == 3


def test_points_of_other_tools_are_hits_with_the_fields_they_have() -> None:
    """Missing fields stay empty and raise nothing."""
    hit = hit_from_payload("id", 1.0, {"text": "words"})

    assert (hit.text, hit.pages, cite(hit).page, cite(hit).link) == ("words", (), None, "")


def test_the_retriever_returns_nodes_with_citations(store: QdrantStore) -> None:
    """A LlamaIndex node comes back as stored, with its citation."""
    (found,) = HybridRetriever(store, similarity_top_k=1).retrieve("error E-4711")

    assert found.node.metadata["citation"]["page"] == 2
    assert found.node.metadata[Field.HEADING_PATH] == ["Faults"]
    assert found.score is not None
    assert "citation" not in found.node.get_content("embed")  # type: ignore[call-arg, arg-type]


def test_the_retriever_works_asynchronously_and_in_a_query_engine(store: QdrantStore) -> None:
    """LlamaIndex uses it like any other retriever."""
    retriever = HybridRetriever(store, similarity_top_k=2)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())

    assert len(asyncio.run(retriever.aretrieve("pump"))) == 2
    assert len(engine.query("pump").source_nodes) == 2


def test_an_empty_question_finds_nothing(store: QdrantStore) -> None:
    """Agents sometimes send one; it must not stop them."""
    assert HybridRetriever(store).retrieve("  ") == []


def test_concurrent_questions_get_the_same_answers_as_sequential_ones(store: QdrantStore) -> None:
    """Tasks and threads may share a retriever."""
    retriever = HybridRetriever(store, embedder=EMBEDDER, similarity_top_k=3, mmr=0.3)
    questions = [*SECTIONS.values(), *SECTIONS, "pump " * 400, "E-4711"] * 3

    def plain(found: Sequence[NodeWithScore]) -> list[tuple[str, float | None]]:
        return [(one.node.node_id, one.score) for one in found]

    async def at_once() -> list[list[NodeWithScore]]:
        return await asyncio.gather(*(retriever.aretrieve(q) for q in questions))

    alone = [plain(retriever.retrieve(question)) for question in questions]
    with ThreadPoolExecutor(8) as threads:
        by_threads = [plain(found) for found in threads.map(retriever.retrieve, questions)]

    for found in ([plain(one) for one in asyncio.run(at_once())], by_threads):
        assert [[i for i, _ in one] for one in found] == [[i for i, _ in one] for one in alone]
        for one, other in zip(found, alone, strict=True):
            assert [s for _, s in one] == pytest.approx([s for _, s in other], abs=1e-5)


def test_the_event_loop_runs_while_a_question_is_answered(store: QdrantStore) -> None:
    """Embedding blocks a thread and not the event loop."""

    class Slow(MiniLMEmbedder):
        def embed_query(self, text: str) -> NDArray[np.float32]:
            time.sleep(0.3)
            return super().embed_query(text)

    async def ticks_meanwhile() -> int:
        asked = asyncio.create_task(HybridRetriever(store, embedder=Slow()).aretrieve("pump"))
        ticks = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(ticks_meanwhile()) > 10


def test_llama_indexes_own_store_reads_our_points(store: QdrantStore) -> None:
    """A LlamaIndex index over our collection returns our nodes."""
    vectors = QdrantVectorStore(
        store.collection,
        client=store.client,
        dense_vector_name="dense",
        sparse_vector_name="sparse",
    )
    index = VectorStoreIndex.from_vector_store(vectors, embed_model=MockEmbedding(384))
    found = index.as_retriever(similarity_top_k=4).retrieve("anything")

    assert {n.node.metadata[Field.SECTION] for n in found} == set(SECTIONS)
    assert all(n.node.ref_doc_id for n in found)


@pytest.mark.parametrize(
    "options", [{"top_k": 2.5}, {"top_k": 10**20}, {"rrf_k": 10**30}, {"top_k": 101, "mmr": 0.5}]
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """Before a request is sent."""
    with pytest.raises(ConfigError):
        Query("pump", **options)
