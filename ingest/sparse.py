"""Sparse lexical vectors: BM25 term weights without a model download.

The tokenizer segments Chinese, Japanese, Korean and Thai and stems English; Qdrant multiplies
by the IDF of the collection (``Modifier.IDF``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from .types import SparseVector

__all__ = ["Bm25Encoder"]

# qdrant-edge-py's multilingual tokenizer drops tokens of digits only ("350" gives no term), so
# years, amounts and part numbers could not be found; its word tokenizer keeps them.
_NUMBER = re.compile(r"\d+")


class Bm25Encoder:
    """BM25 by qdrant-edge-py: term frequencies of documents, ones for questions."""

    name = "bm25/multilingual+numbers/1"

    @cached_property
    def _words(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        return Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, language="english"))

    @cached_property
    def _numbers(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        # b=0: the length of the whole text, not of its numbers, would be the one to norm by.
        return Bm25(Bm25Config(tokenizer=TokenizerType.Word, language="english", b=0.0))

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode texts to be found."""
        return [
            _merge(
                self._words.embed_document(_clean(text)),
                self._numbers.embed_document(_numbers_of(text)),
            )
            for text in texts
        ]

    def encode_query(self, text: str) -> SparseVector:
        """Encode a question: every term counts the same."""
        return _merge(
            self._words.embed_query(_clean(text)), self._numbers.embed_query(_numbers_of(text))
        )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8


def _numbers_of(text: str) -> str:
    return " ".join(_NUMBER.findall(text))


def _merge(*vectors: Any) -> SparseVector:
    weights: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            weights[index] = max(value, weights.get(index, 0.0))
    return list(weights), list(weights.values())
