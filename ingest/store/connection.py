"""Opens a place of points, whatever keeps it, and calls it. Knows no collections and no points."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from qdrant_client import QdrantClient

from ..core.config import CollectionOptions
from ..core.errors import ConfigError, StoreLocked, StoreUnavailable
from ..system.closeable import Closeable
from .edge.folder import is_collection_name
from .faults import Retry, client_errors, retried

__all__ = ["Engine", "StoreConnection", "check_collection"]

T = TypeVar("T")

Engine = Literal["server", "edge", "memory"]

_MARKER: Final = ".opticalrag"
_MEMORY: Final = ":memory:"
_EDGE: Final = "edge"  # what qdrant-edge keeps in a store's folder
# Files of the client's local mode, which keeps pickles: loading them can run code.
_LOCAL_MODE: Final = ("meta.json", "collection")
_TIMEOUT: Final = 60  # seconds of one request; the client's own 5 are too few for a large write
_LOOK_AGAIN: Final = 0.2  # seconds
_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d+")


class StoreConnection(Closeable):
    """A place of points and the collection in it that is meant.

    Args:
        location: URL of a server, a folder, or ``":memory:"``.
        collection: name of the collection, or an alias of it.
        api_key: of the server.
        create: make the folder if it is not there.
        tenant: whose points are written and seen; None sees all.
        prefer_grpc: speak gRPC to a server where it can.
        options: how a new collection is laid out.
        retry: how long faults of a server are waited out, once it has answered.
        wait: seconds that a folder is waited for while another process has it.

    Raises:
        ConfigError: no place, collection or tenant can have this name, or the local mode of
            Qdrant's client made the folder.
        StoreUnavailable: the folder cannot be read, or there is none and ``create`` is False.
        StoreLocked: another process has the folder.
    """

    def __init__(  # noqa: PLR0913  options of a place, by keyword
        self,
        location: str | Path,
        *,
        collection: str = "opticalrag",
        api_key: str | None = None,
        create: bool = True,
        tenant: str | None = None,
        prefer_grpc: bool = False,
        options: CollectionOptions | None = None,
        retry: Retry | None = None,
        wait: float = 0.0,
    ) -> None:
        self.location = str(location)
        self.collection = collection
        self.tenant = tenant
        self.options = options or CollectionOptions()
        self.is_server = self.location.startswith(("http://", "https://"))
        _check_names(self.location, collection, tenant)
        self._retry = retry or Retry()
        self._answered = False
        self.engine = _engine_of(self.location)
        # The client's own memory is not safe in threads: two at a time lose points.
        self._turn: AbstractContextManager[Any] = (
            threading.RLock() if self.engine == "memory" else nullcontext()
        )
        # A QdrantClient, or what answers as one does.
        self.client: Any = (
            _server(self.location, api_key, prefer_grpc)
            if self.is_server
            else _waiting(partial(self._embedded, create), wait)
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r}, collection={self.collection!r})"

    def close(self) -> None:
        """Let go of the folder or connection."""
        with self._turn:
            self.client.close()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the client's errors into ours, and let one thread at a time into memory.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the server refused.
        """
        with self._turn, client_errors(self.location):
            yield

    def call(self, request: Callable[[], T]) -> T:
        """Ask the client something that may be asked twice.

        Faults of a server that has answered before are waited out; one that never did is named
        at once.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the server refused.
        """
        with self.guarded():
            answer = retried(request, self._retry) if self._answered else request()
        self._answered = self.is_server
        return answer

    def _embedded(self, create: bool) -> Any:
        """A client of a folder or of memory, which answers as that of a server does."""
        if self.engine == "memory":
            return QdrantClient(_MEMORY)
        folder = Path(self.location)
        _refuse_local_mode(folder)
        _prepare_folder(folder, create)
        # It loads portalocker, which needs a place to write, as only folders do.
        from .edge.client import EdgeClient

        try:
            return EdgeClient(folder)
        except OSError as error:
            raise StoreUnavailable(
                f"the folder {self.location} cannot be opened: {error}; it must be writable"
            ) from error


def _waiting(connect: Callable[[], T], seconds: float) -> T:
    """Connect as soon as nobody else has the folder, within some seconds."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        with suppress(StoreLocked):
            return connect()
        time.sleep(min(_LOOK_AGAIN, left))
    return connect()


def _server(url: str, api_key: str | None, prefer_grpc: bool) -> QdrantClient:
    try:
        return QdrantClient(
            url=url,
            api_key=api_key,
            prefer_grpc=prefer_grpc,
            timeout=_TIMEOUT,
            check_compatibility=False,
        )
    except ValueError as error:
        raise ConfigError(
            f"{url!r} is no server's URL ({error}); write http://host:port"
        ) from error


def _engine_of(location: str) -> Engine:
    if location.startswith(("http://", "https://")):
        return "server"
    return "memory" if location == _MEMORY else "edge"


def _refuse_local_mode(folder: Path) -> None:
    found = [name for name in _LOCAL_MODE if (folder / name).exists()]
    if found and not (folder / _EDGE).is_dir():
        raise ConfigError(
            f"the folder {folder} was made by the local mode of Qdrant's client (it has"
            f" {found[0]!r}), which is not supported: use a new folder and ingest again"
        )


def _check_names(location: str, collection: str, tenant: str | None) -> None:
    """Refuse what would quietly become a folder of an odd name."""
    looks_remote = "://" in location or _HOST_AND_PORT.fullmatch(location)
    is_url = location.startswith(("http://", "https://"))
    if "\0" in location or not location.strip() or (looks_remote and not is_url):
        raise ConfigError(
            f"the store's place is {location!r}; name a folder, or a server as http://host:port"
        )
    check_collection(collection)
    if tenant is not None and not tenant.strip():
        raise ConfigError("the tenant's name is empty; name one, or leave the tenant out")


def check_collection(name: str) -> None:
    """Refuse a name no collection can have: it is a folder's, too.

    Raises:
        ConfigError: it cannot.
    """
    # Stricter than Qdrant's own rule; its local mode would make folders of slashes.
    if not is_collection_name(name):
        raise ConfigError(
            f"the collection's name is {name!r:.80}; use letters, digits, - _ . (up to 200 bytes of"
            " UTF-8, and not aliases.json)"
        )


def _prepare_folder(folder: Path, create: bool) -> None:
    marker = folder / _MARKER
    if folder.exists():
        if not folder.is_dir():
            raise StoreUnavailable(f"{folder} is a file, not a folder for a store")
        if any(folder.iterdir()) and not marker.exists():  # somebody else's: its mode is theirs
            return
    elif not create:
        raise StoreUnavailable(
            f"there is no store at {folder}: ingest something first, or name another (--qdrant)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)  # noqa: PTH101  it holds the text of the documents
        marker.touch(mode=0o600)
    except OSError as error:
        raise StoreUnavailable(f"the folder {folder} cannot be made or written: {error}") from error
