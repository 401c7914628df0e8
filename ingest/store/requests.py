"""Builds requests to Qdrant: points, filters, stages of a query, and batches. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from qdrant_client import models

from ..core.records import Point, Vectors
from ..core.schema import DENSE, SPARSE, Field

__all__ = [
    "batched",
    "equal",
    "named",
    "overwriting",
    "point_bytes",
    "restricted",
    "restricted_stage",
    "stored_payload",
    "to_struct",
    "vectors_in",
]

T = TypeVar("T")

_FLOAT_BYTES: Final = 12  # of one number in JSON: "0.012345678,"
_TERM_BYTES: Final = 24  # of one index and its weight in JSON


def to_struct(point: Point, tenant: str | None) -> models.PointStruct:
    """Convert a point to the client's record."""
    indices, values = point.sparse
    sparse = models.SparseVector(indices=indices, values=values)
    return models.PointStruct(
        id=point.id,
        payload=stored_payload(point.payload, tenant),
        vector={DENSE: point.dense.tolist(), SPARSE: sparse},
    )


def vectors_in(stored: Any) -> Vectors:
    """Convert the vectors of a client's record."""
    sparse = stored[SPARSE]
    dense = np.asarray(stored[DENSE], np.float32)
    return Vectors(dense, (list(sparse.indices), list(sparse.values)))


def overwriting(
    point_id: str, payload: Mapping[str, object], tenant: str | None
) -> models.OverwritePayloadOperation:
    """Return the operation that replaces a stored point's payload."""
    change = models.SetPayload(payload=stored_payload(payload, tenant), points=[point_id])
    return models.OverwritePayloadOperation(overwrite_payload=change)


def stored_payload(payload: Mapping[str, object], tenant: str | None) -> dict[str, Any]:
    """Return the payload with its tenant, in text that every engine can store."""
    cleaned = {key: _clean(value) for key, value in payload.items()}
    return cleaned if tenant is None else {**cleaned, Field.TENANT: tenant}


def point_bytes(point: Point) -> int:
    """Estimate the bytes of a point in a request."""
    vectors = _FLOAT_BYTES * len(point.dense) + _TERM_BYTES * len(point.sparse[0])
    return vectors + len(json.dumps(point.payload, default=str))


def equal(**values: str | int) -> models.Filter:
    """Match the points whose payload fields equal these values."""
    matches = {key: models.MatchValue(value=_clean(value)) for key, value in values.items()}
    return models.Filter(
        must=[models.FieldCondition(key=key, match=match) for key, match in matches.items()]
    )


def named(name: str) -> models.Filter:
    """Match the points of documents with this id, path or file name."""
    keys = (Field.FILE_ID, Field.FILE_PATH, Field.FILE_NAME)
    return models.Filter(should=[equal(**{key: name}) for key in keys])


def restricted(where: models.Filter | None, tenant: str | None) -> models.Filter | None:
    """Limit a filter to the points of a tenant."""
    if tenant is None:
        return where
    own = models.FieldCondition(key=Field.TENANT, match=models.MatchValue(value=tenant))
    return models.Filter(must=[own] if where is None else [own, where])


def restricted_stage(
    stage: models.Prefetch, tenant: str | None, params: models.SearchParams | None
) -> models.Prefetch:
    """Limit a query stage and the stages within it to the points of a tenant.

    ``params`` applies to innermost stages that have no search parameters.
    """
    prefetch = stage.prefetch or []
    listed = prefetch if isinstance(prefetch, list) else [prefetch]
    inner = [restricted_stage(one, tenant, params) for one in listed]
    return stage.model_copy(
        update={
            "filter": restricted(stage.filter, tenant),
            "prefetch": inner or None,
            "params": stage.params or (None if inner else params),
        }
    )


def batched(sized: Iterable[tuple[T, int]], most: int, most_bytes: int) -> Iterator[list[T]]:
    """Group items, given with their sizes, into batches of bounded length and bytes.

    An item that is larger than ``most_bytes`` gets a batch of its own.
    """
    batch: list[T] = []
    total = 0
    for item, size in sized:
        if batch and (len(batch) == most or total + size > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


def _clean(value: Any) -> Any:
    # Broken PDF encodings yield lone surrogates, which cannot be encoded as UTF-8.
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
