"""Ten usages from LlamaIndex's documentation, with our parts in place of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.node_parser import get_leaf_nodes
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import AutoMergingRetriever, QueryFusionRetriever
from llama_index.core.schema import Document, NodeWithScore
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore

from opticalrag.ingest import DeepSeekOCRReader, LayoutNodeParser, QdrantStore, index_nodes
from opticalrag.ingest.core.records import SparseVector
from opticalrag.ingest.core.schema import DENSE, SPARSE, Field
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.retrievers import HybridRetriever, WiderContext

QUESTION = "What pressure does the fire pump have?"
ANSWER_PAGE = 6  # a scan
EMBEDDER = make_embedder()
WORDS = Bm25Encoder()


class MiniLm(BaseEmbedding):
    """Our default embedding model, as a LlamaIndex embedder."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = EMBEDDER.embed_documents(texts).tolist()
        return vectors

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = EMBEDDER.embed_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)


@pytest.fixture(scope="module")
def documents(sample: Path) -> list[Document]:
    return DeepSeekOCRReader().load_data(sample)


@pytest.fixture(scope="module")
def store(documents: list[Document]) -> Iterator[QdrantStore]:
    nodes = LayoutNodeParser(max_tokens=128).get_nodes_from_documents(documents)
    with QdrantStore(":memory:") as opened:
        index_nodes(nodes, opened, EMBEDDER)
        yield opened


@pytest.fixture
def index(store: QdrantStore) -> VectorStoreIndex:
    """LlamaIndex's index over our collection, with our sparse vectors as well."""
    return VectorStoreIndex.from_vector_store(vectors_of(store), embed_model=MiniLm())


def vectors_of(store: QdrantStore) -> QdrantVectorStore:
    return QdrantVectorStore(
        store.collection,
        client=store.client,
        dense_vector_name=DENSE,
        sparse_vector_name=SPARSE,
        enable_hybrid=True,
        sparse_doc_fn=lambda texts: columns(WORDS.encode_documents(texts)),
        sparse_query_fn=lambda texts: columns([WORDS.encode_query(text) for text in texts]),
    )


def columns(vectors: list[SparseVector]) -> tuple[list[list[int]], list[list[float]]]:
    return [indices for indices, _ in vectors], [values for _, values in vectors]


def first_page(found: Sequence[NodeWithScore]) -> int:
    return int(found[0].node.metadata[Field.PAGES][0])


def test_vector_store_index_from_our_collection(index: VectorStoreIndex) -> None:
    """LlamaIndex's retriever works in dense and in hybrid mode."""
    dense = index.as_retriever(similarity_top_k=3)
    hybrid = index.as_retriever(
        vector_store_query_mode=VectorStoreQueryMode.HYBRID, similarity_top_k=3, sparse_top_k=3
    )

    assert first_page(dense.retrieve(QUESTION)) == ANSWER_PAGE
    assert first_page(hybrid.retrieve(QUESTION)) == ANSWER_PAGE


def test_query_engine_over_our_retriever(store: QdrantStore) -> None:
    """The language model gets only the text, the file name and the page label."""
    engine = RetrieverQueryEngine.from_args(
        HybridRetriever(store, similarity_top_k=2),
        llm=MockLLM(),
        node_postprocessors=[WiderContext(store, kind="page", max_chars=2000)],
    )
    response = engine.query(QUESTION)
    prompt = str(response)  # the mock says back what it was told

    assert "Fire pump: pressure 8.4 bar" in prompt
    assert "file_name: report.pdf" in prompt
    assert "page_label: 5" in prompt
    assert Field.FILE_SHA256 not in prompt
    assert response.source_nodes[0].node.metadata["citation"]["page"] == ANSWER_PAGE


def test_citation_query_engine(index: VectorStoreIndex, store: QdrantStore) -> None:
    """LlamaIndex's numbered sources keep our citations: file, page and boxes."""
    engine = CitationQueryEngine.from_args(
        index, llm=MockLLM(), retriever=HybridRetriever(store, similarity_top_k=3)
    )
    response = engine.query(QUESTION)
    source = response.source_nodes[0].node

    assert "Source 1:" in str(response)
    assert source.get_content().startswith("Source 1:")
    assert source.metadata["citation"]["page"] == ANSWER_PAGE
    assert source.metadata["citation"]["boxes"]


@pytest.mark.parametrize("mode", ["reciprocal_rerank", "simple", "relative_score"])
def test_query_fusion_retriever(store: QdrantStore, mode: Any) -> None:
    """Our dense and sparse searches as two retrievers, fused by LlamaIndex."""
    fused = QueryFusionRetriever(
        [HybridRetriever(store, mode="dense"), HybridRetriever(store, mode="sparse")],
        llm=MockLLM(),
        num_queries=1,
        similarity_top_k=4,
        mode=mode,
        use_async=False,
    )

    found, later = fused.retrieve(QUESTION), asyncio.run(fused.aretrieve(QUESTION))
    assert ANSWER_PAGE in {one.node.metadata[Field.PAGES][0] for one in found}
    assert [one.node.node_id for one in later] == [one.node.node_id for one in found]


def test_auto_merging_retriever(documents: list[Document]) -> None:
    """Several nodes of a section that are found are merged into the section."""
    nodes = LayoutNodeParser(max_tokens=64, parents="section").get_nodes_from_documents(documents)
    storage = StorageContext.from_defaults()
    storage.docstore.add_documents(nodes)
    with QdrantStore(":memory:") as leaves:
        index_nodes(get_leaf_nodes(nodes), leaves, EMBEDDER)
        base = HybridRetriever(leaves, similarity_top_k=12)
        found = AutoMergingRetriever(base, storage).retrieve("energy of turbine T2 by month")
        small = base.retrieve("energy of turbine T2 by month")

    leaf_ids = {leaf.node_id for leaf in get_leaf_nodes(nodes)}
    merged = [one.node for one in found if one.node.node_id not in leaf_ids]
    assert merged
    assert len(merged[0].get_content()) > max(len(one.node.get_content()) for one in small)


