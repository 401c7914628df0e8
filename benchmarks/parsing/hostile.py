"""Ingests hostile files: damaged, encrypted, mutated, and made to break parsers.

    python -m benchmarks.parsing.hostile DATA --output benchmarks/results/hostile.json

Files pass through the whole pipeline: worker processes, page hashes, journal, chunks, and a store
in memory. Only the embedding model is replaced, because it never sees the bytes of a file. Only
first pages are read, without OCR.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.parsing.hostile_files import MAKERS, PLACES, mutate
from opticalrag.ingest.core.config import LayoutConfig, SourceConfig, WorkLimits
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.pipeline.journal import Journal
from opticalrag.ingest.pipeline.pipeline import IngestEvent, IngestPipeline
from opticalrag.ingest.store.store import QdrantStore

LIMITS: Final = WorkLimits(10, 1024**3)
SLACK: Final = 20.0  # seconds beyond the limits of opening and page: a process may have to start
SEED: Final = 2026


class FlatEmbedder:
    """Gives every text the same vector, because vectors do not matter here."""

    name = "flat"
    dimension = 4
    max_tokens = 256

    def count_tokens(self, text: str) -> int:
        """A quarter of the number of characters."""
        return len(text) // 4 + 2

    def embed_documents(self, texts: Sequence[str]) -> Any:
        """The same vector for all texts."""
        return np.tile(np.float32([1, 0, 0, 0]), (len(texts), 1))

    def embed_query(self, text: str) -> Any:
        """The same vector."""
        return self.embed_documents([text])[0]


@dataclass(slots=True)
class Tally:
    """The outcome for a group of files."""

    files: int = 0
    pages: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    longest_wait: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Clock:
    """Measures the longest time without an event."""

    last: float
    longest: float = 0.0

    def tick(self, _: IngestEvent) -> None:
        """Note an event."""
        now = time.monotonic()
        self.last, self.longest = now, max(self.longest, now - self.last)


def run_group(pipeline: IngestPipeline, files: Iterable[Path]) -> Tally:
    """Ingest files in one run; only an exception of the run itself is a crash."""
    tally, clock = Tally(), Clock(time.monotonic())

    def counted() -> Iterator[Path]:
        for file in files:
            tally.files += 1
            yield file

    started = time.perf_counter()
    try:
        report = pipeline.run(counted(), SourceConfig(pages="1"), clock.tick)
        tally.pages = report.pages
        tally.failures.update(failure.code for failure in report.failures)
    except Exception as error:  # noqa: BLE001  that is what is counted
        tally.crashes.append(f"{type(error).__name__}: {error}")
    tally.seconds, tally.longest_wait = time.perf_counter() - started, clock.longest
    return tally


def mutations(data: Path, count: int, budget: float, folder: Path) -> Iterator[Path]:
    """Yield mutations of ten good files in turn, until there are enough or time is up."""
    good = sorted((data / "pdf").glob("*.pdf"), key=lambda file: file.stat().st_size)[:10]
    contents = [file.read_bytes() for file in good]
    ends = time.monotonic() + budget
    for number in range(count):
        for file, content in zip(good, contents, strict=True):
            if time.monotonic() > ends:
                return
            chance = random.Random(f"{SEED}:{file.name}:{number}")  # noqa: S311  repeatable
            path = folder / f"{number}-{file.name}"
            path.write_bytes(mutate(content, chance))
            yield path


def generated(folder: Path) -> Iterator[Path]:
    """Write the files made to break parsers."""
    for name, make in MAKERS.items():
        path = folder / name
        path.write_bytes(make())
        yield path
    for place in PLACES.values():
        yield place(folder)
    yield folder / "gone" / ".." / "renamed.txt"
    yield folder / "renamed.txt"


def measure(data: Path, count: int, budget: float, workers: int) -> dict[str, Tally]:
    """Run all groups through one pipeline."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        closing(LayoutEngine(LayoutConfig(ocr="off"), workers=workers, limits=LIMITS)) as engine,
        DocumentExaminer(LIMITS) as examiner,
        QdrantStore(":memory:", create=True) as store,
        Journal(Path(temporary, "journal.db")) as journal,
    ):
        embedder, sparse = FlatEmbedder(), Bm25Encoder()
        store.ensure(embedder, sparse)
        pipeline = IngestPipeline(
            engine, embedder, sparse, store, examiner=examiner, journal=journal
        )
        folder = Path(temporary)
        groups: dict[str, Callable[[], Iterable[Path]]] = {
            "damaged": lambda: sorted((data / "damaged").iterdir()),
            "encrypted": lambda: sorted((data / "encrypted").iterdir()),
            "generated": lambda: generated(folder),
            "mutations": lambda: mutations(data, count, budget, folder),
        }
        return {name: run_group(pipeline, files()) for name, files in groups.items()}


def report(tallies: dict[str, Tally]) -> dict[str, Any]:
    """Figures of all groups. A hang is a wait beyond the limits."""
    allowed = 2 * LIMITS.seconds + SLACK
    return {
        "limits": {"seconds": LIMITS.seconds, "memory": LIMITS.memory},
        "seed": SEED,
        "crashes_of_the_run": sum(len(tally.crashes) for tally in tallies.values()),
        "hangs": sum(tally.longest_wait > allowed for tally in tallies.values()),
        "groups": {
            name: {
                "files": tally.files,
                "pages_read": tally.pages,
                "failures": dict(sorted(tally.failures.items())),
                "crashes": tally.crashes,
                "longest_wait_seconds": round(tally.longest_wait, 1),
                "seconds": round(tally.seconds, 1),
            }
            for name, tally in tallies.items()
        },
    }


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mutations", type=int, default=200, help="of each of ten files")
    parser.add_argument("--budget", type=float, default=200.0, help="seconds for mutations")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    values = report(measure(options.data, options.mutations, options.budget, options.workers))
    print("| group | files | pages read | failures by code | longest wait, s | s |")
    print("|---|---|---|---|---|---|")
    for name, group in values["groups"].items():
        codes = ", ".join(f"{code} {n}" for code, n in group["failures"].items()) or "none"
        print(
            f"| {name} | {group['files']} | {group['pages_read']} | {codes} |"
            f" {group['longest_wait_seconds']} | {group['seconds']} |"
        )
    print(f"crashes of the run: {values['crashes_of_the_run']}, hangs: {values['hangs']}")
    if options.output:
        options.output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
