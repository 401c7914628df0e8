"""Questions in, cited hits out. Importing this loads no model and no vendor library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .citations import Citation, cite, markdown_slices
    from .retriever import HybridRetriever
    from .pictures import page_pictures
    from .postprocessors import CrossEncoderRerank, WiderContext
    from .query import Hit, Query
    from .redecode import PageTarget, Redecoder, Redecoding
    from .rerank import CrossEncoderReranker
    from .second_look import SecondLook, redecode_tool

_HOMES = {
    "Citation": "citations",
    "CrossEncoderRerank": "postprocessors",
    "CrossEncoderReranker": "rerank",
    "Hit": "query",
    "HybridRetriever": "retriever",
    "PageTarget": "redecode",
    "Query": "query",
    "Redecoder": "redecode",
    "Redecoding": "redecode",
    "SecondLook": "second_look",
    "WiderContext": "postprocessors",
    "cite": "citations",
    "markdown_slices": "citations",
    "page_pictures": "pictures",
    "redecode_tool": "second_look",
}

__all__ = [
    "Citation",
    "CrossEncoderRerank",
    "CrossEncoderReranker",
    "Hit",
    "HybridRetriever",
    "PageTarget",
    "Query",
    "Redecoder",
    "Redecoding",
    "SecondLook",
    "WiderContext",
    "cite",
    "markdown_slices",
    "page_pictures",
    "redecode_tool",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
