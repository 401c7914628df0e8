"""Points as requests of a bounded size. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from qdrant_client import models

from ..core.records import Point, Vectors
from ..core.schema import DENSE, SPARSE, Field

__all__ = ["batched", "equal", "named", "overwriting", "point_bytes", "to_struct", "vectors_in"]

T = TypeVar("T")

_FLOAT_BYTES: Final = 12  # of one number as JSON: "0.012345678,"
_TERM_BYTES: Final = 24  # of an index and its weight


def to_struct(point: Point, tenant: str | None) -> models.PointStruct:
    """A point as the client takes it."""
    indices, values = point.sparse
    return models.PointStruct(
        id=point.id,
        payload=stored_payload(point.payload, tenant),
        vector={
            DENSE: point.dense.tolist(),
            SPARSE: models.SparseVector(indices=indices, values=values),
        },
    )


def vectors_in(stored: Any) -> Vectors:
    """A point's vectors as the client gives them."""
    sparse = stored[SPARSE]
    dense = np.asarray(stored[DENSE], np.float32)
    return Vectors(dense, (list(sparse.indices), list(sparse.values)))


def overwriting(
    point_id: str, payload: Mapping[str, object], tenant: str | None
) -> models.OverwritePayloadOperation:
    """Replace a stored point's payload."""
    return models.OverwritePayloadOperation(
        overwrite_payload=models.SetPayload(
            payload=stored_payload(payload, tenant), points=[point_id]
        )
    )


def stored_payload(payload: Mapping[str, object], tenant: str | None) -> dict[str, Any]:
    """A payload that says whose it is, of text that every engine can store."""
    cleaned = {key: _clean(value) for key, value in payload.items()}
    return cleaned if tenant is None else {**cleaned, Field.TENANT: tenant}


def equal(**values: str | int) -> models.Filter:
    """The points whose payload fields have these values."""
    return models.Filter(
        must=[
            models.FieldCondition(key=key, match=models.MatchValue(value=_clean(value)))
            for key, value in values.items()
        ]
    )


def named(name: str) -> models.Filter:
    """The points of documents with this id, path or file name."""
    keys = (Field.FILE_ID, Field.FILE_PATH, Field.FILE_NAME)
    return models.Filter(should=[equal(**{key: name}) for key in keys])


def point_bytes(point: Point) -> int:
    """About how large a point is in a request."""
    vectors = _FLOAT_BYTES * len(point.dense) + _TERM_BYTES * len(point.sparse[0])
    return vectors + len(json.dumps(point.payload, default=str))


def batched(sized: Iterable[tuple[T, int]], most: int, most_bytes: int) -> Iterator[list[T]]:
    """Put things together, at most so many and so many bytes; what is larger goes alone."""
    batch: list[T] = []
    total = 0
    for thing, size in sized:
        if batch and (len(batch) == most or total + size > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(thing)
        total += size
    if batch:
        yield batch


def _clean(value: Any) -> Any:
    # Lone surrogates reach us from broken PDF encodings and have no UTF-8 form.
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode("utf-8")
        return value
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
