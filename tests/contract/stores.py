"""Stores of every engine, and points with known answers."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import models

from opticalrag.ingest.core.records import Point, SparseVector
from opticalrag.ingest.core.schema import DENSE, SPARSE, Field
from opticalrag.ingest.store.store import QdrantStore

DIMENSION = 16
COUNT = 60  # points of a filled store
ENGINES = ("memory", "edge", "http", "server")
LOOPBACK = "OPTICALRAG_LOOPBACK"  # environment variable with the URL of our server, for "http"


class Numbers:
    """An embedder or sparse encoder; a store needs only the name and the dimension."""

    def __init__(self, name: str = "numbers", dimension: int = DIMENSION) -> None:
        self.name = name
        self.dimension = dimension


MODELS: Any = (Numbers(), Numbers("terms"))


def open_store(engine: str, folder: Path, **options: Any) -> QdrantStore:
    """Open a store of an engine; on a server, with a collection of its own."""
    if engine == "memory":
        return QdrantStore(":memory:", **options)
    named = {"collection": f"contract-{uuid.uuid4()}", **options}
    if engine == "http":
        return QdrantStore(os.environ[LOOPBACK], **named)
    if engine == "server":
        url = os.environ.get("QDRANT_URL")
        if not url:
            pytest.skip("no server: set QDRANT_URL (and QDRANT_API_KEY) to test against one")
        return QdrantStore(url, api_key=os.environ.get("QDRANT_API_KEY"), **named)
    return QdrantStore(folder / "store", **options)


def point_id(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


def make_points(count: int, seed: int = 0, **payload: Any) -> list[Point]:
    """Return points with random vectors; payload fields depend on the point's number."""
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    return [
        Point(
            point_id(n),
            {**fields(n), **payload},
            dense[n],
            terms(np.unique(rng.integers(0, 60, 8))),
        )
        for n in range(count)
    ]


def terms(indices: NDArray[Any]) -> SparseVector:
    return indices.tolist(), [1.0 + 0.25 * (n % 3) for n in range(len(indices))]


def fields(number: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        Field.TEXT: f"text of {number}",
        Field.FILE_ID: f"d{number // 10}",
        Field.FILE_NAME: f"{number // 10}.pdf",
        Field.FILE_PATH: f"/docs/{number // 10}.pdf",
        Field.PAGES: [number, number + 1],
        Field.KIND: ("text", "table", "list")[number % 3],
        Field.INGESTED_AT: f"2026-01-{1 + number % 28:02}T00:00:00Z",
        "number": number,
    }
    if number % 4 == 0:
        values[Field.FLAGS] = ["ocr", "turned"]
    if number % 5 == 0:
        values[Field.LANGUAGE] = None
    return values


def by_cosine(points: list[Point], question: NDArray[np.float32]) -> list[str]:
    scores = [-float(p.dense @ question) for p in points]
    return [points[n].id for n in np.argsort(scores, kind="stable")]


def by_terms(points: list[Point], question: SparseVector) -> dict[str, float]:
    """Return the scores of shared terms with Qdrant's IDF."""
    asked = dict(zip(*question, strict=True))
    found = {t: sum(t in p.sparse[0] for p in points) for t in asked}
    total = len(points)
    idf = {t: np.log((total - n + 0.5) / (n + 0.5) + 1) for t, n in found.items()}
    scores = {
        p.id: sum(w * asked[t] * idf[t] for t, w in zip(*p.sparse, strict=True) if t in asked)
        for p in points
    }
    return {key: score for key, score in scores.items() if score > 0}


def numbers(store: QdrantStore, where: models.Filter) -> set[int]:
    """Return the numbers of the points that match a filter."""
    return {record.payload["number"] for record in store.scroll(where)}  # type: ignore[index]


def has(field: str, **how: Any) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=field, **how)])


def question(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


SPARSE_QUESTION: SparseVector = ([3, 17, 29, 41], [1.0, 1.0, 1.0, 1.0])


def sparse_question() -> models.SparseVector:
    indices, values = SPARSE_QUESTION
    return models.SparseVector(indices=indices, values=values)


def stages(limit: int) -> list[models.Prefetch]:
    return [
        models.Prefetch(query=question(2).tolist(), using=DENSE, limit=limit),
        models.Prefetch(query=sparse_question(), using=SPARSE, limit=limit),
    ]
