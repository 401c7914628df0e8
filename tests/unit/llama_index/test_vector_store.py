"""LlamaIndex's vector store over ours, with real embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from opticalrag.ingest.core.errors import ConfigError, NotSupported, SchemaMismatch
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.llama_index.vector_store import OpticalVectorStore
from opticalrag.ingest.store.store import QdrantStore

EMBEDDER = make_embedder()
Mode = VectorStoreQueryMode
TEXTS = {
    "pump": "The main coolant pump was exchanged during the spring outage.",
    "fault": "The controller logged error E-4711 and restarted by itself.",
    "storm": "Storms were rarer than in any year since records began.",
    "wind": "Gales and gusts were less frequent than in earlier years.",
}


def node(name: str, document: str = "doc") -> TextNode:
    made = TextNode(id_=name, text=TEXTS[name], metadata={"name": name, "pages": [len(name)]})
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    made.embedding = EMBEDDER.embed_documents([made.text])[0].tolist()
    return made


@pytest.fixture(params=["memory", "edge"], scope="module")
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpticalVectorStore]:
    """A collection in each storage engine."""
    folder = tmp_path_factory.mktemp("vectors") / "store"
    with QdrantStore(":memory:" if request.param == "memory" else folder) as store:
        yield OpticalVectorStore(store, EMBEDDER.name)


@pytest.fixture
def vectors(opened: OpticalVectorStore) -> OpticalVectorStore:
    """The collection with exactly four nodes of two documents."""
    if opened.get_nodes():
        opened.clear()
    opened.add([node("pump"), node("fault"), node("storm", "b"), node("wind", "b")])
    return opened


def asked(text: str, mode: Mode = Mode.DEFAULT, **options: Any) -> VectorStoreQuery:
    embedding = EMBEDDER.embed_query(text).tolist()
    wanted = {"similarity_top_k": 2, **options}
    return VectorStoreQuery(embedding, query_str=text, mode=mode, **wanted)


def where(**equal: Any) -> MetadataFilters:
    return MetadataFilters(
        filters=[
            MetadataFilter(
                key=key,
                value=value,
                operator=FilterOperator.IN if isinstance(value, list) else FilterOperator.EQ,
            )
            for key, value in equal.items()
        ]
    )


@pytest.mark.parametrize(
    ("mode", "question", "first"),
    [
        (Mode.DEFAULT, "When was the water circulation machine replaced?", "pump"),
        (Mode.SPARSE, "E-4711", "fault"),
        (Mode.TEXT_SEARCH, "E-4711", "fault"),
        (Mode.HYBRID, "E-4711 of the controller", "fault"),
        (Mode.MMR, "few storms", "storm"),
    ],
)
def test_nodes_are_found_by_meaning_and_by_words(
    vectors: OpticalVectorStore, mode: Mode, question: str, first: str
) -> None:
    """Every mode returns the nodes as they were added, with ids of any form."""
    found = vectors.query(asked(question, mode))

    assert found.ids is not None
    assert found.nodes is not None
    assert found.ids[0] == first
    assert found.nodes[0].get_content() == TEXTS[first]
    assert found.nodes[0].metadata == {"name": first, "pages": [len(first)]}


def test_alpha_weighs_dense_from_none_to_all(vectors: OpticalVectorStore) -> None:
    """With 0 only sparse counts; LlamaIndex's own store reads 0 as not given."""
    question = "E-4711, in stormy weather with much wind"
    words = vectors.query(asked(question, Mode.HYBRID, alpha=0.0, similarity_top_k=1))
    meaning = vectors.query(asked(question, Mode.HYBRID, alpha=1.0, similarity_top_k=1))
    later = asyncio.run(vectors.aquery(asked(question, Mode.HYBRID, alpha=0.0, similarity_top_k=1)))

    assert words.ids == later.ids == ["fault"]
    assert meaning.ids in (["storm"], ["wind"])


def test_mmr_skips_a_similar_node(vectors: OpticalVectorStore) -> None:
    """Another node takes the rank of the second of two similar nodes."""
    alike = vectors.query(asked("few storms and gales", Mode.MMR, mmr_threshold=1.0))
    diverse = vectors.query(asked("few storms and gales", Mode.MMR, mmr_threshold=0.1))

    assert set(alike.ids or ()) == {"storm", "wind"}
    assert set(diverse.ids or ()) != {"storm", "wind"}


