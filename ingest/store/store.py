"""Points in Qdrant: on a server, or embedded in a folder. Knows no documents and no models.

One class in four floors: :mod:`.store_connection` (where and by which engine),
:mod:`.store_collection` (schema, indexes, aliases, snapshots), :mod:`.store_reading`, and writing,
which is here.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from qdrant_client import models

from ..core.errors import StoreError
from ..core.records import Point
from ..core.schema import Field
from .reading import ReadingStore, StoredDocument
from .requests import batched, equal, overwriting, point_bytes, to_struct

__all__ = ["QdrantStore", "StoredDocument"]

# A request is far below the 32 MB a server takes; a point of 384 floats and 4 KB of payload has
# about 10 KB, so that it is mostly the number that bounds.
_MOST_POINTS: Final = 256
_MOST_BYTES: Final = 8 * 1024**2
_MOST_IDS: Final = 1000
_UPLOADS: Final = 4  # requests to a server at a time
# A book of 5,000 pages has 15,000 chunks, which a CPU embeds in minutes.
_ON_ITS_WAY: Final = timedelta(hours=1)


class QdrantStore(ReadingStore):
    """A collection of points. Close it, or use it in a ``with`` statement.

    An embedded folder is open to one process at a time. A new one is kept by qdrant-edge, which has
    an index and no pickles. Qdrant's local mode (``engine="local"``, and folders made earlier)
    keeps pickles: opening a folder that somebody else made can run their code, so one without our
    marker is opened with a warning.

    Of a server, every call is tried again while it is busy or away, once it has answered; so is
    every write, which makes no difference if it was done already.
    """

    def upsert(self, points: Sequence[Point]) -> int:
        """Write points, wait until they are stored, and return how many.

        Raises:
            StoreError: an id belongs to a point of another tenant.
        """
        self._refuse_others([point.id for point in points])
        sized = ((point, point_bytes(point)) for point in points)
        batches = batched(sized, _MOST_POINTS, _MOST_BYTES)
        self._send(self._writing(batch) for batch in batches)
        return len(points)

    def overwrite_payloads(self, payloads: Mapping[str, dict[str, object]]) -> None:
        """Replace the payloads of stored points, by id, and leave their vectors alone.

        Raises:
            StoreError: an id belongs to a point of another tenant.
        """
        self._refuse_others(payloads)
        operations = [overwriting(key, payload, self.tenant) for key, payload in payloads.items()]
        sized = ((one, len(one.model_dump_json())) for one in operations)
        batches = batched(sized, _MOST_POINTS, _MOST_BYTES)
        self._send(self._updating(batch) for batch in batches)

    def delete_ids(self, ids: Collection[str]) -> int:
        """Delete points by id and return how many there were."""
        return self._delete_listed(list(ids), [])

    def delete_where(self, where: models.Filter) -> int:
        """Delete the points a filter lets through and return how many there were."""
        there = self.count(where)
        if there:
            kept = self.restricted(where)
            assert kept is not None  # noqa: S101  there is a filter
            self._delete(models.FilterSelector(filter=kept))
        return there

    def delete_documents(self, document_ids: Collection[str]) -> int:
        """Delete all points of documents and return how many there were."""
        return sum(self.delete_where(equal(**{Field.FILE_ID: one})) for one in document_ids)

    def delete_path(self, file_path: str) -> int:
        """Delete all points of the file at a path and return how many there were."""
        return self.delete_where(equal(**{Field.FILE_PATH: file_path}))

    def delete_orphans(self) -> int:
        """Delete what interrupted replacements left behind and return how many points it was.

        A document whose newest content is stored whole keeps that; one of which no content is
        whole is left as it is, to be ingested again. So is on a server what was written in the
        last hour: it may be a replacement on its way.
        """
        fields = (Field.FILE_ID, Field.FINGERPRINT, Field.CHUNK_COUNT, Field.INGESTED_AT)
        records: dict[str, list[models.Record]] = defaultdict(list)
        for record in self.scroll(None, fields) if self.exists() else ():
            records[str((record.payload or {}).get(Field.FILE_ID, ""))].append(record)
        orphans = [orphan for found in records.values() for orphan in _orphans(found)]
        # Others write to a server only; also what they made anew since it was listed stays.
        before = datetime.now(timezone.utc) - _ON_ITS_WAY
        settled = models.FieldCondition(
            key=Field.INGESTED_AT, range=models.DatetimeRange(lt=before)
        )
        return self._delete_listed(orphans, [settled] if self.is_server else [])

    # -- requests ------------------------------------------------------------------------------

    def _refuse_others(self, ids: Collection[str]) -> None:
        """Ids are unique in a collection: nobody's point may take that of a tenant."""
        there = self._retrieved(ids, [Field.TENANT])
        others = [r.id for r in there if (r.payload or {}).get(Field.TENANT) != self.tenant]
        if others:
            raise StoreError(
                f"{len(others)} points, the first with id {others[0]}, belong to another tenant"
                f" than {self.tenant!r}: give nodes ids of their own, or use another collection"
            )

    def _delete_listed(self, ids: Sequence[str], also: Sequence[models.FieldCondition]) -> int:
        """Delete those of these points that are as said, too."""
        parts = (list(ids[at : at + _MOST_IDS]) for at in range(0, len(ids), _MOST_IDS))
        return sum(
            self.delete_where(models.Filter(must=[models.HasIdCondition(has_id=part), *also]))
            for part in parts
        )

    def _writing(self, batch: Sequence[Point]) -> Callable[[], Any]:
        made = [to_struct(point, self.tenant) for point in batch]
        return lambda: self.client.upsert(self.collection, made, wait=True)

    def _updating(self, batch: Sequence[Any]) -> Callable[[], Any]:
        return lambda: self.client.batch_update_points(self.collection, batch, wait=True)

    def _delete(self, selector: Any) -> None:
        self.call(lambda: self.client.delete(self.collection, selector, wait=True))

    def _send(self, requests: Iterable[Callable[[], Any]]) -> None:
        """Make requests: to a server a few at a time, made as they are sent."""
        if not self.is_server:
            for request in requests:
                self.call(request)
            return
        pending: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(_UPLOADS, "opticalrag-upload") as pool:
            for request in requests:
                if len(pending) == _UPLOADS:
                    pending.popleft().result()
                pending.append(pool.submit(self.call, request))
            for sent in pending:
                sent.result()


def _orphans(records: Sequence[models.Record]) -> list[str]:
    """Ids of a document's points that are not of its newest whole content."""
    versions: dict[str, list[models.Record]] = defaultdict(list)
    for record in records:
        versions[str((record.payload or {}).get(Field.FINGERPRINT))].append(record)
    whole = {
        fingerprint: max(str((one.payload or {}).get(Field.INGESTED_AT, "")) for one in found)
        for fingerprint, found in versions.items()
        if all((one.payload or {}).get(Field.CHUNK_COUNT) == len(found) for one in found)
    }
    if not whole:
        return []
    newest = max(whole, key=lambda fingerprint: whole[fingerprint])
    return [
        str(record.id)
        for fingerprint, found in versions.items()
        if fingerprint != newest
        for record in found
    ]
