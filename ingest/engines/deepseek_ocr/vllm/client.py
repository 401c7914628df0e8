"""A client for a vLLM server that runs DeepSeek-OCR, over its OpenAI-compatible interface.

Servers are not trusted: responses are limited in time and size, and checked. Knows nothing of
pages and engines.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

from ....core.config import VllmConfig
from ....core.errors import BadAnswer, EngineError, EngineUnavailable
from ....core.prompts import IMAGE_MARK, Prompt
from ....system.closeable import Closeable
from ....system.http import OK, REDIRECTS, TRANSIENT, read_bounded, without_key, without_secrets
from ....system.retry import Retry
from ..checkpoint.family import DEEPSEEK_OCR
from ..decoder.ngram import NoRepeat
from .cancellation import Cancellation

__all__ = ["Answer", "VllmClient", "read_answer"]

_log = logging.getLogger(__name__)

_LONGEST: Final = 4 * 1024**2  # bytes of a response; 8,192 tokens of text have less than 200,000
_SHOWN: Final = 300  # characters of a response in a message
_CONNECT: Final = 10.0  # seconds
_CANCELLED: Final = "the page was not read: the run was closed"
_REASONS: Final[dict[str, Literal["eos", "length"]]] = {"stop": "eos", "length": "length"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer for a page. ``tokens`` is the server's count, 0 if it sends none."""

    text: str
    reason: Literal["eos", "length"]
    tokens: int


class VllmClient(Closeable):
    """A client of one server; safe to use from several threads.

    Args:
        config: the server and its time limits.
        sleep: called with the seconds to wait before another request; None waits, but stops
            waiting on cancellation.
    """

    def __init__(self, config: VllmConfig, sleep: Callable[[float], None] | None = None) -> None:
        self._config = config
        self._sleep = sleep
        self._retry = Retry(config.wait)
        self._is_down = False
        # Pages go to the named server only: no redirects, and no proxy from the environment.
        # Compression is off because a small response could decompress to any size.
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if config.api_key:
            headers["Authorization"] = f"Bearer {config.api_key}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(config.timeout, connect=min(_CONNECT, config.timeout)),
            # A connection per request, so that each can be aborted. A page takes seconds, so the
            # cost of connecting does not matter.
            limits=httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    def ask(
        self,
        picture: bytes,
        prompt: Prompt,
        max_tokens: int,
        cancellation: Cancellation | None = None,
    ) -> Answer:
        """Let the server read a page, given as a PNG file.

        Raises:
            EngineUnavailable: no answer within the configured time. Until the server answers again,
                each further page is tried only once.
            BadAnswer: the response is not a valid answer.
            EngineError: the server rejected the request, or the request was cancelled.
        """
        cancellation = cancellation or Cancellation()
        body = json.dumps(self._request(picture, prompt, max_tokens)).encode()
        ends = time.monotonic() + (0 if self._is_down else self._retry.total)
        tried = 0
        while True:
            try:
                answer = self._ask_once(body, cancellation)
            except EngineUnavailable as error:
                tried += 1
                pause = self._retry.wait(tried)
                if time.monotonic() + pause > ends:
                    self._is_down = True
                    raise
                _log.warning("%s; trying again in %.1f s", error, pause)
            else:
                self._is_down = False
                return answer
            (self._sleep or cancellation.wait)(pause)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _request(self, picture: bytes, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        # vLLM's published recipe for this model. Without special tokens, answers have no tables and
        # no boxes; without the n-gram rule, they loop.
        rule, special = NoRepeat(), DEEPSEEK_OCR.special
        page = "data:image/png;base64," + b64encode(picture).decode("ascii")
        content = [
            {"type": "image_url", "image_url": {"url": page}},
            {"type": "text", "text": prompt.text.replace(IMAGE_MARK, "").strip()},
        ]
        return {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "skip_special_tokens": False,
            "vllm_xargs": {
                "ngram_size": rule.size,
                "window_size": rule.window,
                "whitelist_token_ids": [special.cell[1], special.cell_end[1]],
            },
        }

    def _ask_once(self, body: bytes, cancellation: Cancellation) -> Answer:
        url = self._config.endpoint
        try:
            status, location, data = self._exchange(body, cancellation)
        except httpx.HTTPError as error:
            problem = self._safe(str(error)) or type(error).__name__
            raise EngineUnavailable(
                f"no answer from {url} ({problem}); start the server, or wait longer"
            ) from None  # the cause may quote the server
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(f"invalid server URL {url} ({error}); check the host name") from error
        if status == OK:
            return read_answer(data, self._safe)
        text = self._safe(data.decode("utf-8", "replace"))
        if status in REDIRECTS:
            raise EngineError(
                f"the server {url} redirects to {self._safe(without_secrets(location))!r}, and"
                " redirects are not followed; use that URL if you trust it"
            )
        if status in TRANSIENT:
            raise EngineUnavailable(f"the server {url} is not available: {status} {text!r}")
        raise EngineError(
            f"the server {url} rejected the request: {status} {text!r}; check the URL, the model"
            f" name ({self._config.model}) and the API key"
        )

    def _exchange(self, body: bytes, cancellation: Cancellation) -> tuple[int, str, bytes]:
        """Send a request and return status, ``Location`` header and content of the response."""
        if cancellation.is_set:
            raise EngineError(_CANCELLED)
        url = self._config.endpoint
        with cancellation.time_limit(self._config.timeout) as abort:
            try:
                extensions = {"trace": abort.trace}
                with self._http.stream(
                    "POST", url, content=body, extensions=extensions
                ) as response:
                    location = response.headers.get("location", "")
                    result = response.status_code, location, read_bounded(response, _LONGEST)
            except httpx.HTTPError:
                if not abort.is_set:
                    raise
            if not abort.is_set:
                return result
        if cancellation.is_set:
            raise EngineError(_CANCELLED)
        raise EngineUnavailable(
            f"no complete answer from {url} within {self._config.timeout:g} s; increase the"
            " timeout, or read fewer pages at a time"
        )

    def _safe(self, text: str) -> str:
        return without_key(text, self._config.api_key)


def read_answer(data: bytes, safe: Callable[[str], str] = str) -> Answer:
    """Read the answer from the content of a response; ``safe`` removes secrets from messages.

    Raises:
        BadAnswer: the content is not JSON, or not an answer of OpenAI's interface.
    """
    parts = _parts(data)
    if parts is None:  # raised here, so that no cause quotes the response
        shown = safe(data.decode("utf-8", "replace"))[:_SHOWN]
        raise BadAnswer(f"invalid answer from the server: {shown!r}; check that it runs vLLM")
    text, reason, tokens = parts
    # A token takes at least a byte of the response, so a larger count is wrong.
    if not isinstance(text, str | None) or type(tokens) is not int or not 0 <= tokens <= _LONGEST:
        kinds = f"{type(text).__name__} and {type(tokens).__name__}"
        raise BadAnswer(
            f"invalid answer from the server: text and token count are {kinds}, or the count is out"
            " of range; check that it runs vLLM"
        )
    # Pages contain neither lone surrogates nor NUL, and stores reject both.
    whole = (text or "").encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return Answer(whole, reason, tokens)


def _parts(data: bytes) -> tuple[Any, Literal["eos", "length"], Any] | None:
    try:
        response = json.loads(data)
        (choice,) = response["choices"]
        text = choice["message"]["content"]
        reason = _REASONS[choice["finish_reason"]]
        tokens = (response.get("usage") or {}).get("completion_tokens") or 0
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return text, reason, tokens
