"""An ingest, its workers and its server are killed again and again; the result is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pytest

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.maintenance.maintenance import verify_store
from opticalrag.ingest.store.store import QdrantStore

from ..conftest import REPOSITORY
from ..qdrant_server import Service, serving
from .corpus import Corpus
from .crew import AWAY, UNFINISHED
from .engines import WORKERS
from .ingester import ingest

KILLS: Final = int(os.environ.get("OPTICALRAG_KILLS", "6"))
"""How often to kill, over both stores; each takes one to four seconds."""
_MOST_PER_VERSION: Final = 8
_MOST_SECONDS: Final = 1.5  # between two kills, or
_MOST_PAGES: Final = 12  # pages begun and recorded between two kills
_LINE: Final = 110  # bytes of a line of the log
_OF_SERVER: Final = ("server", "connections")
_IN_HAND: Final = 2 * WORKERS + 2  # pages begun but not recorded yet; see WorkerPool.map
_HANGS: Final = 240.0  # seconds; an ingest takes five


class Chaos:
    """Kills parts of an ingest at random moments.

    Args:
        seed: decides the moments and the parts.
        log: the ingest's log of pages, which shows its progress.
        service: the Qdrant server that holds the points, if there is one.
    """

    def __init__(self, seed: int, log: Path, service: Service | None) -> None:
        self.done: Counter[str] = Counter()
        self.orphans: list[psutil.Process] = []
        self._random = np.random.default_rng(seed)
        self.log = log
        self._service = service

    @property
    def total(self) -> int:
        return sum(self.done.values())

    def survived(self, process: subprocess.Popen[bytes], most: int) -> int | None:
        """Strike an ingest and return its exit code; None if it was killed itself."""
        while self.total < most:
            self._wait(process)
            if process.poll() is not None or not self._strike(process):
                break
        return None if process.wait(_HANGS) == -signal.SIGKILL else process.returncode

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for some time, or for some pages."""
        pages = self._random.choice([0.0, self._random.uniform(0, _MOST_PAGES)])
        goal = self._size() + pages * 2 * _LINE
        while self._size() < goal and process.poll() is None:
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._random.uniform(0, _MOST_SECONDS / (1 + pages)))

    def _size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _strike(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill a part; return False if it was the ingest."""
        workers = workers_of(process)
        what = self._random.choice(["process", "worker", *_OF_SERVER[: 2 * bool(self._service)]])
        if what == "process":
            process.kill()
            self.orphans += workers
        elif what == "worker" and workers:
            with suppress(psutil.NoSuchProcess):
                workers[self._random.integers(len(workers))].kill()
        elif what == "worker":
            return True
        elif self._service is not None:
            self._restart(self._service) if what == "server" else self._service.cut()
        self.done[str(what)] += 1
        return bool(what != "process")

    def _restart(self, service: Service) -> None:
        service.kill()
        time.sleep(self._random.uniform(0.1, 2.0))
        service.start()


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker processes of an ingest."""
    workers = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # ended meanwhile
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


class Undisturbed:
    """The same work without kills."""

    def __init__(self, root: Path) -> None:
        self._config = StoreConfig(str(root / "store"))
        self._log = root / "log"
        root.mkdir()

    def ingest(self, corpus: Corpus) -> dict[str, Any]:
        """Ingest a version and return what is stored then."""
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
    """Payload and vectors of every point, except the time it was made."""
    payloads = {str(one.id): one.payload or {} for one in store.scroll(None)}
    vectors = store.vectors(payloads)
    return {
        key: ({**payload, Field.INGESTED_AT: ""}, vectors[key].dense.tolist(), vectors[key].sparse)
        for key, payload in payloads.items()
    }


@contextmanager
def running(corpus: Corpus, config: StoreConfig, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start an ingest, wait for its imports, and kill it at the end of the ``with`` block."""
    program = [sys.executable, "-m", "tests.chaos.crew"]
    arguments = [str(corpus.folder), config.location, config.journal, str(log)]
    with subprocess.Popen(
        [*program, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def begun_pages(log: Path) -> tuple[Counter[str], list[str]]:
    """How often each page was begun, and the pages begun again after they were recorded."""
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
    """Points, vectors and parsed pages are the same as those of an undisturbed ingest."""
    began = time.monotonic()
    corpus, calm = Corpus(tmp_path / "files"), Undisturbed(tmp_path / "calm")
    log, most = tmp_path / "log", KILLS // 2
    serves: Any = serving(tmp_path / "server") if kept == "server" else nullcontext()
    with serves as service:
        location = service.url if service else str(tmp_path / "store")
        config = StoreConfig(location, wait=60.0, journal=str(tmp_path / "journal"))
        chaos = Chaos(len(kept), log, service)
        version = 0
        while chaos.total < most:
            corpus.write(version)
            version += 1
            until = min(chaos.total + _MOST_PER_VERSION, version * -(-most // 2), most)
            ingest_disturbed(corpus, config, chaos, until)
            with open_store(config) as store:
                assert verify_store(store, config).problems == ()
                assert stored(store) == calm.ingest(corpus)
    begun, again = begun_pages(log)
    repeated = sum(begun.values()) - len(begun)
    seconds = round(time.monotonic() - began)
    figures = {**chaos.done, "pages": len(begun), "repeated": repeated, "seconds": seconds}
    record_property("figures", {**figures, "versions": version})

    assert set(begun) == calm.parsed()
    assert again == []
    assert repeated <= _IN_HAND * chaos.done["process"] + chaos.done["worker"]
    assert psutil.wait_procs(chaos.orphans, timeout=10)[1] == []


def ingest_disturbed(corpus: Corpus, config: StoreConfig, chaos: Chaos, until: int) -> None:
    """Run an ingest again and again until it succeeds; kill until there were so many kills."""
    code: int | None = None
    while code != 0:
        with running(corpus, config, chaos.log) as process:
            code = chaos.survived(process, until)
        assert code in (0, None, UNFINISHED, AWAY)
