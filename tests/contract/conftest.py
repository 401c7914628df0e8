"""Stores of every engine: empty, filled, or read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opticalrag.ingest.store.store import QdrantStore

from ..qdrant_server import serving
from .stores import COUNT, ENGINES, LOOPBACK, MODELS, make_points, open_store


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start our own server on loopback."""
    with serving(tmp_path_factory.mktemp("server")) as service:
        os.environ[LOOPBACK] = service.url
        yield


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "http":
        request.getfixturevalue("loopback")
    return str(request.param)


@pytest.fixture
def store(engine: str, tmp_path: Path) -> Iterator[QdrantStore]:
    """An empty collection."""
    with made(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
def filled(store: QdrantStore) -> QdrantStore:
    """A collection with points, to be changed."""
    store.upsert(make_points(COUNT))
    return store


@pytest.fixture(scope="module")
def asked(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantStore]:
    """A collection with points, only to be read."""
    with made(engine, tmp_path_factory.mktemp("asked")) as opened:
        opened.upsert(make_points(COUNT))
        yield opened


@contextmanager
def made(engine: str, folder: Path) -> Iterator[QdrantStore]:
    with open_store(engine, folder) as opened:
        opened.ensure(*MODELS)
        yield opened
        if opened.is_server:
            opened.delete_collection()
