"""Opens a store location and calls its Qdrant client. Knows nothing of collections and points."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from qdrant_client import QdrantClient

from ..core.errors import ConfigError, StoreLocked, StoreUnavailable
from ..system.closeable import Closeable
from ..system.retry import Retry
from .faults import client_errors, retried

__all__ = ["Connection", "Engine"]

T = TypeVar("T")

Engine = Literal["server", "edge", "memory"]
"""What runs at a location: a Qdrant server, qdrant-edge in a folder, or the client in memory."""

_MARKER: Final = ".opticalrag"  # an empty file in every folder that we created
_MEMORY: Final = ":memory:"
_EDGE: Final = "edge"  # the folder of qdrant-edge within a store's folder
_LOCAL_MODE: Final = ("meta.json", "collection")  # written by the local mode of Qdrant's client
_TIMEOUT: Final = 60  # seconds per request; the client's default of 5 is too short for large writes
_THREADS: Final = 4  # concurrent requests to a server in call_all
_POLL: Final = 0.2  # seconds between two attempts to open a folder in use
_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d+")


class Connection(Closeable):
    """An open store location; :class:`.store.QdrantStore` explains the arguments and errors."""

    def __init__(
        self,
        location: str | Path,
        *,
        api_key: str | None = None,
        create: bool = True,
        prefer_grpc: bool = False,
        retry: Retry | None = None,
        wait: float = 0.0,
    ) -> None:
        self.location = str(location)
        self.engine = _engine_of(self.location)
        self._retry = retry or Retry()
        self._answered = False
        # Qdrant's client in memory is not thread-safe: two concurrent calls lose points.
        self._lock: AbstractContextManager[Any] = (
            threading.Lock() if self.engine == "memory" else nullcontext()
        )
        self.client: Any = self._connect(api_key, prefer_grpc, create, wait)

    def close(self) -> None:
        """Close the folder or the connection to the server."""
        with self._lock:
            self.client.close()

    def call(self, request: Callable[[Any], T]) -> T:
        """Call the client.

        Faults of a server are retried once the server has answered. A server that never answered
        fails at once, because its URL may be wrong.

        Args:
            request: gets the client. It may run twice, so its second run must change nothing.

        Raises:
            StoreUnavailable: the server does not answer.
            StoreError: the server or the engine refused the request.
        """
        with self._lock, client_errors(self.location):
            if self._answered:
                return retried(partial(request, self.client), self._retry)
            answer = request(self.client)
        self._answered = self.engine == "server"
        return answer

    def call_all(self, requests: Iterable[Callable[[Any], object]]) -> None:
        """Run several calls: a server's in a few threads, others in order.

        Takes a request from the iterable only when it is sent, so that few are in memory.
        """
        if self.engine != "server":
            for request in requests:
                self.call(request)
            return
        pending: deque[Future[object]] = deque()
        with ThreadPoolExecutor(_THREADS, "opticalrag-upload") as pool:
            for request in requests:
                if len(pending) == _THREADS:
                    pending.popleft().result()
                pending.append(pool.submit(self.call, request))
            for sent in pending:
                sent.result()

    def _connect(self, api_key: str | None, prefer_grpc: bool, create: bool, wait: float) -> Any:
        if self.engine == "server":
            return _server_client(self.location, api_key, prefer_grpc)
        if self.engine == "memory":
            return QdrantClient(_MEMORY)
        return _open_when_free(partial(_open_folder, Path(self.location), create), wait)


def _engine_of(location: str) -> Engine:
    """Tell the engine; refuse a location that would silently become a folder of an odd name."""
    is_url = location.startswith(("http://", "https://"))
    looks_remote = "://" in location or _HOST_AND_PORT.fullmatch(location)
    if "\0" in location or not location.strip() or (looks_remote and not is_url):
        raise ConfigError(f"invalid store location {location!r}: use a folder or http://host:port")
    if is_url:
        return "server"
    return "memory" if location == _MEMORY else "edge"


def _server_client(url: str, api_key: str | None, prefer_grpc: bool) -> QdrantClient:
    try:
        return QdrantClient(
            url=url,
            api_key=api_key,
            prefer_grpc=prefer_grpc,
            timeout=_TIMEOUT,
            check_compatibility=False,
        )
    except ValueError as error:
        raise ConfigError(f"invalid server URL {url!r} ({error}): use http://host:port") from error


def _open_when_free(connect: Callable[[], T], seconds: float) -> T:
    """Connect, and retry for some seconds while another process has the folder open."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        with suppress(StoreLocked):
            return connect()
        time.sleep(min(_POLL, left))
    return connect()


def _open_folder(folder: Path, create: bool) -> Any:
    _refuse_local_mode(folder)
    _prepare_folder(folder, create)
    # Imported here because portalocker needs a writable temporary folder at import.
    from .edge.client import EdgeClient

    try:
        return EdgeClient(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot open the store folder {folder}: {error}; check that it is writable"
        ) from error


def _refuse_local_mode(folder: Path) -> None:
    # These folders hold pickles, and loading a pickle can run code.
    found = [name for name in _LOCAL_MODE if (folder / name).exists()]
    if found and not (folder / _EDGE).is_dir():
        raise ConfigError(
            f"the store folder {folder} was made by the local mode of Qdrant's client (it contains"
            f" {found[0]!r}), which is not supported: use a new folder and ingest again"
        )


def _prepare_folder(folder: Path, create: bool) -> None:
    """Create the folder, or check that it exists."""
    marker = folder / _MARKER
    if folder.exists():
        if not folder.is_dir():
            raise StoreUnavailable(f"the store location {folder} is a file: use a folder")
        if any(folder.iterdir()) and not marker.exists():
            return  # not created by us: leave its mode alone
    elif not create:
        raise StoreUnavailable(
            f"no store at {folder}: ingest documents first, or use another location"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)  # noqa: PTH101  it holds the text of the documents
        marker.touch(mode=0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot write to the store folder {folder}: {error}") from error
