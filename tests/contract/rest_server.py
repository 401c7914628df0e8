"""A server on loopback that records requests and answers them as Qdrant does."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opticalrag.ingest.core.schema import DENSE, SPARSE

NAME = "opticalrag"


@dataclass
class Recorded:
    """One request; ``arguments`` is the query string, which ``path`` does not contain."""

    method: str
    path: str
    arguments: str
    body: Any
    size: int


@dataclass
class Recorder:
    """The requests so far, and the faults to return next instead of success."""

    url: str = ""
    exists: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    pause: float = 0.0
    now: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, method: str, path: str) -> list[Recorded]:
        return [r for r in self.requests if r.method == method and re.fullmatch(path, r.path)]

    def answer(self, request: Recorded) -> Any:
        for method, path, result in self._answers():
            if request.method == method and re.fullmatch(path, request.path):
                return result
        raise AssertionError(f"no answer to {request.method} {request.path}")

    def _answers(self) -> Iterator[tuple[str, str, Any]]:
        done = {"operation_id": 1, "status": "completed"}
        point = {"id": "00000000-0000-0000-0000-000000000001", "version": 1, "score": 0.5}
        yield "GET", f"/collections/{NAME}/exists", {"exists": self.exists}
        yield "GET", f"/collections/{NAME}", self._info()
        yield "PUT", f"/collections/{NAME}", True
        yield "DELETE", f"/collections/{NAME}", True
        yield "PUT", f"/collections/{NAME}/index", done
        yield "PUT", f"/collections/{NAME}/points", done
        yield "POST", f"/collections/{NAME}/points/batch", [done]
        yield "POST", f"/collections/{NAME}/points/delete", done
        yield "POST", f"/collections/{NAME}/points/count", {"count": 3}
        yield "POST", f"/collections/{NAME}/points/scroll", {"points": [], "next_page_offset": None}
        yield "POST", f"/collections/{NAME}/points/query", {"points": [point]}
        yield "POST", f"/collections/{NAME}/points", []
        yield "GET", "/aliases", {"aliases": [{"alias_name": "live", "collection_name": "old"}]}
        yield "POST", "/collections/aliases", True

    def _info(self) -> dict[str, Any]:
        vectors = {DENSE: {"size": 16, "distance": "Cosine"}}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": 1,
            "config": {
                "params": {"vectors": vectors, "sparse_vectors": {SPARSE: {"modifier": "idf"}}},
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
                "optimizer_config": {"default_segment_number": 0, "flush_interval_sec": 5},
                "metadata": self.metadata,
            },
            "payload_schema": {},
        }


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run a server during the ``with`` statement."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            path, _, arguments = self.path.partition("?")
            body = json.loads(raw) if raw else None
            request = Recorded(self.command, path, arguments, body, len(raw))
            with recorder.lock:
                recorder.requests.append(request)
                recorder.now += 1
                recorder.most_at_once = max(recorder.most_at_once, recorder.now)
                fault = recorder.faults.pop(0) if recorder.faults else None
            time.sleep(recorder.pause)
            if fault is None:
                self.reply(200, {"result": recorder.answer(request), "status": "ok", "time": 0})
            else:
                self.reply(fault[0], {"status": {"error": "fault"}}, fault[1])
            with recorder.lock:
                recorder.now -= 1

        do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

        def reply(self, code: int, values: Any, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(values).encode()
            self.send_response(code)
            for name, value in {**(headers or {}), "content-type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
