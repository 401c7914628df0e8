"""LlamaIndex's embedding objects wherever an embedder is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Settings
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode

from opticalrag.ingest.assembly import open_pipeline
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.errors import BadAnswer, EngineError, SchemaMismatch
from opticalrag.ingest.core.servers import EmbeddingServerConfig
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.given import as_embedder
from opticalrag.ingest.indexing.llama_index_embedder import LlamaIndexEmbedder
from opticalrag.ingest.indexing.minilm import MiniLMEmbedder
from opticalrag.ingest.indexing.sentence_transformer import SentenceTransformerEmbedder
from opticalrag.ingest.indexing.server_embedder import ServerEmbedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.llama_index.index_nodes import index_nodes
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser
from opticalrag.ingest.pipeline.pipeline import IngestPipeline
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.retriever import HybridRetriever

from ..pipeline.test_pipeline import page_text, write_pdf
from .word_vectors import DIMENSION, word_vector

NODES = [
    TextNode(id_=f"00000000-0000-0000-0000-{n:012}", text=text)
    for n, text in enumerate(("the pump was exchanged", "the seal leaked", "storms were rare"))
]


class Words(BaseEmbedding):
    """An embedding of LlamaIndex; queries and texts have different prefixes."""

    wrong: Any = None

    @classmethod
    def class_name(cls) -> str:
        return "Words"

    def _get_query_embedding(self, query: str) -> list[float]:
        if self.wrong is not None:
            return self.wrong()  # type: ignore[no-any-return]
        return word_vector(f"query {query}")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text) if self.wrong else word_vector(f"text {text}")


@pytest.fixture
def store() -> Iterator[QdrantStore]:
    with QdrantStore(":memory:") as opened:
        yield opened


def test_nodes_are_indexed_and_found_by_settings(
    store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Settings.embed_model`` indexes and searches; its cosines are the scores."""
    monkeypatch.setattr(Settings, "_embed_model", Words(model_name="words-1"))
    assert index_nodes(NODES, store, Settings.embed_model) == 3
    retriever = HybridRetriever(store, embedder=Settings.embed_model, mode="dense")
    best = retriever.retrieve("which pump was exchanged")[0]

    assert best.node.get_content() == NODES[0].text
    query, text = (
        np.array(word_vector(one))
        for one in ("query which pump was exchanged", f"text {NODES[0].text}")
    )
    cosine = query @ text / np.linalg.norm(query) / np.linalg.norm(text)
    assert best.score == pytest.approx(cosine, abs=1e-5)
    assert store.embedder_name() == "words-1"


def test_a_collection_refuses_another_embedding(store: QdrantStore) -> None:
    """By its name; the name of the class, if it has none."""
    index_nodes(NODES, store, Words())
    assert store.embedder_name() == "Words"
    retriever = HybridRetriever(store, embedder=Words(model_name="other"))
    with pytest.raises(SchemaMismatch, match="embedder='Words', not embedder='other'"):
        retriever.retrieve("pump")


def test_the_pipeline_takes_an_embedding(store: QdrantStore, tmp_path: Path) -> None:
    """From files to points and back."""
    write_pdf(tmp_path / "pump.pdf", page_text("pump"))
    location = StoreConfig(str(tmp_path / "store"))
    with open_pipeline(location, embedder=Words(model_name="words-1")) as pipeline:
        assert pipeline.run([tmp_path / "pump.pdf"]).points_written == 1
        assert isinstance(pipeline.embedder, LlamaIndexEmbedder)
    retriever = HybridRetriever(location.location, embedder=Words(model_name="words-1"))
    assert retriever.retrieve("When was the pump inspected?")[0].metadata["file_name"] == "pump.pdf"
    retriever.close()
    direct: Any = IngestPipeline(None, Words(), Bm25Encoder(), store)  # type: ignore[arg-type]
    assert direct.embedder.dimension == DIMENSION


def failing() -> list[float]:
    raise RuntimeError("quota")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (failing, EngineError, r"'Words' failed \(RuntimeError: quota\)"),
        (lambda: [float("nan")], BadAnswer, "not lists of finite numbers"),
        (list, BadAnswer, "not lists of finite numbers"),
        (lambda: [0.5], BadAnswer, "vectors of 1 numbers, but of 64 before"),
    ],
)
def test_what_an_embedding_does_wrong_is_an_error(
    wrong: Any, error: type[Exception], message: str
) -> None:
    """Of the library's own tree, for queries and for texts."""
    embedding = Words()
    made = LlamaIndexEmbedder(embedding)
    assert made.dimension == DIMENSION
    embedding.wrong = wrong
    for embed in (lambda: made.embed_query("a"), lambda: made.embed_documents(["a"])):
        with pytest.raises(error, match=message):
            embed()


def test_a_wrong_number_of_vectors_is_refused() -> None:
    """Each text needs its own."""

    class Short(Words):
        def get_text_embedding_batch(self, texts: list[str], *_: Any, **__: Any) -> Any:
            return super().get_text_embedding_batch(texts)[1:]

    with pytest.raises(BadAnswer, match="1 vectors for 2 texts"):
        LlamaIndexEmbedder(Short()).embed_documents(["a", "b"])


def test_what_can_be_given_as_an_embedder() -> None:
    """Embedders stay; names, servers and embeddings become one; no model is loaded."""
    own = make_embedder()

    assert as_embedder(own) is own
    assert isinstance(as_embedder(), MiniLMEmbedder)
    assert isinstance(as_embedder("any-name"), SentenceTransformerEmbedder)
    assert isinstance(as_embedder(EmbeddingServerConfig("http://a", "b")), ServerEmbedder)
    assert isinstance(as_embedder(Words()), LlamaIndexEmbedder)


def test_chunks_are_cut_for_an_embedding() -> None:
    """The parser counts its tokens and keeps to its limit."""
    parser = LayoutNodeParser.with_counter(LlamaIndexEmbedder(Words(), max_tokens=40))
    nodes = parser.parse_markdown("# Pumps\n\n" + "The pump was exchanged in spring. " * 30)

    counter = LlamaIndexEmbedder(Words(), max_tokens=40)
    assert len(nodes) > 5
    assert max(counter.count_tokens(node.text) for node in nodes) <= 40