def write_file(file: Path, *pages: str) -> list[Document]:
    made = pymupdf.open()
    for text in pages:
        made.new_page().insert_textbox(pymupdf.Rect(60, 72, 530, 400), text)
    made.save(file)
    return DeepSeekOCRReader().load_data(file)


def test_ingestion_pipeline_with_a_docstore(tmp_path: Path) -> None:
    """A second run makes no nodes, and an edited file is replaced whole."""
    with QdrantStore(":memory:") as opened:
        opened.ensure(EMBEDDER, WORDS)
        pipeline = IngestionPipeline(
            transformations=[LayoutNodeParser(), MiniLm()],
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS,
            vector_store=vectors_of(opened),
        )
        old = write_file(tmp_path / "a.pdf", "The pump was old.", "The valve was shut.")
        first, again = pipeline.run(documents=old), pipeline.run(documents=old)
        new = write_file(tmp_path / "a.pdf", "The pump was old.", "The valve was open.")
        pipeline.run(documents=new)
        found = HybridRetriever(opened, embedder=EMBEDDER).retrieve("valve")

    assert (len(first), again) == (2, [])
    assert sorted(one.node.get_content() for one in found) == [
        "The pump was old.",
        "The valve was open.",
    ]


def test_async_query(store: QdrantStore) -> None:
    """Several questions at once get the same answers as one after the other."""
    engine = RetrieverQueryEngine.from_args(
        HybridRetriever(store, similarity_top_k=2), llm=MockLLM()
    )
    questions = [QUESTION, "Who trained the divers?", "error E-4711"]

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(engine.aquery(question) for question in questions))

    answers = asyncio.run(at_once())
    for question, answer in zip(questions, answers, strict=True):
        assert str(answer) == str(engine.query(question))


def test_metadata_filters(index: VectorStoreIndex, store: QdrantStore) -> None:
    """The same filters in our retriever and, where supported, in LlamaIndex's."""
    late = MetadataFilter(key=Field.PAGES, value=4, operator=FilterOperator.GTE)
    tables = MetadataFilter(key=Field.KINDS, value="table", operator=FilterOperator.CONTAINS)
    later = MetadataFilters(filters=[late])
    both = MetadataFilters(filters=[late, MetadataFilters(filters=[tables])])
    either = MetadataFilters(filters=[late, tables], condition=FilterCondition.OR)

    def pages(filters: MetadataFilters) -> set[int]:
        found = HybridRetriever(store, similarity_top_k=99, filters=filters).retrieve("turbine")
        return {page for one in found for page in one.node.metadata[Field.PAGES]}

    theirs = index.as_retriever(similarity_top_k=99, filters=later).retrieve("turbine")
    assert {page for one in theirs for page in one.node.metadata[Field.PAGES]} == pages(later)
    assert pages(later) == {3, 4, 5, 6, 7}  # a table goes on from page 3 to 4
    assert pages(both) == {3, 4, 7}
    assert pages(either) == {3, 4, 5, 6, 7}


def test_persisted_storage_context(documents: list[Document], tmp_path: Path) -> None:
    """Our nodes in LlamaIndex's own stores, written to disk and read again, are the same."""
    nodes = LayoutNodeParser(max_tokens=128).get_nodes_from_documents(documents)
    VectorStoreIndex(nodes, embed_model=MiniLm()).storage_context.persist(str(tmp_path))
    storage = StorageContext.from_defaults(persist_dir=str(tmp_path))
    again = load_index_from_storage(storage, embed_model=MiniLm())
    (found,) = again.as_retriever(similarity_top_k=1).retrieve(QUESTION)
    original = next(node for node in nodes if node.node_id == found.node.node_id)

    assert first_page([found]) == ANSWER_PAGE
    assert found.node.metadata == original.metadata
    assert found.node.relationships.keys() == original.relationships.keys()


# llama-index-workflows 2.26 looks at all attributes of an agent, deprecated ones included.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
def test_an_agent_asks_our_retriever(store: QdrantStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function-calling model calls it as a retriever tool and as a query engine tool."""
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    retriever = HybridRetriever(store, similarity_top_k=1)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    tools = [
        RetrieverTool.from_defaults(retriever, name="find", description="Finds passages."),
        QueryEngineTool.from_defaults(engine, name="answer", description="Answers."),
    ]

    def speak(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        if any(message.role is MessageRole.TOOL for message in messages):
            return ChatMessage(role=MessageRole.ASSISTANT, content="8.4 bar.")
        calls = [
            ToolCallBlock(tool_call_id=n, tool_name=n, tool_kwargs={"input": QUESTION})
            for n in ("find", "answer")
        ]
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=list(calls))

    async def talk() -> tuple[str, dict[str, str]]:
        agent = FunctionAgent(
            tools=tools,  # type: ignore[arg-type]
            llm=MockFunctionCallingLLM(response_generator=speak),
            streaming=False,
        )
        handler = agent.run(QUESTION)
        results = {}
        async for event in handler.stream_events():
            if isinstance(event, ToolCallResult):
                results[event.tool_name] = str(event.tool_output)
        return str(await handler), results

    said, results = asyncio.run(talk())
    assert said == "8.4 bar."
    assert all("pressure 8.4 bar" in results[name] for name in ("find", "answer"))
