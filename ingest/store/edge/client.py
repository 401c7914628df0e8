"""Qdrant's embedded engine behind the calls of its client: the points.

``qdrant-edge`` is the server's own storage and HNSW index in this process: no pickles, real
payload indexes, and answers in milliseconds where the client's local mode scans every vector. It
speaks other classes than ``qdrant_client``; this module translates the calls of the store and of
the search, with the arguments and results of :class:`qdrant_client.QdrantClient`, so that one
store serves every engine.

A write is in the engine's write-ahead log when the call returns: it outlives the process being
killed. The HNSW index is built when the store is closed and enough is new (see
:mod:`.edge_config`); until then new points are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.conversions.common_types import QueryResponse

from ...core.errors import NotSupported
from .collections import EdgeCollections
from .folder import engine_errors
from .requests import (
    to_filter,
    to_params,
    to_prefetches,
    to_query,
    to_selection,
    to_vectors,
)

__all__ = ["EdgeClient"]


class EdgeClient(EdgeCollections):
    """Collections in a folder, open to one process at a time; any of its threads may ask.

    Args:
        folder: the store's; it must be there.

    Raises:
        StoreUnavailable: another process has the folder open.
        OSError: nothing can be written there.
    """

    # -- reading -------------------------------------------------------------------------------

    def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
    ) -> models.CountResult:
        """Count points."""
        with engine_errors(self._root / collection_name):
            request = edge.CountRequest(exact=exact, filter=to_filter(count_filter))
        return models.CountResult(count=self._ask(collection_name, "count", request))

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: bool | list[str] = False,
    ) -> tuple[list[models.Record], Any]:
        """List points in the order of their ids, and where the next ones begin."""
        with engine_errors(self._root / collection_name):
            request = edge.ScrollRequest(
                offset=offset,
                limit=limit,
                filter=to_filter(scroll_filter),
                with_payload=to_selection(with_payload),
                with_vector=with_vectors,
            )
        records, following = self._ask(collection_name, "scroll", request)
        return [_record(one) for one in records], None if following is None else _id(following)

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: bool | list[str] = False,
    ) -> list[models.Record]:
        """Points by id; those that are not there are left out."""
        found = self._ask(
            collection_name, "retrieve", list(ids), to_selection(with_payload), with_vectors
        )
        return [_record(one) for one in found]

    def query_points(  # noqa: PLR0913  the client's own arguments
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: models.Prefetch | Sequence[models.Prefetch] | None = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: bool | list[str] = False,
        score_threshold: float | None = None,
    ) -> QueryResponse:
        """Find points, best first."""
        with engine_errors(self._root / collection_name):
            request = edge.QueryRequest(
                limit=limit,
                offset=offset,
                query=to_query(query, using, limit),
                prefetches=to_prefetches(prefetch, limit),
                filter=to_filter(query_filter),
                params=to_params(search_params),
                with_payload=to_selection(with_payload),
                with_vector=with_vectors,
                score_threshold=score_threshold,
            )
        found = self._ask(collection_name, "query", request)
        return QueryResponse(points=[_scored(one, bool(with_vectors)) for one in found])

    # -- writing -------------------------------------------------------------------------------

    def upsert(
        self, collection_name: str, points: Sequence[models.PointStruct], wait: bool = True
    ) -> None:
        """Write points, whole.

        Raises:
            StoreError: a vector has a number that is none, or the engine refuses a point.
        """
        with engine_errors(self._root / collection_name):
            made = [edge.Point(p.id, to_vectors(p.vector), p.payload) for p in points]
        self._update(collection_name, edge.UpdateOperation.upsert_points(made))

    def batch_update_points(
        self,
        collection_name: str,
        update_operations: Sequence[models.OverwritePayloadOperation],
        wait: bool = True,
    ) -> None:
        """Replace payloads of points.

        Raises:
            NotSupported: it is another operation.
        """
        for operation in update_operations:
            if not isinstance(operation, models.OverwritePayloadOperation):
                raise NotSupported(f"the embedded engine is not asked for {operation!r:.100}")
            change = operation.overwrite_payload
            with engine_errors(self._root / collection_name):
                update = edge.UpdateOperation.overwrite_payload(
                    list(change.points or ()), change.payload
                )
            self._update(collection_name, update)

    def delete(
        self,
        collection_name: str,
        points_selector: models.PointIdsList
        | models.FilterSelector
        | models.Filter
        | Sequence[Any],
        wait: bool = True,
    ) -> None:
        """Delete points by id or filter."""
        selector: Any = points_selector
        if isinstance(selector, models.FilterSelector):
            selector = selector.filter
        if isinstance(selector, models.PointIdsList):
            selector = selector.points
        with engine_errors(self._root / collection_name):
            if isinstance(selector, models.Filter):
                where = to_filter(selector) or edge.Filter()
                operation = edge.UpdateOperation.delete_points_by_filter(where)
            else:
                operation = edge.UpdateOperation.delete_points(list(selector))
        self._update(collection_name, operation)

    def _ask(self, name: str, what: str, *arguments: Any) -> Any:
        shard = self._opened(name).shard
        with engine_errors(self._root / name):
            return getattr(shard, what)(*arguments)


def _id(value: Any) -> int | str:
    return value if isinstance(value, int) else str(value)


def _record(record: Any) -> models.Record:
    return models.Record(id=_id(record.id), payload=record.payload, vector=_plain(record.vector))


def _scored(point: Any, with_vectors: bool) -> models.ScoredPoint:
    return models.ScoredPoint(
        id=_id(point.id),
        version=point.version,
        score=point.score,
        payload=point.payload,
        vector=_plain(point.vector) if with_vectors else None,  # MMR gives them unasked
    )


def _plain(vectors: Any) -> Any:
    if not isinstance(vectors, dict):
        return None
    return {
        name: models.SparseVector(indices=vector.indices, values=vector.values)
        if isinstance(vector, edge.SparseVector)
        else list(vector)
        for name, vector in vectors.items()
    }
