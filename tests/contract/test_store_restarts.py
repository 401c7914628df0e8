"""A server may go down at any moment and come back; the store waits and continues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from opticalrag.ingest.store.store import QdrantStore

from ..qdrant_server import Service, serving
from .stores import COUNT, MODELS, make_points


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "server") as started:
        yield started


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_server_killed_during_the_creation_of_a_collection_is_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Whether or not the collection was created before, it exists then and can be written."""
    with QdrantStore(service.url) as store:
        create, calls = store.client.create_collection, []

        def struck(*words: Any, **options: Any) -> Any:
            calls.append(words)
            if len(calls) > 1:
                return create(*words, **options)
            if done:
                create(*words, **options)
            service.kill()
            restart = Thread(target=service.start)
            restart.start()
            try:
                return create(*words, **options)
            finally:
                restart.join()

        monkeypatch.setattr(store.client, "create_collection", struck)
        store.ensure(*MODELS)
        store.upsert(make_points(COUNT))

        assert store.count() == COUNT
        assert len(calls) == (1 if done else 2)
