"""An ingest, its workers and its server are killed again and again; nothing shows in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pytest
from opticalrag.ingest.config import StoreConfig
from opticalrag.ingest.schema import Field
from opticalrag.ingest.store import QdrantStore
from opticalrag.ingest.wiring import open_journal, open_store, verify_store

from ..conftest import REPOSITORY
from ..qdrant_server import Service, serving
from .corpus import Corpus
from .crew import AWAY, UNFINISHED
from .engines import WORKERS
from .ingester import ingest

KILLS: Final = int(os.environ.get("OPTICALRAG_KILLS", "6"))
"""How often, over both stores; each takes one to four seconds."""
_MOST_PER_VERSION: Final = 8
_MOST_SECONDS: Final = 1.5  # between two kills
_IN_HAND: Final = 2 * WORKERS + 2  # pages that are not recorded yet; see WorkerPool.map
_HANGS: Final = 240.0  # seconds; an ingest takes five


class Chaos:
    """What happens to an ingest at random moments.

    Args:
        seed: of the moments and of what happens.
        service: the server that the points are on, if they are on one.
    """

    def __init__(self, seed: int, service: Service | None) -> None:
        self.done: Counter[str] = Counter()
        self.orphans: list[psutil.Process] = []
        self._random = np.random.default_rng(seed)
        self._service = service

    @property
    def total(self) -> int:
        return self.done.total()

    def survived(self, process: subprocess.Popen[str], most: int) -> int | None:
        """The exit code of an ingest that was struck; None if it was killed itself."""
        while self.total < most:
            try:
                return process.wait(self._random.uniform(0.0, _MOST_SECONDS))
            except subprocess.TimeoutExpired:
                if not self._strike(process):
                    return None
        return process.wait(_HANGS)

    def _strike(self, process: subprocess.Popen[str]) -> bool:
        """Kill something; False if it was the ingest."""
        workers = workers_of(process)
        strikes: dict[str, Callable[[], object]] = {"process": process.kill}
        if workers:
            strikes["worker"] = workers[self._random.integers(len(workers))].kill
        if self._service is not None:
            strikes |= {"server": self._restart, "connections": self._service.cut}
        what = str(self._random.choice(list(strikes)))
        strikes[what]()
        self.done[what] += 1
        if what == "process":
            process.wait()
            self.orphans += workers
        return what != "process"

    def _restart(self) -> None:
        assert self._service is not None
        self._service.kill()
        time.sleep(self._random.uniform(0.1, 2.0))
        self._service.start()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


class Undisturbed:
    """The same work with nothing happening to it."""

    def __init__(self, root: Path) -> None:
        self._config = StoreConfig(str(root / "store"))
        self._log = root / "log"
        root.mkdir()

    def ingest(self, corpus: Corpus) -> dict[str, Any]:
        """Ingest a version, and say what is stored then."""
        with open_store(self._config, create=True) as store:
            journal = open_journal(self._config, create=True)
            assert journal is not None
            with journal:
                report = ingest(corpus.folder, store, journal, self._log)
            assert report.failures == []
            return stored(store)

    def parsed(self) -> set[str]:
        return set(self._log.read_text().splitlines())


def stored(store: QdrantStore) -> dict[str, Any]:
    """Everything of every point, but for the time it was made."""
    payloads = {str(one.id): one.payload or {} for one in store.scroll(None)}
    vectors = store.vectors(payloads)
    return {
        key: ({**payload, Field.INGESTED_AT: ""}, vectors[key].dense.tolist(), vectors[key].sparse)
        for key, payload in payloads.items()
    }


def start(corpus: Corpus, config: StoreConfig, log: Path) -> subprocess.Popen[str]:
    """An ingest that has imported what it needs."""
    program = [sys.executable, "-m", "tests.chaos.crew"]
    places = [str(corpus.folder), config.location, config.journal, str(log)]
    process = subprocess.Popen(
        [*program, *places], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
    return process


def begun_pages(log: Path) -> tuple[Counter[str], list[str]]:
    """How often pages were begun, and those that were begun although they had been recorded."""
    begun: Counter[str] = Counter()
    again, recorded = [], set()
    for line in log.read_text().splitlines():
        what, _, page = line.split(":", 2)
        if what == "recorded":
            recorded.add(page)
            continue
        begun[page] += 1
        if page in recorded:
            again.append(page)
    return begun, again


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["server", "folder"])
def test_no_kill_is_seen_in_what_is_stored(
    kept: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Points, vectors and the pages that were parsed are those of an ingest nobody disturbed."""
    began = time.monotonic()
    corpus, calm = Corpus(tmp_path / "files"), Undisturbed(tmp_path / "calm")
    log, most = tmp_path / "log", KILLS // 2
    serves: Any = serving(tmp_path / "server") if kept == "server" else nullcontext()
    with serves as service:
        place = service.url if service else str(tmp_path / "store")
        config = StoreConfig(place, wait=60.0, journal=str(tmp_path / "journal"))
        chaos = Chaos(len(kept), service)
        version = 0
        while chaos.total < most:
            corpus.write(version)
            version += 1
            until = min(chaos.total + _MOST_PER_VERSION, version * -(-most // 2), most)
            while (code := chaos.survived(start(corpus, config, log), until)) != 0:
                assert code in (None, UNFINISHED, AWAY)
            with open_store(config) as store:
                assert verify_store(store, config).problems == ()
                assert stored(store) == calm.ingest(corpus)
    begun, again = begun_pages(log)
    repeated = begun.total() - len(begun)
    _, alive = psutil.wait_procs(chaos.orphans, timeout=10)
    for name, number in {**chaos.done, "versions": version, "pages": len(begun)}.items():
        record_property(name, number)
    record_property("repeated", repeated)
    record_property("seconds", round(time.monotonic() - began))

    assert set(begun) == calm.parsed()
    assert again == []
    assert repeated <= _IN_HAND * chaos.done["process"] + chaos.done["worker"]
    assert alive == []
