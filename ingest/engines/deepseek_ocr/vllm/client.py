"""Asks a vLLM server that holds DeepSeek-OCR, over its OpenAI-compatible interface.

What a server says is not trusted: answers are bounded in time and size and checked. Knows no
pages and no engine.
"""

from __future__ import annotations

import json
import logging
import re
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
from ....system.retry import Retry
from ..checkpoint.family import DEEPSEEK_OCR
from ..decoder.ngram import NoRepeat
from .cutoff import Halt

__all__ = ["Answer", "VllmClient", "read_answer"]

_log = logging.getLogger(__name__)

_LONGEST: Final = 4 * 1024**2  # bytes of a reply; 8,192 tokens of text have under 200,000
_SHOWN: Final = 300  # characters of a refusal
_CONNECT: Final = 10.0  # seconds
_UNWANTED: Final = "the page was not read: the run it belongs to has ended"
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})  # statuses that pass by themselves
_REASONS: Final[dict[str, Literal["eos", "length"]]] = {"stop": "eos", "length": "length"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server wrote for a page; ``tokens`` is its own count, 0 if it gives none."""

    text: str
    reason: Literal["eos", "length"]
    tokens: int


class VllmClient(Closeable):
    """A connection to a server; may be used by several threads at once.

    Args:
        config: which server, and how patiently it is asked.
        sleep: waits between tries (None: until the time is over or nobody waits for answers).
    """

    def __init__(self, config: VllmConfig, sleep: Callable[[float], None] | None = None) -> None:
        self._config = config
        self._sleep = sleep
        self._retry = Retry(config.wait)
        self._is_down = False
        # Nothing but the server named is spoken to: no redirects, no proxy of the environment. A
        # compressed reply could be small and unpack to anything.
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if config.api_key:
            headers["Authorization"] = f"Bearer {config.api_key}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(config.timeout, connect=min(_CONNECT, config.timeout)),
            # A connection per page, so that each request can be ended: a page takes seconds.
            limits=httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    def ask(self, picture: bytes, prompt: Prompt, most: int, halt: Halt | None = None) -> Answer:
        """Have a page read.

        Args:
            picture: a PNG file.
            prompt: the question.
            most: tokens of the answer.
            halt: ends this from another thread.

        Raises:
            EngineUnavailable: no answer, however long it was waited for. The next pages are then
                asked once each, until one is answered.
            BadAnswer: an answer that cannot be one.
            EngineError: the server refused, or nobody waits for the answer any more.
        """
        halt = halt or Halt()
        body = json.dumps(self._question(picture, prompt, most)).encode()
        ends = time.monotonic() + (0 if self._is_down else self._retry.total)
        tried = 0
        while True:
            try:
                answer = self._once(body, halt)
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
            (self._sleep or halt.wait)(pause)

    def close(self) -> None:
        """End all connections."""
        self._http.close()

    def _question(self, picture: bytes, prompt: Prompt, most: int) -> dict[str, Any]:
        # As the published recipe for this model: without the special tokens there are no tables
        # and no boxes, and without the rule there are loops.
        rule, special = NoRepeat(), DEEPSEEK_OCR.special
        page = "data:image/png;base64," + b64encode(picture).decode("ascii")
        content = [
            {"type": "image_url", "image_url": {"url": page}},
            {"type": "text", "text": prompt.text.replace(IMAGE_MARK, "").strip()},
        ]
        return {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": most,
            "temperature": 0.0,
            "skip_special_tokens": False,
            "vllm_xargs": {
                "ngram_size": rule.size,
                "window_size": rule.window,
                "whitelist_token_ids": [special.cell[1], special.cell_end[1]],
            },
        }

    def _once(self, body: bytes, halt: Halt) -> Answer:
        url = self._config.endpoint
        try:
            status, place, data = self._exchange(body, halt)
        except httpx.HTTPError as error:
            problem = self._safe(str(error)) or type(error).__name__
            raise EngineUnavailable(
                f"the server {url} does not answer ({problem}); start it, or wait longer"
            ) from None  # which may quote the server
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(
                f"the server {url} cannot be asked ({error}); check the host's name"
            ) from error
        if status == _OK:
            return read_answer(data, self._safe)
        said = self._safe(data.decode("utf-8", "replace"))
        if status in _REDIRECTS:
            raise EngineError(
                f"the server {url} sends us on to {self._safe(_plain(place))!r}; pages are sent"
                " only where you say: name that URL if you trust it"
            )
        if status in _PASSING:
            raise EngineUnavailable(f"the server {url} cannot answer now: {status} {said!r}")
        raise EngineError(
            f"the server {url} refused: {status} {said!r}; check the URL, the model's name"
            f" ({self._config.model}) and the key"
        )

    def _exchange(self, body: bytes, halt: Halt) -> tuple[int, str, bytes]:
        """Status, place sent on to, and content of a reply that came in time."""
        if halt.is_set:
            raise EngineError(_UNWANTED)
        url = self._config.endpoint
        with halt.limited(self._config.timeout) as cutoff:
            try:
                extensions = {"trace": cutoff.trace}
                with self._http.stream(
                    "POST", url, content=body, extensions=extensions
                ) as response:
                    place = response.headers.get("location", "")
                    reply = response.status_code, place, self._bounded(response)
            except httpx.HTTPError:
                if not cutoff.is_cut:
                    raise
            if not cutoff.is_cut:
                return reply
        if halt.is_set:
            raise EngineError(_UNWANTED)
        raise EngineUnavailable(
            f"the answer of {url} took more than {self._config.timeout:g} s; allow it more, or"
            " fewer pages at a time"
        )

    def _bounded(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise BadAnswer(f"the server {self._config.endpoint} packs its answer, unasked")
        data = bytearray()
        for part in response.iter_raw():
            data += part
            if len(data) > _LONGEST:
                raise BadAnswer(
                    f"the answer of {self._config.endpoint} has more than {_LONGEST:,} bytes; no"
                    " page has so much text"
                )
        return bytes(data)

    def _safe(self, text: str) -> str:
        # A server may repeat what it was sent, also as JSON. First that, then the cut: half a key
        # is a secret too.
        if key := self._config.api_key:
            text = text.replace(key, "***").replace(json.dumps(key)[1:-1], "***")
        return text[:_SHOWN]


def _plain(url: str) -> str:
    """A URL without user, password, query and fragment, which may be secrets."""
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", url, maxsplit=1)[0])


def read_answer(data: bytes, safe: Callable[[str], str] = str) -> Answer:
    """The answer in a reply.

    Args:
        data: the reply.
        safe: makes what a server wrote fit for messages.

    Raises:
        BadAnswer: it is no JSON, or not as OpenAI's interface has it.
    """
    parts = _parts(data)
    if parts is None:  # raised here, so that no cause quotes the reply
        shown = safe(data.decode("utf-8", "replace"))[:_SHOWN]
        raise BadAnswer(f"the server's answer is none: {shown!r}; is it a vLLM server?")
    text, reason, tokens = parts
    # A token is at least a byte of the reply.
    if not isinstance(text, str | None) or type(tokens) is not int or not 0 <= tokens <= _LONGEST:
        kinds = f"{type(text).__name__} and {type(tokens).__name__}"
        raise BadAnswer(
            f"the server's answer has text and count as {kinds}, or a count that cannot be; is it a"
            " vLLM server?"
        )
    # Halves of characters and NUL are in no page, and stores take neither.
    whole = (text or "").encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return Answer(whole, reason, tokens)


def _parts(data: bytes) -> tuple[Any, Literal["eos", "length"], Any] | None:
    try:
        reply = json.loads(data)
        (choice,) = reply["choices"]
        text = choice["message"]["content"]
        reason = _REASONS[choice["finish_reason"]]
        tokens = (reply.get("usage") or {}).get("completion_tokens") or 0
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return text, reason, tokens
