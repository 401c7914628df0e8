"""The options that choose the embedder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Annotated

from ..core.errors import ConfigError
from ..core.servers import EmbeddingServerConfig
from .options import ModelOption, embedding_option

__all__ = ["EmbeddingOptions"]


@dataclass(frozen=True)
class EmbeddingOptions:
    """Which model embeds texts and questions."""

    model: ModelOption = None
    embed_url: Annotated[
        str | None,
        embedding_option(
            help="Server with OpenAI's interface, as http://host:port or https://host/v1; its API"
            " key is read from OPTICALRAG_EMBED_API_KEY.",
            envvar="OPTICALRAG_EMBED_URL",
        ),
    ] = None
    embed_model: Annotated[
        str | None,
        embedding_option(
            help="Embedding model's name on that server.", envvar="OPTICALRAG_EMBED_MODEL"
        ),
    ] = None

    def embedder(self, max_tokens: int | None = None) -> str | EmbeddingServerConfig | None:
        """The model's name or folder, or its server; None: the default model.

        ``max_tokens`` is what a model on a server reads in full.

        Raises:
            ConfigError: the options contradict each other.
        """
        if self.embed_url is None and self.embed_model is None:
            return self.model
        if self.embed_url is None or self.embed_model is None:
            missing = "--embed-url" if self.embed_url is None else "--embed-model"
            raise ConfigError(f"a server and its embedding model go together: add {missing}")
        if self.model is not None:
            raise ConfigError(
                f"--model {self.model} and --embed-url {self.embed_url} both choose the embedder:"
                " leave one out"
            )
        # The key is not an option: other users of the machine can read a command's arguments.
        key = os.environ.get("OPTICALRAG_EMBED_API_KEY")
        server = EmbeddingServerConfig(self.embed_url, self.embed_model, key)
        return replace(server, max_tokens=max_tokens) if max_tokens else server
