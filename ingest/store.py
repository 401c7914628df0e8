"""Points in Qdrant: on a server, or embedded in a folder. Knows no documents and no models."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from .closing import Closeable
from .config import ConfigError
from .errors import SchemaMismatch, StoreError, StoreUnavailable
from .protocols import Embedder, SparseEncoder
from .schema import DENSE, INDEXED, SCHEMA_VERSION, SPARSE, Field
from .types import Point

__all__ = ["QdrantStore", "StoredDocument"]

_log = logging.getLogger(__name__)

_MARKER = ".opticalrag"
_PAGE = 1000  # points listed per request
# A batch of 64 points of 384 floats and 4 KB of payload is about 0.4 MB, far from Qdrant's
# 32 MB request limit even for vectors of 4,096 floats.
_BATCH = 64
_MEMORY = ":memory:"
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")
_COLLECTION = re.compile(r"(?!\.+$)[\w.-]{1,255}")


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the store holds it: ``pages`` with text, ``points`` stored."""

    document_id: str
    file_name: str
    file_path: str
    pages: int
    points: int


class QdrantStore(Closeable):
    """A collection of points. Close it, or use it in a ``with`` statement.

    An embedded folder is open to one process at a time. Qdrant's local mode keeps pickles in
    it: opening a folder that somebody else made can run their code, so a folder without our
    marker is opened with a warning.

    Args:
        location: URL of a server, a folder, or ``":memory:"``.
        collection: name of the collection.
        api_key: of the server.
        create: make the folder if it is not there.

    Raises:
        ConfigError: no place or collection can have this name.
        StoreUnavailable: the folder is in use or cannot be read, or there is none and
            ``create`` is False.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        collection: str = "opticalrag",
        api_key: str | None = None,
        create: bool = True,
    ) -> None:
        self.location = str(location)
        self.collection = collection
        self.is_server = self.location.startswith(("http://", "https://"))
        _check_names(self.location, collection)
        self.client = self._connect(api_key, create)

    def __repr__(self) -> str:
        return f"QdrantStore({self.location!r}, collection={self.collection!r})"

    def close(self) -> None:
        """Let go of the folder or connection."""
        self.client.close()

    def _connect(self, api_key: str | None, create: bool) -> QdrantClient:
        if self.is_server:
            try:
                return QdrantClient(url=self.location, api_key=api_key, check_compatibility=False)
            except ValueError as error:
                raise ConfigError(
                    f"{self.location!r} is no server's URL ({error}); write http://host:port"
                ) from error
        if self.location == _MEMORY:
            return QdrantClient(_MEMORY)
        _prepare_folder(Path(self.location), create)
        try:
            return QdrantClient(path=self.location)
        except OSError as error:
            raise StoreUnavailable(
                f"the folder {self.location} cannot be opened: {error}; it must be writable"
            ) from error
        except RuntimeError as error:
            raise StoreUnavailable(
                f"the folder {self.location} is in use by another process: wait until it ends,"
                " or use a Qdrant server (--qdrant URL) for several at once"
            ) from error

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the client's errors into ours.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the server refused.
        """
        try:
            yield
        except ResponseHandlingException as error:
            raise StoreUnavailable(
                f"Qdrant at {self.location} does not answer ({error}): is it running?"
            ) from error
        except UnexpectedResponse as error:
            raise StoreError(
                f"Qdrant at {self.location} refused: {error.status_code} {error.reason_phrase}"
                f" {error.content.decode('utf-8', 'replace')[:300]}"
            ) from error
        except ApiException as error:
            raise StoreError(f"Qdrant at {self.location}: {error}") from error

    # -- the collection ------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether the collection has been made."""
        with self.guarded():
            return self.client.collection_exists(self.collection)

    def ensure(self, embedder: Embedder, sparse: SparseEncoder) -> None:
        """Make the collection for these vectors, or verify that it holds them.

        Raises:
            SchemaMismatch: it was made for others.
        """
        if self.exists():
            self.verify(embedder, sparse)
            return
        with self.guarded():
            self.client.create_collection(
                self.collection,
                vectors_config={
                    DENSE: models.VectorParams(
                        size=embedder.dimension, distance=models.Distance.COSINE
                    )
                },
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                metadata=_made_for(embedder, sparse),
            )
            if self.is_server:  # the embedded engine filters without indexes, and warns
                for name, kind in INDEXED.items():
                    self.client.create_payload_index(
                        self.collection, name, models.PayloadSchemaType(kind), wait=True
                    )

    def verify(self, embedder: Embedder, sparse: SparseEncoder) -> None:
        """Check that the collection holds vectors of these models.

        Raises:
            SchemaMismatch: it holds others.
        """
        with self.guarded():
            stored = self.client.get_collection(self.collection).config.metadata or {}
        wanted = _made_for(embedder, sparse)
        wrong = [key for key in wanted if stored.get(key) != wanted[key]]
        if wrong:
            has = ", ".join(f"{key}={stored.get(key)!r}" for key in wrong)
            needs = ", ".join(f"{key}={wanted[key]!r}" for key in wrong)
            raise SchemaMismatch(
                f"the collection {self.collection!r} at {self.location} has {has}, but {needs}"
                " is asked for: use the model it was made with, or ingest into another"
                " collection (--collection)"
            )

    # -- reading -------------------------------------------------------------------------------

    def count(self) -> int:
        """Points in the collection."""
        if not self.exists():
            return 0
        with self.guarded():
            return int(self.client.count(self.collection, exact=True).count)

    def existing_ids(self, document_id: str) -> set[str]:
        """Ids of the points stored for a document."""
        where = _where(**{Field.FILE_ID: document_id})
        return {str(record.id) for record in self._scroll(where, fields=[])}

    def stored_ids(self, ids: Collection[str]) -> set[str]:
        """Which of these ids have a point."""
        listed = list(ids)
        found: set[str] = set()
        for start in range(0, len(listed), _PAGE):
            with self.guarded():
                records = self.client.retrieve(
                    self.collection, listed[start : start + _PAGE], with_payload=False
                )
            found |= {str(record.id) for record in records}
        return found

    def is_complete(self, document_id: str, fingerprint: str) -> bool:
        """Whether every chunk made with this fingerprint is stored."""
        where = _where(**{Field.FILE_ID: document_id, Field.FINGERPRINT: fingerprint})
        with self.guarded():
            first, _ = self.client.scroll(
                self.collection, scroll_filter=where, limit=1, with_payload=[Field.CHUNK_COUNT]
            )
            if not first:
                return False
            stored = self.client.count(self.collection, count_filter=where, exact=True).count
        return stored == (first[0].payload or {}).get(Field.CHUNK_COUNT)

    def documents(self) -> list[StoredDocument]:
        """The documents that have points, by path."""
        if not self.exists():
            return []
        points: dict[str, list[Mapping[str, Any]]] = {}
        fields = [Field.FILE_ID, Field.FILE_NAME, Field.FILE_PATH, Field.PAGES]
        for record in self._scroll(None, fields):
            payload = record.payload or {}
            points.setdefault(str(payload.get(Field.FILE_ID, "")), []).append(payload)
        made = [_stored_document(key, payloads) for key, payloads in points.items()]
        return sorted(made, key=lambda document: (document.file_path, document.file_name))

    def _scroll(self, where: models.Filter | None, fields: list[str]) -> Iterator[models.Record]:
        offset: Any = None
        while True:
            with self.guarded():
                records, offset = self.client.scroll(
                    self.collection,
                    scroll_filter=where,
                    limit=_PAGE,
                    offset=offset,
                    with_payload=fields or False,
                )
            yield from records
            if offset is None:
                return

    # -- writing -------------------------------------------------------------------------------

    def upsert(self, points: Sequence[Point]) -> int:
        """Write points, wait until they are stored, and return how many."""
        for start in range(0, len(points), _BATCH):
            batch = [_struct(point) for point in points[start : start + _BATCH]]
            with self.guarded():
                self.client.upsert(self.collection, batch, wait=True)
        return len(points)

    def overwrite_payloads(self, payloads: Mapping[str, dict[str, object]]) -> None:
        """Replace the payloads of stored points, by id, and leave their vectors alone."""
        operations = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload=payload, points=[point_id])
            )
            for point_id, payload in payloads.items()
        ]
        for start in range(0, len(operations), _BATCH):
            with self.guarded():
                self.client.batch_update_points(
                    self.collection, operations[start : start + _BATCH], wait=True
                )

    def delete_ids(self, ids: Collection[str]) -> int:
        """Delete points by id and return how many were asked for."""
        listed = list(ids)
        for start in range(0, len(listed), _PAGE):
            with self.guarded():
                self.client.delete(
                    self.collection,
                    models.PointIdsList(points=listed[start : start + _PAGE]),
                    wait=True,
                )
        return len(listed)

    def delete_documents(self, document_ids: Collection[str]) -> int:
        """Delete all points of documents and return how many there were."""
        return sum(self.delete_ids(self.existing_ids(one)) for one in document_ids)


