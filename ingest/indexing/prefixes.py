"""The prefixes that embedding models were trained to see before queries and documents. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Prefixes", "prefixes_of"]


class Prefixes(NamedTuple):
    """What is put before a query and before a text of a document."""

    query: str = ""
    document: str = ""


_PASSAGES: Final = Prefixes("Represent this sentence for searching relevant passages: ")
# From the models' cards. Names as on the hub (BAAI/bge-small-en-v1.5) and as in Ollama
# (nomic-embed-text). The first pattern that is in the name decides.
_BY_NAME: Final = (
    (
        r"\be5-.*instruct|\bqwen3-embedding",
        Prefixes(
            "Instruct: Given a web search query, retrieve relevant passages that answer the query"
            "\nQuery: "
        ),
    ),
    (r"\be5-", Prefixes("query: ", "passage: ")),
    (r"\bbge-(small|base|large)-en|\bmxbai-embed", _PASSAGES),
    (r"\bbge-(small|base|large)-zh", Prefixes("为这个句子生成表示以用于检索相关文章：")),
    (r"arctic-embed(2|-[a-z]+-v2)", Prefixes("query: ")),
    (r"arctic-embed", _PASSAGES),
    (r"\bnomic-embed-text", Prefixes("search_query: ", "search_document: ")),
    (r"\bembeddinggemma", Prefixes("task: search result | query: ", "title: none | text: ")),
)


def prefixes_of(model: str) -> Prefixes:
    """The prefixes of a model; empty for models that need none, and for unknown ones."""
    found = (prefixes for pattern, prefixes in _BY_NAME if re.search(pattern, model.lower()))
    return next(found, Prefixes())
