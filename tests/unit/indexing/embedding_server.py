"""A server on loopback with OpenAI's interface for embeddings, and faults to order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .word_vectors import word_vector

Step = Callable[[BaseHTTPRequestHandler, list[str]], None]


def embeddings(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of a right answer, last first: only the index gives the order."""
    return [
        {"object": "embedding", "index": n, "embedding": word_vector(text)}
        for n, text in reversed([*enumerate(texts)])
    ]


def send(data: bytes, status: int = 200, **headers: str) -> Step:
    """A step that sends these bytes."""

    def step(handler: BaseHTTPRequestHandler, _: list[str]) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return step


def answer(change: Callable[[list[dict[str, Any]]], Any] = lambda entries: entries) -> Step:
    """A step that embeds the texts, and changes the entries before they are sent."""

    def step(handler: BaseHTTPRequestHandler, texts: list[str]) -> None:
        body = {"object": "list", "data": change(embeddings(texts))}
        send(json.dumps(body).encode())(handler, texts)

    return step


@dataclass
class FakeServer:
    """Plays its script and repeats the last step; records requests."""

    url: str = ""
    script: list[Step] = field(default_factory=lambda: [answer()])
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def will(self, *steps: Step) -> None:
        """Play these steps."""
        self.script = [*steps]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.asked.append(body)
        self.paths.append(handler.path)
        self.keys.append(handler.headers.get("Authorization"))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        step(handler, body["input"])


@contextmanager
def serving() -> Iterator[FakeServer]:
    """Run the server."""
    fake = FakeServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                fake.handle(self)
            except OSError:
                self.close_connection = True  # the client closed it

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield fake
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
