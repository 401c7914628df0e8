"""Stores points in a Qdrant collection and searches them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

from qdrant_client import models

from ..core.config import CollectionOptions
from ..core.errors import ConfigError, NotSupported, StoreError
from ..core.protocols import SparseEncoder, VectorSpace
from ..core.records import Point, Vectors
from ..core.schema import Field
from ..system.closeable import Closeable
from ..system.retry import Retry
from .collection import (
    check_collection_name,
    collection_exists,
    collection_info,
    create_collection,
    create_indexes,
    delete_collection,
    list_aliases,
    switch_alias,
    verify_collection,
)
from .connection import Connection, Engine
from .requests import (
    batched,
    equal,
    overwriting,
    point_bytes,
    restricted,
    restricted_stage,
    to_struct,
    vectors_in,
)
from .settings import search_params
from .stored_documents import (
    DOCUMENT_FIELDS,
    VERSION_FIELDS,
    StoredDocument,
    orphaned_ids,
    stored_documents,
)

__all__ = ["QdrantStore"]

# Requests stay far below the 32 MB that a server accepts. A point with 384 floats and 4 KB of
# payload takes about 10 KB, so the number of points is usually the tighter limit.
_MOST_POINTS: Final = 256
_MOST_BYTES: Final = 8 * 1024**2
_MOST_IDS: Final = 1000  # per deletion
_PAGE: Final = 1000  # points listed per request
# A CPU embeds the 15,000 chunks of a 5,000-page book in minutes, far less than this.
_WRITE_TIME: Final = timedelta(hours=1)


class QdrantStore(Closeable):
    """A collection of points. Close it, or use it in a ``with`` statement.

    One process at a time can open a folder; threads may share the store. Calls to a server are
    retried while it is busy or down, provided that it has answered before. Writes are retried too:
    a repeated write changes nothing.

    Args:
        location: URL of a server, a folder, or ``":memory:"``.
        collection: name of the collection, or an alias of it.
        api_key: API key of the server.
        create: create the folder if it does not exist.
        tenant: read and write only points of this tenant; None for all points.
        prefer_grpc: use gRPC where the server offers it.
        options: layout of a new collection.
        retry: how long to retry a server that has answered before.
        wait: seconds to wait for a folder that another process has open.

    Raises:
        ConfigError: the location, the collection's name or the tenant is invalid, or the local
            mode of Qdrant's client made the folder.
        StoreUnavailable: the folder cannot be opened, or does not exist and ``create`` is False.
        StoreLocked: another process has the folder open.
    """

    def __init__(  # noqa: PLR0913  keyword-only options
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
        check_collection_name(collection)
        if tenant is not None and not tenant.strip():
            raise ConfigError("tenant is empty: give it a name, or None for no tenant")
        self.collection = collection
        self.tenant = tenant
        self.options = options or CollectionOptions()
        self._connection = Connection(
            location,
            api_key=api_key,
            create=create,
            prefer_grpc=prefer_grpc,
            retry=retry,
            wait=wait,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r}, collection={self.collection!r})"

    @property
    def location(self) -> str:
        """URL of the server, the folder, or ``":memory:"``."""
        return self._connection.location

    @property
    def engine(self) -> Engine:
        """What runs at the location."""
        return self._connection.engine

    @property
    def is_server(self) -> bool:
        """Whether the location is a server, to which other processes may write."""
        return self.engine == "server"

    @property
    def client(self) -> Any:
        """The Qdrant client, or the embedded engine's with the same methods.

        A client in memory is not thread-safe; calls through the store are.
        """
        return self._connection.client

    def close(self) -> None:
        """Close the folder or the connection to the server."""
        self._connection.close()

    # -- the collection ------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether the collection exists."""
        return collection_exists(self._connection, self.collection)

    def ensure(self, embedder: VectorSpace, sparse: SparseEncoder) -> None:
        """Create the collection for the vectors of two models, or verify that it holds them.

        Creates the payload indexes before the first point is written, and those that an older or
        interrupted run did not create.

        Raises:
            SchemaMismatch: the collection holds vectors of other models.
            NotSupported: an option of the layout that the engine does not have.
        """
        if not self.exists():
            create_collection(self._connection, self.collection, embedder, sparse, self.options)
        self.verify(embedder, sparse)
        create_indexes(self._connection, self.collection)

    def verify(self, embedder: VectorSpace, sparse: SparseEncoder) -> None:
        """Check that the collection holds vectors of these models.

        Raises:
            SchemaMismatch: it holds vectors of other models.
        """
        verify_collection(self._connection, self.collection, embedder, sparse)

    def embedder_name(self) -> str | None:
        """Return the embedding model of the collection; None if there is no collection."""
        if not self.exists():
            return None
        name = self._metadata().get("embedder")
        return None if name is None else str(name)

    def switch_alias(self, alias: str) -> None:
        """Point an alias to this store's collection, in one request.

        To change the embedding model without downtime, ingest into a new collection and then
        switch the alias that is searched. If the store was opened by an alias, the new alias names
        the same collection.

        Raises:
            ConfigError: the alias is not a valid name.
            StoreError: the alias is the name of a collection, or this collection does not exist.
            NotSupported: the store has a tenant.
        """
        self._refuse_tenant("switch an alias")
        switch_alias(self._connection, self.collection, alias)

    def aliases(self) -> dict[str, str]:
        """Return the collections by alias."""
        return list_aliases(self._connection)

    def delete_collection(self) -> None:
        """Delete the collection with all its points and aliases.

        If the store was opened by an alias, deletes the collection that the alias names.

        Raises:
            NotSupported: the store has a tenant.
        """
        self._refuse_tenant("delete the collection")
        delete_collection(self._connection, self.collection)

    # -- reading -------------------------------------------------------------------------------

    def count(self, where: models.Filter | None = None) -> int:
        """Count points; 0 if there is no collection."""
        return self._count(where) if self.exists() else 0

    def existing_ids(self, document_id: str) -> set[str]:
        """Return the ids of a document's points."""
        where = equal(**{Field.FILE_ID: document_id})
        return {str(record.id) for record in self.scroll(where, fields=())}

    def stored_ids(self, ids: Collection[str]) -> set[str]:
        """Return those of these ids that have a point."""
        return {str(record.id) for record in self.retrieve(ids, fields=())}

    def is_complete(self, document_id: str, fingerprint: str) -> bool:
        """Whether all chunks with this fingerprint are stored, and no other point of the document.

        The document's points carry their fingerprint and how many there should be.
        """
        where = equal(**{Field.FILE_ID: document_id})
        first, _ = self._call(
            "scroll",
            scroll_filter=restricted(where, self.tenant),
            limit=1,
            with_payload=[Field.FINGERPRINT, Field.CHUNK_COUNT],
        )
        payload = (first[0].payload or {}) if first else {}
        if payload.get(Field.FINGERPRINT) != fingerprint:
            return False
        total = payload.get(Field.CHUNK_COUNT)
        return total == self._count(where) == self.count_made(document_id, fingerprint)

    def count_made(self, document_id: str, fingerprint: str) -> int:
        """Count a document's points with this fingerprint."""
        return self._count(equal(**{Field.FILE_ID: document_id, Field.FINGERPRINT: fingerprint}))

    def documents(self, where: models.Filter | None = None) -> list[StoredDocument]:
        """Return the documents of the points that match a filter, sorted by path."""
        if not self.exists():
            return []
        return stored_documents(self.scroll(where, DOCUMENT_FIELDS))

    def paths(self) -> dict[str, str]:
        """Return the file paths of this tenant's documents, by document id.

        Without a tenant, returns the documents that have none: a run without a tenant must not
        delete those of others.
        """
        own = (one for one in self.documents() if one.tenant == self.tenant)
        return {one.document_id: one.file_path for one in own}

    def scroll(
        self, where: models.Filter | None, fields: Sequence[str] | None = None
    ) -> Iterator[models.Record]:
        """Yield all points that match a filter, in the order of their ids.

        Args:
            where: the filter; None for all points.
            fields: payload fields to return; None for all of them.
        """
        request = {
            "scroll_filter": restricted(where, self.tenant),
            "limit": _PAGE,
            "with_payload": True if fields is None else list(fields) or False,
        }
        offset = None
        while True:
            records, offset = self._call("scroll", offset=offset, **request)
            yield from records
            if offset is None:
                return

    def retrieve(
        self, ids: Collection[str], fields: Sequence[str] | None = None
    ) -> list[models.Record]:
        """Return the points that exist, by id, with these payload fields or (None) all of them."""
        selected: Any = True if fields is None else [*fields, Field.TENANT]
        return [record for record in self._retrieve_all(ids, selected) if self._is_own(record)]

    def texts(self, ids: Collection[str], file_name: str) -> dict[str, str]:
        """Return the embedded texts of the points of files so named, by id.

        Their vectors are those of every such text in a file of this name.
        """
        found = self.retrieve(ids, (Field.TEXT, Field.FILE_NAME))
        payloads = {str(one.id): one.payload or {} for one in found}
        return {
            point: str(payload.get(Field.TEXT, ""))
            for point, payload in payloads.items()
            if payload.get(Field.FILE_NAME) == file_name
        }

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        """Return the vectors of the points that exist, by id."""
        records = self._retrieve_all(ids, [Field.TENANT], with_vectors=True)
        return {str(one.id): vectors_in(one.vector) for one in records if self._is_own(one)}

    def query(
        self,
        query: Any,
        *,
        where: models.Filter | None = None,
        prefetch: models.Prefetch | Sequence[models.Prefetch] = (),
        **request: Any,
    ) -> list[models.ScoredPoint]:
        """Return points, best first.

        Args:
            query: a vector, a fusion of ``prefetch``, or another query of Qdrant's Query API.
            where: return only points that match this filter.
            prefetch: the stages before the query, each with its own filter.
            request: other arguments of :meth:`qdrant_client.QdrantClient.query_points`.
        """
        listed = [prefetch] if isinstance(prefetch, models.Prefetch) else prefetch
        stages = [restricted_stage(one, self.tenant, self._search_params) for one in listed]
        asked = {
            "query": query,
            "query_filter": restricted(where, self.tenant),
            "prefetch": stages or None,
            "search_params": self._search_params,
            **request,
        }
        return list(self._call("query_points", **asked).points)

    # -- writing -------------------------------------------------------------------------------

    def upsert(self, points: Sequence[Point]) -> int:
        """Write points, wait until they are stored, and return their number.

        Raises:
            StoreError: an id belongs to a point of another tenant.
        """
        self._refuse_foreign_ids([point.id for point in points])
        sized = ((point, point_bytes(point)) for point in points)
        batches = batched(sized, _MOST_POINTS, _MOST_BYTES)
        made = ([to_struct(point, self.tenant) for point in batch] for batch in batches)
        self._connection.call_all(
            methodcaller("upsert", self.collection, batch, wait=True) for batch in made
        )
        return len(points)

    def overwrite_payloads(self, payloads: Mapping[str, dict[str, object]]) -> None:
        """Replace the payloads of stored points, by id; their vectors stay.

        Raises:
            StoreError: an id belongs to a point of another tenant.
        """
        self._refuse_foreign_ids(payloads)
        operations = [overwriting(key, payload, self.tenant) for key, payload in payloads.items()]
        sized = ((one, len(one.model_dump_json())) for one in operations)
        batches = batched(sized, _MOST_POINTS, _MOST_BYTES)
        self._connection.call_all(
            methodcaller("batch_update_points", self.collection, batch, wait=True)
            for batch in batches
        )

    def delete_ids(self, ids: Collection[str]) -> int:
        """Delete points by id and return how many existed."""
        return self._delete_matching(list(ids), [])

    def delete_where(self, where: models.Filter) -> int:
        """Delete the points that match a filter and return how many existed."""
        found = self.count(where)
        if found:
            kept: Any = restricted(where, self.tenant)
            self._call("delete", models.FilterSelector(filter=kept), wait=True)
        return found

    def delete_documents(self, document_ids: Collection[str]) -> int:
        """Delete all points of documents and return how many existed."""
        return sum(self.delete_where(equal(**{Field.FILE_ID: one})) for one in document_ids)

    def delete_orphans(self) -> int:
        """Delete the points that interrupted replacements left, and return how many there were.

        Keeps the newest complete version of each document. A document without a complete version
        stays as it is, to be ingested again. On a server, points written in the last hour stay too:
        another process may be replacing the document.
        """
        if not self.exists():
            return 0
        orphans = orphaned_ids(self.scroll(None, VERSION_FIELDS))
        # The condition also spares orphans that were written again since they were listed.
        before = datetime.now(timezone.utc) - _WRITE_TIME
        settled = models.FieldCondition(
            key=Field.INGESTED_AT, range=models.DatetimeRange(lt=before)
        )
        return self._delete_matching(orphans, [settled] if self.is_server else [])

    # -- requests ------------------------------------------------------------------------------

    @cached_property
    def _search_params(self) -> models.SearchParams | None:
        if self.engine == "memory":  # stores the original vectors only
            return None
        return search_params(self._metadata())

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client for this collection."""
        return self._connection.call(methodcaller(method, self.collection, *args, **kwargs))

    def _metadata(self) -> Mapping[str, Any]:
        return collection_info(self._connection, self.collection).config.metadata or {}

    def _refuse_tenant(self, what: str) -> None:
        if self.tenant is not None:
            raise NotSupported(
                f"cannot {what} as tenant {self.tenant!r}: other tenants share the collection; open"
                " the store without a tenant"
            )

    def _refuse_foreign_ids(self, ids: Collection[str]) -> None:
        """Refuse ids of other tenants' points, because writing would replace those points."""
        found = self._retrieve_all(ids, [Field.TENANT])
        foreign = [r.id for r in found if (r.payload or {}).get(Field.TENANT) != self.tenant]
        if foreign:
            raise StoreError(
                f"{len(foreign)} points (first id: {foreign[0]}) belong to another tenant than"
                f" {self.tenant!r}: give the nodes other ids, or use another collection"
            )

    def _is_own(self, record: models.Record) -> bool:
        return self.tenant in (None, (record.payload or {}).get(Field.TENANT))

    def _count(self, where: models.Filter | None) -> int:
        kept = restricted(where, self.tenant)
        return int(self._call("count", count_filter=kept, exact=True).count)

    def _retrieve_all(
        self, ids: Collection[str], with_payload: Any, with_vectors: bool = False
    ) -> Iterator[models.Record]:
        """Yield points by id, also those of other tenants."""
        request = {"with_payload": with_payload, "with_vectors": with_vectors}
        for part in _parts(list(ids), _PAGE):
            yield from self._call("retrieve", part, **request)

    def _delete_matching(
        self, ids: Sequence[str], conditions: Sequence[models.FieldCondition]
    ) -> int:
        """Delete those of these points that meet all conditions."""
        return sum(
            self.delete_where(models.Filter(must=[models.HasIdCondition(has_id=part), *conditions]))
            for part in _parts(ids, _MOST_IDS)
        )


def _parts(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    return (list(ids[start : start + size]) for start in range(0, len(ids), size))
