from __future__ import annotations

import ctypes
import os
import sys

import numpy as np
import pytest
import torch

from opticalrag.ingest.indexing.sentence_transformer import SentenceTransformerEmbedder
from opticalrag.ingest.system.watchdog import resident_bytes


@pytest.fixture(scope="module")
def embedder() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder()


def test_vectors_are_unit_length_and_know_meaning(embedder: SentenceTransformerEmbedder) -> None:
    """A question is closer to its answer than to another text."""
    texts = ["The pump was replaced in May.", "Rainfall exceeded the forecast."]
    documents = embedder.embed_documents(texts)
    question = embedder.embed_query("When did they change the pump?")

    assert documents.shape == (2, embedder.dimension) == (2, 384)
    assert documents.dtype == np.float32
    assert np.linalg.norm(documents, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert documents[0] @ question > documents[1] @ question + 0.2


def test_counted_tokens_are_what_the_model_sees(embedder: SentenceTransformerEmbedder) -> None:
    """Special tokens count, and long texts are counted whole."""
    assert embedder.max_tokens == 256
    assert embedder.count_tokens("hello world") == 4
    assert embedder.count_tokens("hello " * 1000) == 1002


def test_broken_unicode_and_no_text_can_be_embedded(
    embedder: SentenceTransformerEmbedder,
) -> None:
    """Lone surrogates from broken PDFs and an empty list do not raise."""
    assert embedder.embed_documents(["\ud800 text"]).shape == (1, 384)
    assert embedder.count_tokens("\ud800") >= 2
    assert embedder.embed_documents([]).shape == (0, 384)


@pytest.mark.parametrize(("busy", "left"), [(0, 3), (2, 1), (8, 1)])
def test_busy_cores_are_left_to_other_processes(
    monkeypatch: pytest.MonkeyPatch, busy: int, left: int
) -> None:
    """Afterwards torch has its threads back."""
    seen: list[int] = []
    embedder = SentenceTransformerEmbedder(busy_cores=busy)
    forward = embedder._model.forward

    def watched(*args: object, **options: object) -> object:
        seen.append(torch.get_num_threads())
        return forward(*args, **options)

    monkeypatch.setattr(embedder._model, "forward", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        embedder.embed_documents(["The pump was replaced in May."])
        assert (seen, torch.get_num_threads()) == ([left], 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives back what it keeps")
def test_freed_memory_goes_back_to_the_system(
    embedder: SentenceTransformerEmbedder,
) -> None:
    """glibc would keep what lies below a block in use."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    embedder.embed_documents(["Warm."])
    blocks = [ctypes.c_void_p(libc.malloc(100_000)) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    for block in blocks[:-1]:
        libc.free(block)
    before = resident_bytes(os.getpid())
    embedder.embed_documents(["Cold."])
    freed = before - resident_bytes(os.getpid())
    libc.free(blocks[-1])

    assert freed > 150_000_000
