"""What clients of model servers share. Servers are not trusted: what they send is bounded."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Final

from ..core.errors import BadAnswer, EngineUnavailable

if TYPE_CHECKING:
    import httpx

__all__ = ["OK", "REDIRECTS", "TRANSIENT", "read_bounded", "without_key", "without_secrets"]

OK: Final = 200
REDIRECTS: Final = range(300, 400)
TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses worth another request."""
_SHOWN: Final = 300  # characters of a response in a message


def read_bounded(response: httpx.Response, most: int, ends: float | None = None) -> bytes:
    """Read a response of at most ``most`` bytes, until ``time.monotonic()`` is ``ends``.

    Raises:
        BadAnswer: it is longer, or compressed: a small response could decompress to any size.
        EngineUnavailable: it is not complete in time.
    """
    url = response.request.url
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadAnswer(f"the server {url} compressed its answer although it must not")
    data = bytearray()
    for part in response.iter_raw():
        data += part
        if len(data) > most:
            raise BadAnswer(f"the answer from {url} is longer than {most:,} bytes")
        if ends is not None and time.monotonic() > ends:
            raise EngineUnavailable(f"no complete answer from {url} in time; increase the timeout")
    return bytes(data)


def without_key(text: str, key: str | None) -> str:
    """The beginning of what a server sent, without the key, which it may repeat."""
    if key:  # before the text is cut: half a key is a secret too
        text = text.replace(key, "***").replace(json.dumps(key)[1:-1], "***")
    return text[:_SHOWN]


def without_secrets(url: str) -> str:
    """Remove user, password, query and fragment from a URL."""
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", url, maxsplit=1)[0])
