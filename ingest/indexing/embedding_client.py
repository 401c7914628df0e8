"""A client for servers that embed text over OpenAI's interface.

Servers are not trusted: responses are limited in time and size, and checked.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from ..core.errors import BadAnswer, EngineError, EngineUnavailable
from ..core.servers import EmbeddingServerConfig
from ..system.closeable import Closeable
from ..system.http import (
    OK,
    REDIRECTS,
    TRANSIENT,
    read_bounded,
    without_key,
    without_secrets,
)
from ..system.retry import Retry

__all__ = ["EmbeddingClient", "read_embeddings"]

_log = logging.getLogger(__name__)

_PER_TEXT: Final = 1024**2  # bytes of a vector in JSON; 4,096 numbers take 90,000
_CONNECT: Final = 10.0  # seconds
_LONGEST_PAUSE: Final = 60.0  # seconds that a server may ask to wait before another request


class EmbeddingClient(Closeable):
    """A client of one server; safe to use from several threads.

    Args:
        config: the server and its time limits.
        sleep: called with the seconds to wait before another request.
    """

    def __init__(
        self, config: EmbeddingServerConfig, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._retry = Retry(config.wait)
        self._is_down = False
        # Texts go to the named server only: no redirects, and no proxy from the environment.
        # Compression is off because a small response could decompress to any size.
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if config.api_key:
            headers["Authorization"] = f"Bearer {config.api_key}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(config.timeout, connect=min(_CONNECT, config.timeout)),
            follow_redirects=False,
            trust_env=False,
        )

    def embed(self, texts: Sequence[str]) -> list[object]:
        """Let the server embed texts, in batches. The vectors are as it sent them, in order.

        Raises:
            EngineUnavailable: no answer within the configured time. Until the server answers again,
                each further request is tried only once.
            BadAnswer: the response is not a list of as many embeddings.
            EngineError: the server rejected the request.
        """
        size = self._config.batch
        parts = (texts[start : start + size] for start in range(0, len(texts), size))
        return [vector for part in parts for vector in self._embed_batch(part)]

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _embed_batch(self, texts: Sequence[str]) -> list[object]:
        request = {"model": self._config.model, "input": list(texts), "encoding_format": "float"}
        body = json.dumps(request).encode()
        ends = time.monotonic() + (0 if self._is_down else self._retry.total)
        tried = 0
        while True:
            try:
                status, headers, data = self._exchange(body, len(texts))
                self._check(status, headers, data)
            except EngineUnavailable as error:
                tried += 1
                pause = max(self._retry.wait(tried), error.retry_after)
                if time.monotonic() + pause > ends:
                    self._is_down = True
                    raise
                _log.warning("%s; trying again in %.1f s", error, pause)
            else:
                self._is_down = False
                return read_embeddings(data, len(texts), self._safe)
            self._sleep(pause)

    def _exchange(self, body: bytes, count: int) -> tuple[int, httpx.Headers, bytes]:
        url, timeout = self._config.endpoint, self._config.timeout
        ends = time.monotonic() + timeout
        try:
            with self._http.stream("POST", url, content=body) as response:
                data = read_bounded(response, count * _PER_TEXT, ends)
                return response.status_code, response.headers, data
        except httpx.HTTPError as error:
            problem = self._safe(str(error)) or type(error).__name__
            raise EngineUnavailable(
                f"no answer from {url} ({problem}); start the server, or wait longer"
            ) from None  # the cause may quote the server
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(f"invalid server URL {url} ({error}); check the host name") from error

    def _check(self, status: int, headers: httpx.Headers, data: bytes) -> None:
        """Raise the error that a status means."""
        if status == OK:
            return
        url, text = self._config.endpoint, self._safe(data.decode("utf-8", "replace"))
        if status in REDIRECTS:
            location = self._safe(without_secrets(headers.get("location", "")))
            raise EngineError(
                f"the server {url} redirects to {location!r}, and redirects are not followed; use"
                " that URL if you trust it"
            )
        if status in TRANSIENT:
            unavailable = EngineUnavailable(f"the server {url} is not available: {status} {text!r}")
            unavailable.retry_after = _seconds(headers.get("retry-after", ""))
            raise unavailable
        raise EngineError(
            f"the server {url} rejected the request: {status} {text!r}; check the URL, the model"
            f" name ({self._config.model}), its longest text and the API key"
        )

    def _safe(self, text: str) -> str:
        return without_key(text, self._config.api_key)


def _seconds(header: str) -> float:
    """The seconds of a ``Retry-After`` header; a date, which it may be as well, counts as none."""
    return min(float(header), _LONGEST_PAUSE) if header.isascii() and header.isdigit() else 0.0


def read_embeddings(
    data: bytes, count: int, safe: Callable[[str], str] = lambda text: text[:300]
) -> list[object]:
    """Read the vectors from the content of a response, in the order of the texts.

    ``safe`` shortens text and removes secrets from messages.

    Raises:
        BadAnswer: the content is not JSON, or not one embedding for each of ``count`` texts.
    """
    entries = _entries(data)
    if entries is None:  # raised here, so that no cause quotes the response
        shown = safe(data.decode("utf-8", "replace"))
        raise BadAnswer(f"invalid answer from the server: {shown!r}; check that it embeds text")
    vectors = dict(entries)
    if len(entries) != count or vectors.keys() != set(range(count)):
        raise BadAnswer(
            f"the server sent {len(entries)} embeddings for {count} texts, or with wrong indices:"
            " check that it embeds text"
        )
    return [vectors[number] for number in range(count)]


def _entries(data: bytes) -> list[tuple[int, object]] | None:
    """The pairs of index and vector in a response; None if it has none."""
    try:
        entries = [(one["index"], one["embedding"]) for one in json.loads(data)["data"]]
        hash(tuple(index for index, _ in entries))
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return entries
