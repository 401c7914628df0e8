"""Retrieval over real vectors in a real embedded store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.vector_stores.qdrant import QdrantVectorStore
from opticalrag.ingest.chunking import chunk_pages
from opticalrag.ingest.config import ConfigError
from opticalrag.ingest.embedding import SentenceTransformerEmbedder
from opticalrag.ingest.errors import SchemaMismatch
from opticalrag.ingest.markdown import render_page
from opticalrag.ingest.node_parser import chunk_nodes, node_payload
from opticalrag.ingest.schema import Field
from opticalrag.ingest.sparse import Bm25Encoder
from opticalrag.ingest.store import QdrantStore
from opticalrag.ingest.types import BlockKind, Box, Point
from opticalrag.retrievers.citations import cite
from opticalrag.retrievers.hybrid import HybridRetriever
from opticalrag.retrievers.query import Query, SearchMode, hit_from_payload
from opticalrag.retrievers.search import search

from ..builders import block, document, page

EMBEDDER = SentenceTransformerEmbedder()
SPARSE = Bm25Encoder()
SECTIONS = {
    "Pumps": "The main coolant pump was exchanged during the spring outage.",
    "Faults": "The controller logged error E-4711 and restarted by itself.",
    "Weather": "Storms were rarer than in any year since records began.",
    "Staff": "Twelve people joined the station, among them two divers.",
}


@pytest.fixture(scope="module")
def store() -> Iterator[QdrantStore]:
    """One page per section, stored as the pipeline stores them."""
    pages = [
        render_page(page(block(title, BlockKind.HEADING, 1), block(text * 3), index=n))
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
    """Dense finds paraphrases, sparse identifiers, hybrid both."""
    for mode in modes:
        hits = search(store, EMBEDDER, SPARSE, Query(question, mode=mode))
        assert hits[0].heading_path == (section,), mode


def test_a_hit_says_where_it_stands(store: QdrantStore) -> None:
    """File, page, label, boxes and headings come back as they were stored."""
    (hit,) = search(store, EMBEDDER, SPARSE, Query("error E-4711", top_k=1))

    assert (hit.file_name, hit.pages, hit.page_labels) == ("report.pdf", (2,), ("2",))
    assert hit.boxes == ((2, Box(0.1, 0.1, 0.9, 0.2)),)
    assert hit.kind == "text"


def test_filters_narrow_the_search(store: QdrantStore) -> None:
    """A filter by page or by several sections leaves out all else."""
    for filters, pages in [({Field.PAGES: 3}, {3}), ({Field.SECTION: ["Pumps", "Staff"]}, {1, 4})]:
        hits = search(store, EMBEDDER, SPARSE, Query("pump", top_k=9, filters=filters))
        assert {hit.pages[0] for hit in hits} == pages


@pytest.mark.parametrize("wrong", [{"text": " "}, {"top_k": 0}, {"mode": "magic"}])
def test_questions_that_cannot_be_asked_are_refused(wrong: dict[str, object]) -> None:
    """Empty questions, no hits and unknown modes are errors of use."""
    with pytest.raises(ConfigError):
        Query(**{"text": "x", **wrong})  # type: ignore[arg-type]


def test_a_question_without_words_finds_by_meaning_only(store: QdrantStore) -> None:
    """Punctuation has no sparse terms, and still no error."""
    assert len(search(store, EMBEDDER, SPARSE, Query("?!", top_k=2))) == 2


def test_an_empty_store_has_no_hits() -> None:
    """Searching before ingesting finds nothing."""
    with QdrantStore(":memory:") as empty:
        assert search(empty, EMBEDDER, SPARSE, Query("pump")) == []


def test_another_model_than_the_collections_is_refused(store: QdrantStore) -> None:
    """Vectors of two models are never compared."""

    class Other(SentenceTransformerEmbedder):
        name = "other"  # type: ignore[assignment]

    with pytest.raises(SchemaMismatch, match="other"):
        search(store, Other(), SPARSE, Query("pump"))


def test_a_citation_names_page_printed_label_and_link() -> None:
    """What a person reads and what a program opens."""
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


def test_points_of_others_are_hits_with_what_they_have() -> None:
    """A payload without our fields neither raises nor invents."""
    hit = hit_from_payload("id", 1.0, {"text": "words"})

    assert (hit.text, hit.pages, cite(hit).page, cite(hit).link) == ("words", (), None, "")


def test_the_retriever_returns_nodes_with_citations(store: QdrantStore) -> None:
    """A LlamaIndex node comes back as stored, with its citation beside it."""
    (found,) = HybridRetriever(store, similarity_top_k=1).retrieve("error E-4711")

    assert found.node.metadata["citation"]["page"] == 2
    assert found.node.metadata[Field.HEADING_PATH] == ["Faults"]
    assert found.score is not None
    assert "citation" not in found.node.get_content("embed")  # type: ignore[call-arg, arg-type]


def test_the_retriever_works_asynchronously_and_in_a_query_engine(store: QdrantStore) -> None:
    """It is a retriever like any other to LlamaIndex."""
    retriever = HybridRetriever(store, similarity_top_k=2)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())

    assert len(asyncio.run(retriever.aretrieve("pump"))) == 2
    assert len(engine.query("pump").source_nodes) == 2


def test_the_retriever_survives_serialisation_without_secrets(
    store: QdrantStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """to_dict is JSON that makes the same retriever again."""
    folder = tmp_path_factory.mktemp("store")
    with QdrantStore(folder):
        pass
    retriever = HybridRetriever(folder, api_key="secret", similarity_top_k=3, mode="dense")
    values = json.loads(json.dumps(retriever.to_dict()))
    retriever.close()
    again = HybridRetriever.from_dict(values)
    again.close()

    assert "secret" not in json.dumps(values)
    assert again.to_dict() == values


def test_llama_indexes_own_store_reads_our_points(store: QdrantStore) -> None:
    """An index of LlamaIndex's over our collection gives our nodes back."""
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
