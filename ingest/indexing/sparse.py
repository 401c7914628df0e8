"""Sparse lexical vectors: BM25 term weights, without a model download.

The tokenizer segments Chinese, Japanese, Korean and Thai, and stems English. Qdrant multiplies the
weights by the collection's IDF (``Modifier.IDF``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..core.records import SparseVector

__all__ = ["Bm25Encoder"]

# Literal terms are added because qdrant-edge-py 0.9's multilingual tokenizer cannot find them
# again. It drops numbers: "350" gives no token. It cuts Han and Kana by a guessed language, and it
# guesses that a short question is Chinese where the text it asks for is Japanese.
_LITERAL = re.compile(r"\d+|[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


class Bm25Encoder:
    """BM25 by qdrant-edge-py: documents get term frequencies, queries get ones."""

    name = "bm25/multilingual+literals/1"

    @cached_property
    def _words(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        return Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, language="english"))

    @cached_property
    def _literals(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        # b=0: no length norm, which would be the length of the literals, not of the whole text.
        return Bm25(Bm25Config(tokenizer=TokenizerType.Word, language="english", b=0.0))

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode documents."""
        return [
            _merge(
                self._words.embed_document(_clean(text)),
                self._literals.embed_document(_literals_of(text)),
            )
            for text in texts
        ]

    def encode_query(self, text: str) -> SparseVector:
        """Encode a query: every term has the same weight."""
        return _merge(
            self._words.embed_query(_clean(text)), self._literals.embed_query(_literals_of(text))
        )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8 form


def _literals_of(text: str) -> str:
    return " ".join(term for run in _LITERAL.findall(text) for term in _terms(run))


def _terms(run: str) -> list[str]:
    """Return a number as it is, and Han and Kana as overlapping pairs (Lucene's CJK bigrams)."""
    if run[0].isdigit() or len(run) == 1:
        return [run]
    return [run[start : start + 2] for start in range(len(run) - 1)]


def _merge(*vectors: Any) -> SparseVector:
    weights: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            weights[index] = max(value, weights.get(index, 0.0))
    return list(weights), list(weights.values())
