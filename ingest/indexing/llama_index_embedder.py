"""Dense vectors from an embedding object of LlamaIndex, without importing LlamaIndex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ..core.errors import EngineError, OpticalRagError
from .foreign import ForeignEmbedder

__all__ = ["LlamaIndexEmbedder", "LlamaIndexEmbedding"]

_MAX_TOKENS: Final = 512  # what most embedding models read, of those not measured in thousands
_SHOWN: Final = 300  # characters of an error of the object in a message


class LlamaIndexEmbedding(Protocol):
    """The methods of LlamaIndex's ``BaseEmbedding`` that are called."""

    model_name: str

    @classmethod
    def class_name(cls) -> str:
        """Name of the class."""

    def get_query_embedding(self, query: str) -> list[float]:
        """Embed a query."""

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        """Embed texts of documents."""


class LlamaIndexEmbedder(ForeignEmbedder):
    """Embeds with any ``BaseEmbedding`` of LlamaIndex, which adds its own prefixes.

    The collection records its ``model_name``; the name of its class, if it has none.

    Args:
        embedding: such as ``Settings.embed_model``. Two threads never call it at once.
        max_tokens: the longest text that its model reads in full. Tokens are estimated.

    Example:
        >>> LayoutNodeParser.with_counter(LlamaIndexEmbedder(Settings.embed_model, 8191))
    """

    def __init__(self, embedding: LlamaIndexEmbedding, max_tokens: int = _MAX_TOKENS) -> None:
        named = embedding.model_name not in ("", "unknown")  # the default of BaseEmbedding
        super().__init__(embedding.model_name if named else embedding.class_name(), max_tokens)
        self._embedding = embedding

    def _embed_documents(self, texts: list[str]) -> Sequence[object]:
        try:
            return self._embedding.get_text_embedding_batch(texts)
        except Exception as error:
            raise self._failed(error) from error

    def _embed_query(self, text: str) -> object:
        try:
            return self._embedding.get_query_embedding(text)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> OpticalRagError:
        if isinstance(error, OpticalRagError):
            return error
        problem = f"{type(error).__name__}: {str(error)[:_SHOWN]}"
        return EngineError(f"the embedding {self.name!r} failed ({problem}): see its documentation")
