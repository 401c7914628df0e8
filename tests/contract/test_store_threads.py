"""Several threads may use a store at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from llama_index.core.schema import TextNode

from opticalrag.ingest.llama_index.vector_store import OpticalVectorStore
from opticalrag.ingest.store.store import QdrantStore

from .stores import COUNT, MODELS, make_points, open_store, point_id

EMBEDDED = pytest.mark.parametrize("kept", ["memory", "edge"])


@EMBEDDED
def test_a_new_collection_is_created_once(kept: str, tmp_path: Path) -> None:
    """The other threads find it created, and every point is stored."""
    with open_store(kept, tmp_path) as store:
        vectors = OpticalVectorStore(store, "numbers")

        async def add() -> None:
            await asyncio.gather(
                *(vectors.async_add([node(task, n) for n in range(5)]) for task in range(20))
            )

        asyncio.run(add())
        assert store.count() == 100


def node(task: int, number: int) -> TextNode:
    made = TextNode(id_=point_id(100 * task + number), text=f"words of {task}")
    made.embedding = [0.25] * 16
    return made


@EMBEDDED
def test_threads_write_and_delete_at_once(kept: str, tmp_path: Path) -> None:
    """No call fails, and exactly the points that were not deleted remain, also on disk."""
    with open_store(kept, tmp_path) as store:
        store.ensure(*MODELS)
        points = make_points(8 * COUNT)

        def work(start: int) -> None:
            for n in range(start, len(points), 80):
                store.upsert(points[n : n + 10])
                store.delete_ids([points[n].id])
                store.count()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(0, 80, 10)))
        left = {p.id for n, p in enumerate(points) if n % 10}
        assert {str(record.id) for record in store.scroll(None)} == left
    if kept != "memory":
        with QdrantStore(tmp_path / "store") as again:
            assert again.count() == len(left)
