"""What is stored: documents, their points, and the points nearest to a question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from qdrant_client import models

from ..core.records import Vectors
from ..core.schema import Field
from .collection import CollectionStore
from .requests import equal, vectors_in

__all__ = ["ReadingStore", "StoredDocument"]

_PAGE: Final = 1000  # points listed per request


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the store holds it: ``pages`` with text, ``points`` stored.

    ``tenant`` is whose it is, where several share a collection.
    """

    document_id: str
    file_name: str
    file_path: str
    pages: int
    points: int
    tenant: str | None = None


class ReadingStore(CollectionStore):
    """A collection whose points can be read: its tenant's alone, if it has one."""

    def restricted(self, where: models.Filter | None = None) -> models.Filter | None:
        """A filter that lets through what ``where`` does, of the tenant's points."""
        if self.tenant is None:
            return where
        own = models.FieldCondition(key=Field.TENANT, match=models.MatchValue(value=self.tenant))
        return models.Filter(must=[own] if where is None else [own, where])

    def count(self, where: models.Filter | None = None) -> int:
        """Points in the collection."""
        return self._counted(where) if self.exists() else 0

    def existing_ids(self, document_id: str) -> set[str]:
        """Ids of the points stored for a document."""
        where = equal(**{Field.FILE_ID: document_id})
        return {str(record.id) for record in self.scroll(where, fields=())}

    def stored_ids(self, ids: Collection[str]) -> set[str]:
        """Which of these ids have a point."""
        return {str(record.id) for record in self.retrieve(ids, fields=())}

    def is_complete(self, document_id: str, fingerprint: str) -> bool:
        """Whether every chunk made with this fingerprint is stored, and nothing else is."""
        where = equal(**{Field.FILE_ID: document_id})
        kept = self.restricted(where)
        first, _ = self.call(
            lambda: self.client.scroll(
                self.collection,
                scroll_filter=kept,
                limit=1,
                with_payload=[Field.FINGERPRINT, Field.CHUNK_COUNT],
            )
        )
        payload = (first[0].payload or {}) if first else {}
        if payload.get(Field.FINGERPRINT) != fingerprint:
            return False
        total = payload.get(Field.CHUNK_COUNT)
        return total == self._counted(where) == self.count_made(document_id, fingerprint)

    def count_made(self, document_id: str, fingerprint: str) -> int:
        """Points of a document that were made with this fingerprint."""
        return self._counted(equal(**{Field.FILE_ID: document_id, Field.FINGERPRINT: fingerprint}))

    def documents(self, where: models.Filter | None = None) -> list[StoredDocument]:
        """The documents that have points, by path.

        Args:
            where: only what this filter lets through.
        """
        if not self.exists():
            return []
        points: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        names = (Field.FILE_ID, Field.FILE_NAME, Field.FILE_PATH, Field.DOC_ID)
        fields = (*names, Field.PAGES, Field.TENANT)
        for record in self.scroll(where, fields):
            payload = record.payload or {}
            points[_document(payload)].append(payload)
        made = [_stored_document(key, payloads) for key, payloads in points.items()]
        return sorted(made, key=lambda document: (document.file_path, document.file_name))

    def paths(self) -> dict[str, str]:
        """Where the files of all documents of this owner were, by their ids.

        Without a tenant, those that are no tenant's: it is not for others to say that they go.
        """
        own = (one for one in self.documents() if one.tenant == self.tenant)
        return {one.document_id: one.file_path for one in own}

    def scroll(
        self, where: models.Filter | None, fields: Sequence[str] | None = None
    ) -> Iterator[models.Record]:
        """All points a filter lets through, in the order of their ids.

        Args:
            where: the filter; None for all points.
            fields: payload fields to bring; None for all of them.
        """
        kept, offset = self.restricted(where), None
        selected: Any = True if fields is None else list(fields) or False
        while True:
            records, offset = self.call(self._page(kept, selected, offset))
            yield from records
            if offset is None:
                return

    def retrieve(
        self, ids: Collection[str], fields: Sequence[str] | None = None
    ) -> list[models.Record]:
        """The points with these ids; those that are not there are left out.

        Args:
            ids: of points.
            fields: payload fields to bring; None for all of them.
        """
        selected: Any = True if fields is None else [*fields, Field.TENANT]
        return [record for record in self._retrieved(ids, selected) if self._is_own(record)]

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The embedded texts of points, by id; those that are not there are left out."""
        found = self.retrieve(ids, (Field.TEXT,))
        return {str(one.id): str((one.payload or {}).get(Field.TEXT, "")) for one in found}

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        """The vectors of points, by id; those that are not there are left out."""
        records = self._retrieved(ids, [Field.TENANT], with_vectors=True)
        return {str(one.id): vectors_in(one.vector) for one in records if self._is_own(one)}

    def _is_own(self, record: models.Record) -> bool:
        return self.tenant in (None, (record.payload or {}).get(Field.TENANT))

    def _page(self, where: models.Filter | None, selected: Any, offset: Any) -> Any:
        return lambda: self.client.scroll(
            self.collection,
            scroll_filter=where,
            limit=_PAGE,
            offset=offset,
            with_payload=selected,
        )

    def query(
        self,
        query: Any,
        *,
        where: models.Filter | None = None,
        prefetch: models.Prefetch | Sequence[models.Prefetch] = (),
        **request: Any,
    ) -> list[models.ScoredPoint]:
        """Find points, best first.

        Args:
            query: a vector, a fusion of ``prefetch``, or what else Qdrant's Query API takes.
            where: what the points must be.
            prefetch: the stages before, with filters of their own.
            request: other arguments of :meth:`qdrant_client.QdrantClient.query_points`.
        """
        asked = self._asked(query, where, prefetch, request)
        found = self.call(lambda: self.client.query_points(self.collection, **asked)).points
        return list(found)

    def _asked(
        self,
        query: Any,
        where: models.Filter | None,
        prefetch: models.Prefetch | Sequence[models.Prefetch],
        request: Mapping[str, Any],
    ) -> dict[str, Any]:
        listed = [prefetch] if isinstance(prefetch, models.Prefetch) else prefetch
        stages = [self._own(stage) for stage in listed]
        return {
            "query": query,
            "query_filter": self.restricted(where),
            "prefetch": stages or None,
            "search_params": self._search_params,
            **request,
        }

    def _own(self, stage: models.Prefetch) -> models.Prefetch:
        """A stage that sees the tenant's points only, as do the stages before it."""
        before = stage.prefetch or []
        inner = [self._own(one) for one in (before if isinstance(before, list) else [before])]
        return stage.model_copy(
            update={
                "filter": self.restricted(stage.filter),
                "prefetch": inner or None,
                "params": stage.params or (self._search_params if not inner else None),
            }
        )

    def _counted(self, where: models.Filter | None) -> int:
        kept = self.restricted(where)
        counted = self.call(
            lambda: self.client.count(self.collection, count_filter=kept, exact=True)
        )
        return int(counted.count)

    def _retrieved(
        self, ids: Collection[str], selected: Any, with_vectors: bool = False
    ) -> Iterator[models.Record]:
        """Points by id, whosever they are."""
        listed = list(ids)
        for start in range(0, len(listed), _PAGE):
            part = listed[start : start + _PAGE]
            yield from self.call(partial(self._retrieving, part, selected, with_vectors))

    def _retrieving(self, ids: list[str], selected: Any, with_vectors: bool) -> Any:
        return self.client.retrieve(
            self.collection, ids, with_payload=selected, with_vectors=with_vectors
        )


def _document(payload: Mapping[str, Any]) -> str:
    """What names a point's document, whoever wrote the point."""
    names = (Field.FILE_ID, Field.FILE_PATH, Field.FILE_NAME, Field.DOC_ID)
    return next((str(payload[name]) for name in names if payload.get(name)), "")


def _stored_document(key: str, payloads: Sequence[Mapping[str, Any]]) -> StoredDocument:
    pages = (payload.get(Field.PAGES) for payload in payloads)
    tenant = payloads[0].get(Field.TENANT)
    return StoredDocument(
        document_id=key,
        file_name=str(payloads[0].get(Field.FILE_NAME) or ""),
        file_path=str(payloads[0].get(Field.FILE_PATH) or ""),
        pages=len({str(one) for listed in pages if isinstance(listed, list) for one in listed}),
        points=len(payloads),
        tenant=None if tenant is None else str(tenant),
    )
