"""Sparse lexical vectors: BM25 term weights without a model download.

The tokenizer segments Chinese, Japanese, Korean and Thai and stems English; Qdrant multiplies
by the IDF of the collection (``Modifier.IDF``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..core.records import SparseVector

__all__ = ["Bm25Encoder"]

# Two things qdrant-edge-py 0.9's multilingual tokenizer cannot find again are added as terms of
# their own: numbers, whose tokens it drops ("350" gives none), and Han and Kana, which it cuts
# by the language it guesses: a short question is guessed to be Chinese, its text Japanese.
_LITERAL = re.compile(r"\d+|[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


class Bm25Encoder:
    """BM25 by qdrant-edge-py: term frequencies of documents, ones for questions."""

    name = "bm25/multilingual+literals/1"

    @cached_property
    def _words(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        return Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, language="english"))

    @cached_property
    def _literals(self) -> Any:
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        # b=0: the length of the whole text, not of its literals, would be the one to norm by.
        return Bm25(Bm25Config(tokenizer=TokenizerType.Word, language="english", b=0.0))

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode texts to be found."""
        return [
            _merge(
                self._words.embed_document(_clean(text)),
                self._literals.embed_document(_literals_of(text)),
            )
            for text in texts
        ]

    def encode_query(self, text: str) -> SparseVector:
        """Encode a question: every term counts the same."""
        return _merge(
            self._words.embed_query(_clean(text)), self._literals.embed_query(_literals_of(text))
        )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8


def _literals_of(text: str) -> str:
    return " ".join(term for run in _LITERAL.findall(text) for term in _terms(run))


def _terms(run: str) -> list[str]:
    """A number as it is; Han and Kana as overlapping pairs, as Lucene's CJK analyser does."""
    if run[0].isdigit() or len(run) == 1:
        return [run]
    return [run[place : place + 2] for place in range(len(run) - 1)]


def _merge(*vectors: Any) -> SparseVector:
    weights: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            weights[index] = max(value, weights.get(index, 0.0))
    return list(weights), list(weights.values())
