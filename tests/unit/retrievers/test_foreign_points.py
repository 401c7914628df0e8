"""Points that other tools wrote: read as far as possible, and never an error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from opticalrag.ingest.core.records import Point
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.llama_index.vector_store import OpticalVectorStore
from opticalrag.ingest.store.requests import named
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.postprocessors import WiderContext
from opticalrag.retrievers.query import Query
from opticalrag.retrievers.retriever import HybridRetriever

EMBEDDER = make_embedder()


@pytest.fixture
def store() -> Iterator[QdrantStore]:
    with QdrantStore(":memory:") as opened:
        yield opened


def add(store: QdrantStore, *nodes: TextNode) -> None:
    for node in nodes:
        node.embedding = EMBEDDER.embed_documents([node.text])[0].tolist()
    OpticalVectorStore(store, EMBEDDER.name).add(list(nodes))


@pytest.mark.parametrize(
    "metadata",
    [
        {"pages": 12},
        {"pages": "3-5"},
        {"boxes": {"a": 1}},
        {"boxes": [[0, 1]]},
        {"spans": [3]},
        {"spans": [{"page": "x"}]},
        {"heading_path": 3},
        {"flags": 5},
        {"page_labels": 7},
        {"_node_content": "{broken"},
    ],
)
def test_fields_of_another_type_are_ignored(store: QdrantStore, metadata: dict[str, Any]) -> None:
    """One malformed point does not break the search."""
    add(store, TextNode(text="The pump was new.", metadata=metadata))
    (found,) = HybridRetriever(store).retrieve("pump")

    assert "pump" in found.get_content()
    assert [document.points for document in store.documents()] == [1]


def test_a_point_with_a_broken_node_becomes_its_text(store: QdrantStore) -> None:
    """A node that LlamaIndex cannot read is returned with its stored text."""
    sparse = Bm25Encoder()
    store.ensure(EMBEDDER, sparse)
    payload = {Field.TEXT: "The pump.", "_node_content": "{broken", "_node_type": "TextNode"}
    ((indices, values),) = sparse.encode_documents(["The pump."])
    vector = np.full(EMBEDDER.dimension, 384**-0.5, np.float32)
    key = "00000000-0000-0000-0000-000000000001"
    store.upsert([Point(key, payload, vector, (indices, values))])

    (found,) = HybridRetriever(store).retrieve("pump")
    assert found.get_content() == "The pump."


def test_documents_without_an_id_are_told_apart_by_name_and_deleted(store: QdrantStore) -> None:
    """Nodes of other readers have a file name or just a document id."""
    add(
        store,
        TextNode(text="a", metadata={Field.FILE_NAME: "a.pdf"}),
        TextNode(text="b", metadata={Field.FILE_NAME: "b.pdf"}),
    )

    assert [document.file_name for document in store.documents()] == ["a.pdf", "b.pdf"]
    assert store.delete_where(named("a.pdf")) == 1
    assert [document.file_name for document in store.documents()] == ["b.pdf"]


def test_wider_context_follows_nodes_whose_ids_are_any_text(store: QdrantStore) -> None:
    """Neighbours are found by the node ids of LlamaIndex."""
    nodes = [TextNode(id_=f"n{n}", text=f"Sentence number {n}.") for n in range(3)]
    for left, right in itertools.pairwise(nodes):
        left.relationships[NodeRelationship.NEXT] = RelatedNodeInfo(node_id=right.node_id)
        right.relationships[NodeRelationship.PREVIOUS] = RelatedNodeInfo(node_id=left.node_id)
    add(store, *nodes)
    given = [NodeWithScore(node=nodes[1], score=1.0)]
    (found,) = WiderContext(store).postprocess_nodes(given, query_str="?")

    assert found.get_content() == "\n\n".join(node.text for node in nodes)


def test_a_retriever_sees_its_own_tenant_only(tmp_path: Path) -> None:
    """Two tenants share a collection; each finds its own points."""
    for tenant in ("a", "b"):
        with QdrantStore(tmp_path / "store", tenant=tenant) as mine:
            add(mine, TextNode(text=f"Pump of {tenant}."))
    retriever = HybridRetriever(tmp_path / "store", tenant="b")

    assert [found.get_content() for found in retriever.retrieve("pump")] == ["Pump of b."]
    retriever.close()


class Counting:
    """A reranker that counts what it reads."""

    name = "counting"
    depth = 10

    def __init__(self) -> None:
        self.read = 0

    def rerank(self, question: str, hits: Any) -> Any:
        self.read += len(hits)
        return list(hits)


def test_a_reranker_scores_at_most_depth_hits(store: QdrantStore) -> None:
    """per_page and per_document enlarge the search, not the number of scored hits."""
    add(store, *(TextNode(text=f"Pump {n}.", metadata={"file_id": "d"}) for n in range(60)))
    reranker = Counting()
    hits = search(store, EMBEDDER, Bm25Encoder(), Query("pump", 5, per_document=1), reranker)

    assert len(hits) == 1
    assert reranker.read <= reranker.depth


def test_many_tasks_may_write_at_once(tmp_path: Any) -> None:
    """The collection does not exist before."""
    with QdrantStore(tmp_path / "store") as opened:
        vectors = OpticalVectorStore(opened, EMBEDDER.name)
        batches = [[TextNode(text=f"{b} {n}") for n in range(20)] for b in range(8)]
        for node in (node for batch in batches for node in batch):
            node.embedding = [1.0] * EMBEDDER.dimension

        async def write() -> None:
            await asyncio.gather(*(vectors.async_add(batch) for batch in batches))

        asyncio.run(write())
        assert opened.count() == 160
