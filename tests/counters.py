"""Counters over real tokenizers: WordPiece, a large BPE, and SentencePiece."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


class Counter:
    """A :class:`opticalrag.ingest.core.protocols.TokenCounter` over any tokenizer."""

    def __init__(self, count: Any, max_tokens: int = 256) -> None:
        self.count_tokens = count
        self.max_tokens = max_tokens


@cache
def wordpiece() -> Counter:
    """MiniLM's tokenizer, with special tokens."""
    from opticalrag.ingest.indexing.choice import make_embedder

    return Counter(make_embedder().count_tokens)


@cache
def large_bpe() -> Counter:
    """cl100k_base, 100,256 tokens, from the copy in LlamaIndex."""
    import llama_index.core
    import tiktoken

    folder = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        encoding = tiktoken.get_encoding("cl100k_base")
    return Counter(lambda text: len(encoding.encode(text, disallowed_special=())) + 1)


@cache
def sentencepiece() -> Counter:
    """A unigram model with byte fallback, trained on the project's own source."""
    import sentencepiece

    words = [
        line
        for path in sorted((REPOSITORY / "ingest").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words),
        model_writer=model,
        vocab_size=2000,
        byte_fallback=True,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return Counter(lambda text: len(processor.encode(text)) + 2)


COUNTERS = {"wordpiece": wordpiece, "bpe": large_bpe, "sentencepiece": sentencepiece}
