"""The configuration of model servers, as frozen dataclasses. Reads no environment variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .errors import ConfigError

__all__ = ["EmbeddingServerConfig", "VllmConfig"]

_WEEK: Final = 7 * 86_400  # seconds; socket timeouts overflow far above it


@dataclass(frozen=True, slots=True)
class VllmConfig:
    """A vLLM server that runs DeepSeek-OCR.

    Attributes:
        url: ``http://host:port``, with or without ``/v1``.
        api_key: white space around it is removed; never appears in a repr.
        concurrency: number of pages requested at the same time.
        timeout: seconds allowed for one answer.
        wait: seconds to wait for a server that does not answer.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    model: str = "deepseek-ai/DeepSeek-OCR"  # as the published recipe starts it
    concurrency: int = 64
    timeout: float = 600.0
    wait: float = 60.0

    def __post_init__(self) -> None:
        """Validate the URL, the API key and the timeouts."""
        _check_url(self.url, "vLLM server")
        object.__setattr__(self, "api_key", _clean_key(self.api_key, "vLLM server"))
        _check_at_least_one(concurrency=self.concurrency)
        _check_times(self.timeout, self.wait)

    @property
    def endpoint(self) -> str:
        """URL of the chat completions."""
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class EmbeddingServerConfig:
    """A server that embeds text over OpenAI's interface, such as vLLM, TEI, Ollama or OpenAI.

    Attributes:
        url: ``http://host:port``, or the interface's base such as ``https://host/v1``.
        model: the model's name on the server; recorded in the collection.
        api_key: white space around it is removed; never appears in a repr.
        max_tokens: the longest text that the model reads in full.
        query_prefix: put before each query; None: the model's own, see :mod:`.prefixes`.
        document_prefix: put before each text of a document; None: the model's own.
        batch: texts in one request.
        timeout: seconds allowed for one answer.
        wait: seconds to wait for a server that does not answer.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int = 512  # what most embedding models read, of those not measured in thousands
    query_prefix: str | None = None
    document_prefix: str | None = None
    batch: int = 32  # the most that TEI takes unless told otherwise
    timeout: float = 60.0
    wait: float = 60.0

    def __post_init__(self) -> None:
        """Validate the URL, the model, the API key and the numbers."""
        _check_url(self.url, "embedding server")
        if not self.model.strip():
            raise ConfigError("the embedding server's model is empty: name the model")
        object.__setattr__(self, "api_key", _clean_key(self.api_key, "embedding server"))
        _check_at_least_one(max_tokens=self.max_tokens, batch=self.batch)
        _check_times(self.timeout, self.wait)

    @property
    def endpoint(self) -> str:
        """URL of the embeddings."""
        base = self.url.rstrip("/").removesuffix("/embeddings")
        has_path = "/" in base.split("://", 1)[1]
        return f"{base if has_path else base + '/v1'}/embeddings"


def _check_url(url: str, server: str) -> None:
    if "@" in url:
        raise ConfigError(
            f"the URL of the {server} contains a user or password, which error messages"
            " would show: pass it as the key instead"
        )
    if not _is_server(url):
        shown = re.split("[?#]", url, maxsplit=1)[0]  # a query may contain a key
        raise ConfigError(f"invalid URL of the {server} {shown!r:.200}: use http://host:port")


def _is_server(url: str) -> bool:
    """Whether httpx can send requests to paths below this URL."""
    import httpx  # here, because only users of a server need it

    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):  # the second for names that IDNA forbids
        return False
    port = 80 if parts.port is None else parts.port
    is_http = parts.scheme in ("http", "https") and bool(parts.raw_host)
    return is_http and 0 < port < 65_536 and not {"?", "#"} & set(url)


def _clean_key(key: str | None, server: str) -> str | None:
    key = (key or "").strip()  # keys read from a file end in a newline
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the key of the {server} has characters that an HTTP header cannot contain: use"
            " printable ASCII"
        )
    return key or None


def _check_at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name} is {number}: use at least 1")


def _check_times(timeout: float, wait: float) -> None:
    if not 0 < timeout <= _WEEK:
        raise ConfigError(
            f"timeout is {timeout:g}: use more than 0 and at most {_WEEK:,} s, a week"
        )
    if not wait >= 0:
        raise ConfigError(f"wait is {wait:g}: use 0 or more seconds")