def test_all_conditions_must_apply(vectors: OpticalVectorStore) -> None:
    """Filters, document ids and node ids are joined by "and"."""
    ten = {"similarity_top_k": 10}
    both = vectors.query(asked("x", filters=where(name=["storm", "pump"]), doc_ids=["b"], **ten))
    nodes = vectors.query(asked("x", node_ids=["wind", "fault"], doc_ids=["b"], **ten))
    nobody = vectors.query(asked("x", node_ids=["nobody"], **ten))
    anything = vectors.query(asked("x", node_ids=[], doc_ids=[], **ten))

    assert both.ids == ["storm"]
    assert nodes.ids == ["wind"]
    assert nobody.ids == []
    assert set(anything.ids or ()) == set(TEXTS)


def test_nodes_are_got_and_deleted_by_id_filter_and_document(vectors: OpticalVectorStore) -> None:
    """No others; an unknown id is not an error."""
    assert {n.node_id for n in vectors.get_nodes()} == set(TEXTS)
    assert [n.node_id for n in vectors.get_nodes(["pump", "nobody"])] == ["pump"]
    assert [n.node_id for n in vectors.get_nodes(filters=where(name="wind"))] == ["wind"]

    vectors.delete_nodes(["pump", "fault"], where(name="pump"))
    assert {n.node_id for n in vectors.get_nodes()} == {"fault", "storm", "wind"}
    vectors.delete("b")
    assert [n.node_id for n in vectors.get_nodes()] == ["fault"]


def test_a_delete_without_ids_or_filters_is_refused(vectors: OpticalVectorStore) -> None:
    """LlamaIndex's own store deletes everything; here clear() does."""
    for nothing in ({}, {"filters": MetadataFilters(filters=[])}):
        with pytest.raises(ConfigError, match="clear"):
            vectors.delete_nodes(**nothing)  # type: ignore[arg-type]
    vectors.delete_nodes([])
    assert len(vectors.get_nodes()) == 4

    asyncio.run(vectors.aclear())
    assert vectors.get_nodes() == []


def test_adding_again_replaces(vectors: OpticalVectorStore) -> None:
    """The node id decides, even if it is not a uuid."""
    assert asyncio.run(vectors.async_add([node("pump", "c")])) == ["pump"]

    assert len(vectors.get_nodes()) == 4
    assert vectors.get_nodes(["pump"])[0].ref_doc_id == "c"  # type: ignore[attr-defined]


def test_a_new_collection_needs_a_model_name() -> None:
    """An existing one has it recorded, and refuses vectors of another length."""
    with QdrantStore(":memory:") as store:
        assert OpticalVectorStore(store).query(asked("x")).ids == []
        assert OpticalVectorStore(store).add([]) == []
        with pytest.raises(ConfigError, match="name the embedding model"):
            OpticalVectorStore(store).add([node("pump")])
        OpticalVectorStore(store, EMBEDDER.name).add([node("pump")])
        OpticalVectorStore(store).add([node("fault")])
        other = node("wind")
        other.embedding = [0.5, 0.5]
        with pytest.raises(SchemaMismatch, match="dimension=384"):
            OpticalVectorStore(store).add([other])


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (VectorStoreQuery(query_str="x"), ConfigError),
        (VectorStoreQuery([0.5] * 384, mode=Mode.HYBRID), ConfigError),
        (VectorStoreQuery([0.5] * 384, query_str="x", mode=Mode.HYBRID, alpha=2.0), ConfigError),
        (VectorStoreQuery([0.5] * 384, mode=Mode.SVM), NotSupported),
    ],
)
def test_an_incomplete_query_is_refused(
    vectors: OpticalVectorStore, query: VectorStoreQuery, error: type[Exception]
) -> None:
    """The error names what is missing."""
    with pytest.raises(error):
        vectors.query(query)


def test_an_index_of_llama_index_works_on_it(tmp_path: Path) -> None:
    """VectorStoreIndex inserts, retrieves with filters and deletes a document."""

    class Embedding(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return EMBEDDER.embed_documents([text])[0].tolist()  # type: ignore[no-any-return]

        def _get_query_embedding(self, query: str) -> list[float]:
            return EMBEDDER.embed_query(query).tolist()  # type: ignore[no-any-return]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    with QdrantStore(tmp_path / "store") as store:
        vectors = OpticalVectorStore(store, EMBEDDER.name)
        context = StorageContext.from_defaults(vector_store=vectors)
        plain = [TextNode(id_=k, text=t, metadata={"name": k}) for k, t in TEXTS.items()]
        for one in plain:
            one.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=f"of {one.id_}")
        index = VectorStoreIndex(plain, storage_context=context, embed_model=Embedding())
        hybrid = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1)
        filtered = index.as_retriever(filters=where(name="wind"), similarity_top_k=3)

        assert hybrid.retrieve("error E-4711")[0].node_id == "fault"
        assert [n.node_id for n in filtered.retrieve("pump")] == ["wind"]
        index.delete_ref_doc("of pump")
        assert {n.node_id for n in vectors.get_nodes()} == set(TEXTS) - {"pump"}
