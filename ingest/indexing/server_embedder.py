"""Dense vectors from a server with OpenAI's interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..core.servers import EmbeddingServerConfig
from .embedding_client import EmbeddingClient
from .foreign import ForeignEmbedder
from .prefixes import Prefixes, prefixes_of

__all__ = ["ServerEmbedder"]


class ServerEmbedder(ForeignEmbedder):
    """Embeds with a model on a server, which the first use contacts.

    Args:
        config: the server, its model and its time limits.
        sleep: called with the seconds to wait before another request.

    Example:
        >>> ServerEmbedder(EmbeddingServerConfig("http://localhost:11434", "nomic-embed-text"))
    """

    def __init__(
        self, config: EmbeddingServerConfig, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(config.model, config.max_tokens)
        own = prefixes_of(config.model)
        self._prefixes = Prefixes(
            own.query if config.query_prefix is None else config.query_prefix,
            own.document if config.document_prefix is None else config.document_prefix,
        )
        self._client = EmbeddingClient(config, sleep)

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of a document with its prefix, on the high side."""
        return super().count_tokens(self._prefixes.document + text)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _embed_documents(self, texts: list[str]) -> Sequence[object]:
        return self._client.embed([self._prefixes.document + text for text in texts])

    def _embed_query(self, text: str) -> object:
        return self._client.embed([self._prefixes.query + text])[0]
