"""Points in a folder survive their process, however it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.core.errors import StoreLocked
from opticalrag.ingest.core.schema import DENSE, SPARSE
from opticalrag.ingest.store.edge import config as edge_config
from opticalrag.ingest.store.store import QdrantStore

from .stores import (
    COUNT,
    MODELS,
    SPARSE_QUESTION,
    by_cosine,
    by_terms,
    make_points,
    open_store,
    point_id,
    question,
    sparse_question,
)


def test_points_are_there_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    """With their vectors, payloads and indexes."""
    with open_store("edge", tmp_path) as first:
        first.ensure(*MODELS)
        first.upsert(make_points(COUNT))
    with QdrantStore(tmp_path / "store", create=False) as again:
        again.verify(*MODELS)
        found = again.query(sparse_question(), using=SPARSE, limit=COUNT)
        assert again.engine == "edge"
        assert again.count() == COUNT
        assert {str(p.id) for p in found} == by_terms(make_points(COUNT), SPARSE_QUESTION).keys()


def python(code: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """The error names the cause."""
    code = (
        "from opticalrag.ingest.core.errors import StoreUnavailable\n"
        "from opticalrag.ingest.store.store import QdrantStore\n"
        f"try: QdrantStore({str(tmp_path / 'store')!r})\n"
        "except StoreUnavailable as error: print(error)\n"
    )
    with open_store("edge", tmp_path) as store:
        store.ensure(*MODELS)
        out, _ = python(code).communicate(timeout=60)

    assert "in use by another process" in out


def test_writes_survive_a_killed_process(tmp_path: Path) -> None:
    """Points, payloads and deletions survive once their call has returned."""
    code = (
        "from pathlib import Path\n"
        "from tests.contract.stores import *\n"
        f"store = open_store('edge', Path({str(tmp_path)!r}))\n"
        "store.ensure(*MODELS)\n"
        "for n, one in enumerate(make_points(100_000)):\n"
        "    store.upsert([one])\n"
        "    if n == 20: store.delete_ids([point_id(3)])\n"
        "    if n == 20: store.overwrite_payloads({point_id(4): {'number': -4}})\n"
        "    print(n, flush=True)\n"
    )
    code = code.replace("100_000", "400")
    writer = python(code, cwd=Path(__file__).parents[2])
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == 90:
            writer.kill()
            break
    rest = writer.stdout.read().split()
    writer.communicate()
    last = int(rest[-1]) if rest else 90

    with QdrantStore(tmp_path / "store") as store:
        store.verify(*MODELS)
        there = {record.payload["number"] for record in store.scroll(None)}  # type: ignore[index]
        points = make_points(400)[: last + 1]
        del points[3]
        found = store.query(question(1).tolist(), using=DENSE, limit=5)
        assert there >= {-4, *range(last + 1)} - {3, 4}
        assert 3 not in there
        assert found[0].id in by_cosine(points, question(1))[:2]


def test_an_index_is_built_on_closing_and_finds_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs enough points; points written later are found, too."""
    monkeypatch.setattr(edge_config, "_INDEXING_KB", 50)
    points = make_points(3000)
    with open_store("edge", tmp_path) as store:
        store.ensure(*MODELS)
        store.upsert(points[:2990])
        before = store.client.get_collection(store.collection)
    with open_store("edge", tmp_path) as store:
        store.upsert(points[2990:])
        after = store.client.get_collection(store.collection)
        near = [points[2995].dense.tolist(), question(1).tolist()]
        found = [[p.id for p in store.query(one, using=DENSE, limit=10)] for one in near]

    assert after.segments_count > before.segments_count
    assert found[0][0] == point_id(2995)
    assert len(set(found[1]) & set(by_cosine(points, question(1))[:10])) >= 9


def test_an_index_that_is_interrupted_loses_nothing(tmp_path: Path) -> None:
    """If the process is killed while it builds the index, every point is still there."""
    code = (
        "from pathlib import Path\n"
        "from opticalrag.ingest.store.edge import config as edge_config\n"
        "from tests.contract.stores import *\n"
        "edge_config._INDEXING_KB = 50\n"
        f"store = open_store('edge', Path({str(tmp_path)!r}))\n"
        "store.ensure(*MODELS)\n"
        "store.upsert(make_points(20_000))\n"
        "print('closing', flush=True)\n"
        "store.close()\n"
        "print('closed', flush=True)\n"
    )
    writer = python(code, cwd=Path(__file__).parents[2])
    assert writer.stdout is not None
    assert writer.stdout.readline() == "closing\n"
    time.sleep(0.2)
    writer.kill()
    rest, _ = writer.communicate()

    assert "closed" not in rest
    with open_store("edge", tmp_path) as store:
        assert store.count() == 20_000
        nearest = store.query(question(1).tolist(), using=DENSE, limit=1)
        assert nearest[0].id in by_cosine(make_points(20_000), question(1))[:2]


def test_a_folder_in_use_is_waited_for(tmp_path: Path) -> None:
    """The store opens as soon as the other one is closed, within the time given."""
    first = QdrantStore(tmp_path / "store")
    closing = threading.Timer(0.5, first.close)
    closing.start()
    with pytest.raises(StoreLocked):
        QdrantStore(tmp_path / "store", wait=0.1)
    with QdrantStore(tmp_path / "store", wait=30.0) as second:
        assert second.count() == 0
    closing.join()