def _check_names(location: str, collection: str) -> None:
    """Refuse what would quietly become a folder of an odd name."""
    looks_remote = "://" in location or _HOST_AND_PORT.fullmatch(location)
    if not location.strip() or (looks_remote and not location.startswith(("http://", "https://"))):
        raise ConfigError(
            f"the store's place is {location!r}; name a folder, or a server as http://host:port"
        )
    # Qdrant's own rule; its local mode would make folders of slashes.
    if not _COLLECTION.fullmatch(collection):
        raise ConfigError(
            f"the collection's name is {collection!r:.80}; use letters, digits, - _ . (up to 255)"
        )


def _prepare_folder(folder: Path, create: bool) -> None:
    marker = folder / _MARKER
    if folder.exists():
        if not folder.is_dir():
            raise StoreUnavailable(f"{folder} is a file, not a folder for a store")
        if any(folder.iterdir()) and not marker.exists():
            _log.warning(
                "%s was not made by opticalrag: Qdrant's local mode loads pickles from it,"
                " which can run code; go on only if you trust who made it",
                folder,
            )
            return
    elif not create:
        raise StoreUnavailable(
            f"there is no store at {folder}: ingest something first, or name another (--qdrant)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)  # noqa: PTH101  it holds the text of the documents
        marker.touch()
    except OSError as error:
        raise StoreUnavailable(f"the folder {folder} cannot be made or written: {error}") from error


def _made_for(embedder: Embedder, sparse: SparseEncoder) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "embedder": embedder.name,
        "dimension": embedder.dimension,
        "sparse_encoder": sparse.name,
    }


def _where(**equal: str) -> models.Filter:
    return models.Filter(
        must=[
            models.FieldCondition(key=key, match=models.MatchValue(value=value))
            for key, value in equal.items()
        ]
    )


def _struct(point: Point) -> models.PointStruct:
    indices, values = point.sparse
    return models.PointStruct(
        id=point.id,
        payload=point.payload,
        vector={
            DENSE: point.dense.tolist(),
            SPARSE: models.SparseVector(indices=indices, values=values),
        },
    )


def _stored_document(key: str, payloads: Sequence[Mapping[str, Any]]) -> StoredDocument:
    return StoredDocument(
        document_id=key,
        file_name=str(payloads[0].get(Field.FILE_NAME, "")),
        file_path=str(payloads[0].get(Field.FILE_PATH, "")),
        pages=len({number for payload in payloads for number in payload.get(Field.PAGES, ())}),
        points=len(payloads),
    )
