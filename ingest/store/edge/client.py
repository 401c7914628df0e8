"""Reads and writes points of qdrant-edge with the methods of :class:`qdrant_client.QdrantClient`.

``qdrant-edge`` runs the server's storage and HNSW index in this process, without pickles. It
answers in milliseconds where the client in memory compares every vector. This module takes and
returns the client's classes, so that the store and the search work with any engine.

A write is in the engine's write-ahead log when the call returns, and survives a killed process. The
HNSW index is built on closing, once there are enough new points (see :mod:`.config`). Until then,
new points are compared one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.conversions.common_types import QueryResponse

from ...core.errors import NotSupported
from .collections import EdgeCollections
from .requests import to_filter, to_params, to_prefetches, to_query, to_selection, to_vectors

__all__ = ["EdgeClient"]


class EdgeClient(EdgeCollections):
    """The collections in a folder and their points. Thread-safe."""

    def count(
        self, collection_name: str, count_filter: models.Filter | None = None, exact: bool = True
    ) -> models.CountResult:
        """Count points."""
        with self._reading(collection_name) as shard:
            request = edge.CountRequest(exact=exact, filter=to_filter(count_filter))
            return models.CountResult(count=shard.count(request))

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: bool | list[str] = False,
    ) -> tuple[list[models.Record], Any]:
        """Return points in the order of their ids, and the offset of the next ones."""
        with self._reading(collection_name) as shard:
            request = edge.ScrollRequest(
                offset=offset,
                limit=limit,
                filter=to_filter(scroll_filter),
                with_payload=to_selection(with_payload),
                with_vector=with_vectors,
            )
            records, following = shard.scroll(request)
        return [_record(one) for one in records], None if following is None else _id(following)

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: bool | list[str] = False,
    ) -> list[models.Record]:
        """Return the points that exist, by id."""
        with self._reading(collection_name) as shard:
            found = shard.retrieve(list(ids), to_selection(with_payload), with_vectors)
        return [_record(one) for one in found]

    def query_points(  # noqa: PLR0913  arguments of QdrantClient
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
        """Return points, best first."""
        with self._reading(collection_name) as shard:
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
            found = shard.query(request)
        return QueryResponse(points=[_scored(one, bool(with_vectors)) for one in found])

    def upsert(
        self, collection_name: str, points: Sequence[models.PointStruct], wait: bool = True
    ) -> None:
        """Write points, replacing those with the same ids.

        Raises:
            StoreError: a vector has a number that is not finite, or the engine refuses a point.
        """
        with self._writing(collection_name) as shard:
            made = [edge.Point(p.id, to_vectors(p.vector), p.payload) for p in points]
            shard.update(edge.UpdateOperation.upsert_points(made))

    def batch_update_points(
        self,
        collection_name: str,
        update_operations: Sequence[models.OverwritePayloadOperation],
        wait: bool = True,
    ) -> None:
        """Replace the payloads of points.

        Raises:
            NotSupported: another operation is requested.
        """
        for operation in update_operations:
            if not isinstance(operation, models.OverwritePayloadOperation):
                raise NotSupported(f"the embedded engine does not support {operation!r:.100}")
            change = operation.overwrite_payload
            ids = list(change.points or ())
            with self._writing(collection_name) as shard:
                shard.update(edge.UpdateOperation.overwrite_payload(ids, change.payload))

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
        with self._writing(collection_name) as shard:
            if isinstance(selector, models.Filter):
                where: Any = to_filter(selector)
                shard.update(edge.UpdateOperation.delete_points_by_filter(where))
            else:
                shard.update(edge.UpdateOperation.delete_points(list(selector)))


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
        vector=_plain(point.vector) if with_vectors else None,  # MMR always returns them
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
