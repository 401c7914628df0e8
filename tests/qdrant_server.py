"""A server on loopback for tests: the part of Qdrant's REST API that the store uses.

It stores points with qdrant-edge, and parses and writes bodies with the client's own pydantic
models. Confirmed writes survive ``kill -9``. On SIGUSR1 it cuts every connection at once, also
during a request.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError
from qdrant_client import models

from opticalrag.ingest.core.errors import OpticalRagError, StoreUnavailable
from opticalrag.ingest.store.edge.client import EdgeClient

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DONE: Final = {"operation_id": 1, "status": "completed"}

# A function from the folder's client, the collection's name and the body to the result.
Answer = Callable[[EdgeClient, str, bytes], Any]


def _create(client: EdgeClient, name: str, body: bytes) -> bool:
    asked = models.CreateCollection.model_validate_json(body)
    vectors: Any = asked.vectors
    return client.create_collection(
        name,
        vectors,
        asked.sparse_vectors or {},
        asked.metadata or {},
        asked.hnsw_config,
        asked.quantization_config,
    )


def _index(client: EdgeClient, name: str, body: bytes) -> Any:
    asked = models.CreateFieldIndex.model_validate_json(body)
    schema: Any = asked.field_schema
    client.create_payload_index(name, asked.field_name, schema)
    return DONE


def _aliases(client: EdgeClient, _: str, body: bytes) -> bool:
    changes: Any = models.ChangeAliasesOperation.model_validate_json(body).actions
    return client.update_collection_aliases(changes)


def _upsert(client: EdgeClient, name: str, body: bytes) -> Any:
    client.upsert(name, models.PointsList.model_validate_json(body).points)
    return DONE


def _batch(client: EdgeClient, name: str, body: bytes) -> Any:
    changes: Any = models.UpdateOperations.model_validate_json(body).operations
    client.batch_update_points(name, changes)
    return [DONE] * len(changes)


def _delete(client: EdgeClient, name: str, body: bytes) -> Any:
    by_filter = "filter" in json.loads(body)
    kind = models.FilterSelector if by_filter else models.PointIdsList
    client.delete(name, kind.model_validate_json(body))
    return DONE


def _count(client: EdgeClient, name: str, body: bytes) -> Any:
    asked = models.CountRequest.model_validate_json(body)
    return client.count(name, asked.filter, asked.exact is not False)


def _scroll(client: EdgeClient, name: str, body: bytes) -> Any:
    asked = models.ScrollRequest.model_validate_json(body)
    found, following = client.scroll(
        name, asked.filter, asked.limit or 10, asked.offset, **_selected(asked)
    )
    return models.ScrollResult(points=found, next_page_offset=following)


def _retrieve(client: EdgeClient, name: str, body: bytes) -> Any:
    asked = models.PointRequest.model_validate_json(body)
    return client.retrieve(name, asked.ids, **_selected(asked))


def _query(client: EdgeClient, name: str, body: bytes) -> Any:
    asked = models.QueryRequest.model_validate_json(body)
    return client.query_points(name, offset=asked.offset, **_question(asked))


def _selected(asked: Any) -> dict[str, Any]:
    payload = True if asked.with_payload is None else asked.with_payload
    return {"with_payload": payload, "with_vectors": asked.with_vector or False}


def _question(asked: Any) -> dict[str, Any]:
    payload = asked.with_payload or False  # the API's default is no payload
    return {
        "query": asked.query,
        "using": asked.using,
        "prefetch": asked.prefetch,
        "query_filter": asked.filter,
        "search_params": asked.params,
        "limit": asked.limit or 10,
        "score_threshold": asked.score_threshold,
        **_selected(asked),
        "with_payload": payload,
    }


_C: Final = "/collections/([^/]+)"
ROUTES: Final[list[tuple[str, str, Answer]]] = [
    ("POST", "/collections/()aliases", _aliases),
    ("GET", "()/aliases", lambda client, *_: client.get_aliases()),
    ("GET", f"{_C}/exists", lambda client, name, _: {"exists": client.collection_exists(name)}),
    ("GET", _C, lambda client, name, _: client.get_collection(name)),
    ("PUT", _C, _create),
    ("DELETE", _C, lambda client, name, _: client.delete_collection(name)),
    ("PUT", f"{_C}/index", _index),
    ("PUT", f"{_C}/points", _upsert),
    ("POST", f"{_C}/points", _retrieve),
    ("POST", f"{_C}/points/batch", _batch),
    ("POST", f"{_C}/points/delete", _delete),
    ("POST", f"{_C}/points/count", _count),
    ("POST", f"{_C}/points/scroll", _scroll),
    ("POST", f"{_C}/points/query", _query),
]


def answered(client: EdgeClient, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Return the status and the body of the answer: a result, or an error in Qdrant's form."""
    for wanted, pattern, answer in ROUTES:
        found = re.fullmatch(pattern, path)
        if wanted == method and found:
            try:
                return 200, {"result": _plain(answer(client, unquote(found[1]), body))}
            except StoreUnavailable as error:
                return 503, _error(error)
            except (OpticalRagError, ValidationError) as error:
                return 400, _error(error)
    return 404, _error(f"no answer to {method} {path}")


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(one) for one in result]
    return result.model_dump(mode="json") if isinstance(result, BaseModel) else result


def _error(error: object) -> dict[str, Any]:
    return {"status": {"error": str(error)}}


class Server(ThreadingHTTPServer):
    """Serves a folder; port 0 means any free port."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, port: int) -> None:
        self.connections: set[socket.socket] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self.client = EdgeClient(folder)
        super().__init__(("127.0.0.1", port), Handler)

    def cut(self) -> None:
        """Shut down every connection without an answer."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # sends head and body together
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = urlsplit(self.path).path
        status, values = answered(self.server.client, self.command, path, body)
        content = json.dumps({"status": "ok", "time": 0.0, **values}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Log nothing."""


class Service:
    """The server in its own process; it can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        program = [sys.executable, "-m", "tests.qdrant_server", str(self._folder), str(self._port)]
        self._process = subprocess.Popen(program, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill the process, whatever it is doing."""
        assert self._process is not None
        with self._process:
            self._process.kill()

    def cut(self) -> None:
        """Cut its connections; the process continues."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """Run a server during the ``with`` statement."""
    service = Service(folder)
    try:
        yield service
    finally:
        service.kill()


def main() -> None:
    """Serve FOLDER on PORT, and print the port once the server answers."""
    folder, port = sys.argv[1:]
    server = Server(Path(folder), int(port))
    signal.signal(signal.SIGUSR1, lambda *_: server.cut())
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
