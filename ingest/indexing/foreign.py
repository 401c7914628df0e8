"""What embedders share whose model runs elsewhere: dimension, token counts, checked vectors."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .token_estimate import estimate_tokens
from .vectors import unit_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ForeignEmbedder"]

_PROBE: Final = "dimension"  # a text to embed, to learn how long vectors are


class ForeignEmbedder(ABC):
    """An :class:`~opticalrag.ingest.core.protocols.Embedder` without a tokenizer at hand.

    Args:
        name: model name as recorded in the store.
        max_tokens: the longest text that the model reads in full.
    """

    def __init__(self, name: str, max_tokens: int) -> None:
        self.name = name
        self.max_tokens = max_tokens
        self._dimension: int | None = None
        self._lock = threading.Lock()

    @property
    def dimension(self) -> int:
        """Length of a vector; embeds a word to learn it."""
        if self._dimension is None:
            self.embed_query(_PROBE)
        assert self._dimension is not None  # noqa: S101  set by embedding
        return self._dimension

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of a text, on the high side."""
        return estimate_tokens(text)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed documents. Shape: ``[texts, dimension]``, unit length.

        Raises:
            EngineError: the model failed, or returned something else.
        """
        if not texts:
            import numpy as np

            return np.zeros((0, self.dimension), np.float32)
        return self._checked(self._embed_documents([_clean(text) for text in texts]), len(texts))

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a query. Shape: ``[dimension]``, unit length.

        Raises:
            EngineError: the model failed, or returned something else.
        """
        vector: NDArray[np.float32] = self._checked([self._embed_query(_clean(text))], 1)[0]
        return vector

    @abstractmethod
    def _embed_documents(self, texts: list[str]) -> Sequence[object]:
        """Embed texts, at least one, each a vector in order."""

    @abstractmethod
    def _embed_query(self, text: str) -> object:
        """Embed a query."""

    def _checked(self, vectors: Sequence[object], count: int) -> NDArray[np.float32]:
        with self._lock:
            rows = unit_vectors(vectors, f"the model {self.name!r}", count, self._dimension)
            self._dimension = int(rows.shape[1])
            return rows


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8 form
