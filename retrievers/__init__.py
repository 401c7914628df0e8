"""Questions in, cited hits out. Importing this loads no model and no vendor library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .citations import Citation, cite
    from .hybrid import HybridRetriever
    from .query import Hit, Query

_HOMES = {
    "Citation": "citations",
    "Hit": "query",
    "HybridRetriever": "hybrid",
    "Query": "query",
    "cite": "citations",
}

__all__ = ["Citation", "Hit", "HybridRetriever", "Query", "cite"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
