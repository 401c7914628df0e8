"""Reranking with a tiny random cross-encoder in the released file format."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from opticalrag.ingest.core.errors import CheckpointMismatch, ConfigError, ModelNotFound
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.model_files import resolve_model
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.llama_index.index_nodes import index_nodes
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.postprocessors import CrossEncoderRerank
from opticalrag.retrievers.query import Hit, Query
from opticalrag.retrievers.rerank import CrossEncoderReranker
from opticalrag.retrievers.retriever import HybridRetriever

TEXTS = [f"Valve {n} of the coolant pump was inspected in week {n}." for n in range(12)]


def write_model(folder: Path, labels: int = 1) -> Path:
    """Write a BERT of two narrow layers with MiniLM's tokenizer."""
    torch.manual_seed(7)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=labels,
        initializer_range=0.5,  # otherwise all scores are nearly equal
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(resolve_model().path)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def store() -> Iterator[QdrantStore]:
    with QdrantStore(":memory:") as opened:
        ids = (f"d0c00000-0000-5000-8000-0000000000{n:02}" for n in range(99))
        index_nodes([TextNode(text=t, id_=i) for t, i in zip(TEXTS, ids, strict=False)], opened)
        yield opened


def test_hits_are_ordered_by_the_model(model: Path) -> None:
    """The best score comes first; the given hits stay unchanged."""
    reranker = CrossEncoderReranker(model)
    hits = [Hit(str(n), 1.0 / (n + 1), text) for n, text in enumerate(TEXTS)]
    ranked = reranker.rerank("Which valve?", hits)
    scores = dict(zip(TEXTS, reranker.scores("Which valve?", TEXTS), strict=True))

    assert [hit.text for hit in ranked] == sorted(TEXTS, key=lambda t: -scores[t])
    assert [hit.score for hit in ranked] == pytest.approx(sorted(scores.values(), reverse=True))
    assert len(set(scores.values())) > 6
    assert hits[0].score == 1.0
    assert reranker.rerank("?", []) == []


def test_a_search_reranks_more_hits_than_it_returns(model: Path, store: QdrantStore) -> None:
    """It returns the best of all reranked hits, not of the top_k."""
    reranker = CrossEncoderReranker(model, depth=12)
    query = Query("Which valve?", top_k=3)
    hits = search(store, make_embedder(), Bm25Encoder(), query, reranker)
    scores = sorted(reranker.scores("Which valve?", TEXTS), reverse=True)

    assert [hit.score for hit in hits] == pytest.approx(scores[:3], abs=1e-5)


def test_the_retriever_takes_a_reranker_by_its_folder(model: Path, store: QdrantStore) -> None:
    """Its scores become those of the nodes."""
    retriever = HybridRetriever(store, similarity_top_k=2, reranker=str(model))
    found = retriever.retrieve("Which valve?")
    best = max(CrossEncoderReranker(model).scores("Which valve?", TEXTS))

    assert found[0].score == pytest.approx(best, abs=1e-5)


def test_the_postprocessor_reranks_nodes_of_any_retriever(model: Path) -> None:
    """The given nodes keep their scores; without a question, so does the order."""
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    rerank = CrossEncoderRerank(str(model), top_n=4)
    found = rerank.postprocess_nodes(nodes, QueryBundle("Which valve?"))
    best = max(CrossEncoderReranker(model).scores("Which valve?", TEXTS))

    assert len(found) == 4
    assert found[0].score == pytest.approx(best, abs=1e-5)
    assert all(node.score == 0.5 for node in nodes)
    assert rerank.postprocess_nodes(nodes) == nodes[:4]


def test_long_texts_are_cut_to_what_the_model_reads(model: Path) -> None:
    """A text that exceeds the position embeddings is scored by its beginning."""
    long = "valve " * 500
    short = CrossEncoderReranker(model, max_length=16)

    assert CrossEncoderReranker(model).scores("?", [long])
    assert short.scores("?", [long]) == short.scores("?", [long + "pump"])


def test_threads_share_a_model(model: Path) -> None:
    """Concurrent calls load the model once and give the same scores as sequential ones."""
    reranker = CrossEncoderReranker(model)
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda n: reranker.scores("?", TEXTS[:n]), range(1, 13)))

    assert [len(scores) for scores in at_once] == list(range(1, 13))
    assert at_once[-1] == pytest.approx(reranker.scores("?", TEXTS), abs=1e-5)


def test_a_model_that_is_not_here_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub name while offline, and a folder without a model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match="reranking model 'nobody/nothing'"):
        CrossEncoderReranker("nobody/nothing").scores("?", ["x"])
    with pytest.raises(CheckpointMismatch, match="cross-encoder"):
        CrossEncoderReranker(tmp_path).scores("?", ["x"])


def test_pickled_weights_and_several_scores_are_refused(tmp_path: Path) -> None:
    """Only safetensors are loaded, and one score per pair is required."""
    pickled, classifier = write_model(tmp_path / "pickled"), write_model(tmp_path / "three", 3)
    weights = BertForSequenceClassification.from_pretrained(pickled).state_dict()
    torch.save(weights, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()

    with pytest.raises(CheckpointMismatch):
        CrossEncoderReranker(pickled).scores("?", ["x"])
    with pytest.raises(CheckpointMismatch, match="3 scores"):
        CrossEncoderReranker(classifier).scores("?", ["x"])


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"max_length": 0}, {"batch_size": 0}])
def test_numbers_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    """Before the model loads."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CrossEncoderReranker("x", **wrong)  # type: ignore[arg-type]
