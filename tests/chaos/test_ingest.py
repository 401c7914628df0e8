"""Two processes ingest into one store, and one of them is killed again and again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from opticalrag.ingest.assembly import open_store
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.maintenance.maintenance import verify_store
from opticalrag.ingest.store.store import QdrantStore

from ..conftest import REPOSITORY
from ..unit.pipeline.test_pipeline import write_pdf
from .ingester import ingest

KILLS = int(os.environ.get("OPTICALRAG_KILLS", "6")) // 2
"""How often to kill; each takes five seconds. Kills of a single ingest are in test_kills."""
FILES = 6
PAGES = 4


def write_files(folder: Path, version: int) -> None:
    """Write documents in which two pages out of three change with every version."""
    for number in range(FILES):
        pages = [
            "\n\n".join(
                f"File {number}, page {page}, line {line}, version {version * (page % 3 > 0)}."
                for line in range(20)
            )
            for page in range(PAGES)
        ]
        write_pdf(folder / f"{number}.pdf", *pages)


def start(folder: Path, location: Path) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.chaos.ingester", str(folder), str(location)]
    return subprocess.Popen(program, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def payloads(store: QdrantStore) -> dict[str, dict[str, object]]:
    """Everything stored, except times."""
    assert verify_store(store).problems == ()
    records = store.scroll(None)
    found = {str(r.id): {**(r.payload or {}), Field.INGESTED_AT: ""} for r in records}
    assert len(found) > FILES * PAGES
    return found


def undisturbed(folder: Path) -> dict[str, dict[str, object]]:
    with open_store(StoreConfig(":memory:")) as store:
        ingest(folder, store)
        return payloads(store)


@pytest.mark.slow
def test_no_kill_leaves_a_document_half_replaced(tmp_path: Path) -> None:
    """After any kill the other process finishes the work: no chunk is missing or stored twice."""
    folder, location = tmp_path / "files", tmp_path / "store"
    folder.mkdir()
    moments = np.random.default_rng(0)
    for version in range(KILLS):
        write_files(folder, version)
        killed = start(folder, location)
        assert killed.stdout is not None
        killed.stdout.readline()
        other = start(folder, location)
        time.sleep(moments.uniform(0.0, 0.8))
        killed.kill()
        killed.communicate()
        other.communicate()
        assert other.returncode == 0
        with open_store(StoreConfig(str(location))) as store:
            assert payloads(store) == undisturbed(folder)
