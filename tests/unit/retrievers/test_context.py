"""Context of hits from a real store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from llama_index.core.schema import NodeRelationship, NodeWithScore, TextNode

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.llama_index.index_nodes import index_nodes
from opticalrag.ingest.llama_index.nodes import chunk_nodes
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers import context
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.postprocessors import WiderContext
from opticalrag.retrievers.query import ContextKind, Hit, Query
from opticalrag.retrievers.retriever import HybridRetriever

from ...builders import block, document, grid, page

EMBEDDER = make_embedder()
SPARSE = Bm25Encoder()
ROWS = [[f"T{n}", f"{n * 1000 + n}"] for n in range(1, 25)]


def paragraph(name: str) -> str:
    return (
        f"The {name} was inspected by the divers. " + f"No {name} is worn out or was replaced. " * 3
    )


def pages() -> list[PageMarkdown]:
    """Two pages: sections of several paragraphs, the last one with a long table."""
    first = page(
        block("1 Pumps", BlockKind.HEADING, 1),
        *(block(paragraph(name)) for name in ("impeller", "seal", "shaft")),
    )
    table = block("", BlockKind.TABLE)
    second = page(
        block("2 Valves", BlockKind.HEADING, 1),
        block(paragraph("spindle")),
        type(table)(table.kind, table.box, table=grid(["Turbine", "Energy"], *ROWS)),
        index=1,
    )
    return [page_markdown(first), page_markdown(second)]


@pytest.fixture(scope="module")
def store() -> Iterator[QdrantStore]:
    read = pages()
    config = ChunkingConfig(max_tokens=64, overlap_tokens=16)
    chunks = chunk_pages(document(2), read, EMBEDDER, config)
    with QdrantStore(":memory:") as opened:
        index_nodes(chunk_nodes(chunks, {p.index: p for p in read}), opened, EMBEDDER, SPARSE)
        yield opened


def best(store: QdrantStore, question: str, kind: ContextKind, room: int = 4000) -> Hit:
    query = Query(question, 1, context=kind, context_chars=room)
    (hit,) = search(store, EMBEDDER, SPARSE, query)
    assert hit.context is not None
    assert hit.id in hit.context.chunk_ids
    return hit


def text_of(hit: Hit) -> str:
    assert hit.context is not None
    return hit.context.text


def test_a_section_comes_whole_and_alone(store: QdrantStore) -> None:
    """The context has every paragraph of the hit's section once, in order, and no other."""
    text = text_of(best(store, "Is the seal worn out?", "section"))
    places = [text.index(paragraph(name).strip()) for name in ("impeller", "seal", "shaft")]

    assert places == sorted(places)
    assert text.count("1 Pumps") == 1
    assert all(text.count(f"The {name} was") == 1 for name in ("impeller", "seal", "shaft"))
    assert "spindle" not in text


def test_a_page_comes_whole_and_its_table_is_one_table(store: QdrantStore) -> None:
    """Parts of a table repeat the column names in the store, but not in the context."""
    hit = best(store, "energy of turbine T12", "page")
    rows = [line for line in text_of(hit).splitlines() if line.startswith("|")]

    assert rows == ["| Turbine | Energy |", "|---|---|", *(f"| {a} | {b} |" for a, b in ROWS)]
    assert "spindle" in text_of(hit)
    assert hit.context is not None
    assert hit.context.pages == (2,)


def test_neighbours_cross_pages_up_to_the_maximum_length(store: QdrantStore) -> None:
    """The whole document fits, or the nearest chunks, or the chunk alone."""
    whole = best(store, "Is the shaft worn out?", "neighbours", 100_000)
    some = best(store, "Is the shaft worn out?", "neighbours", 700)
    none = best(store, "Is the shaft worn out?", "neighbours", 1)

    assert whole.context is not None
    assert some.context is not None
    assert none.context is not None
    assert len(whole.context.chunk_ids) == store.count()
    assert whole.context.pages == (1, 2)
    assert len(some.context.text) <= 700
    assert 1 < len(some.context.chunk_ids) < store.count()
    assert (none.context.text, none.context.chunk_ids) == (none.text, (none.id,))


def test_the_citation_stays_that_of_the_chunk_found(store: QdrantStore) -> None:
    """The node's text grows; the citation does not."""
    plain = HybridRetriever(store, similarity_top_k=1)
    wide = HybridRetriever(store, similarity_top_k=1, context="neighbours")
    (small,), (big,) = plain.retrieve("Is the seal worn?"), wide.retrieve("Is the seal worn?")

    assert small.node.node_id == big.node.node_id
    assert small.node.metadata["citation"] == big.node.metadata["citation"]
    assert len(big.node.get_content()) > 2 * len(small.node.get_content())
    assert big.node.metadata["context"]["pages"] == [1, 2]
    assert "context" not in big.node.get_metadata_str("llm")  # type: ignore[arg-type]


def test_chunks_in_an_earlier_context_are_dropped(store: QdrantStore) -> None:
    """A retriever drops chunks that the context of a better hit contains."""
    found = HybridRetriever(store, similarity_top_k=9, context="page").retrieve("seal, spindle?")
    pages_read = [one.node.metadata["context"]["pages"] for one in found]

    assert sorted(pages_read) == [[1], [2]]


def test_the_postprocessor_widens_nodes_of_any_retriever(store: QdrantStore) -> None:
    """Order and scores stay; nodes that are not in the store stay unchanged."""
    small = HybridRetriever(store, similarity_top_k=2).retrieve("Is the seal worn out?")
    stranger = NodeWithScore(node=TextNode(text="elsewhere", id_="no uuid"), score=0.1)
    wider = WiderContext(store, kind="section", max_chars=5000)
    found = wider.postprocess_nodes([small[0], stranger, small[1]], query_str="seal")

    assert found[0].node.node_id == small[0].node.node_id
    assert found[0].score == small[0].score
    assert found[0].node.get_content().count("was inspected") == 3
    assert stranger in found
    with QdrantStore(":memory:") as empty:
        assert WiderContext(empty).postprocess_nodes([stranger]) == [stranger]


def test_points_without_neighbours_or_pages_get_no_context() -> None:
    """Points of other tools have no neighbours; this is not an error."""
    with QdrantStore(":memory:") as other:
        index_nodes([TextNode(text="A pump.", id_="d0c00000-0000-5000-8000-000000000000")], other)
        for kind in ("neighbours", "section", "page"):
            assert text_of(best(other, "pump", kind)) == "A pump."


def test_neighbours_are_stored_under_llama_indexes_names() -> None:
    """The values are read from JSON without importing LlamaIndex."""
    names = (NodeRelationship.PREVIOUS.value, NodeRelationship.NEXT.value)

    assert names == (context._PREVIOUS, context._NEXT)
