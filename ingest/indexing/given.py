"""Makes an embedder of what a caller gives as one."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias, cast

from ..core.protocols import Embedder
from ..core.servers import EmbeddingServerConfig
from .choice import make_embedder
from .llama_index_embedder import LlamaIndexEmbedder, LlamaIndexEmbedding

__all__ = ["GivenEmbedder", "as_embedder"]

GivenEmbedder: TypeAlias = (
    Embedder | LlamaIndexEmbedding | EmbeddingServerConfig | str | Path | None
)
"""An embedder; an embedding object of LlamaIndex; a server; a model's name or folder; None."""


def as_embedder(given: GivenEmbedder = None, *, busy_cores: int = 0) -> Embedder:
    """Make an embedder; one that is an embedder already stays as it is.

    Args:
        given: see :data:`GivenEmbedder`; None for all-MiniLM-L6-v2.
        busy_cores: cores that other processes use and a model in this process leaves to them.
    """
    if given is None or isinstance(given, str | Path):
        return make_embedder(given, busy_cores=busy_cores)
    if isinstance(given, EmbeddingServerConfig):
        from .server_embedder import ServerEmbedder

        return ServerEmbedder(given)
    # By a method, not by isinstance: a protocol's isinstance would read the embedder's dimension,
    # which loads the model.
    if hasattr(given, "get_text_embedding_batch"):
        return LlamaIndexEmbedder(cast(LlamaIndexEmbedding, given))
    return given
