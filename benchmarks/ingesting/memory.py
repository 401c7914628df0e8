"""Measures peak memory and speed of an ingest by the length of its document.

    python -m benchmarks.ingesting.memory [--pages 50 500 5000] [--engine text] [--output FILE]

A separate process ingests each length into a new store. As in the command, it has two worker
processes and one that opens files, all with limits. The resident memory of the process and its
children is sampled every 20 ms (the first one loads torch). Lazy loading happens before the clock
starts. Short documents are ingested one after another, up to 500 pages, to measure their speed.

Engines:

- ``text`` reads the text layer, with one block per line.
- ``scans`` renders pages with a different picture each, as OCR does, and makes up the same text.
- ``embedder`` is ``text`` with the real embedder; ``layout`` is the real engine with the real
  embedder. The first two use vectors of letter counts, so that 5,000 pages take minutes and the
  memory of models does not hide that of the pipeline.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from opticalrag.ingest.assembly import open_journal, open_pipeline, open_store
from opticalrag.ingest.core.config import EngineConfig, LayoutConfig, StoreConfig, WorkLimits
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.pipeline.pipeline import IngestPipeline
from opticalrag.ingest.pipeline.report import IngestReport
from tests.chaos.ingester import SmallEmbedder

from ..machine import describe
from ..parsing.generated_pages import WORKERS, CheapEngine, write_document, write_scans

EVERY = 0.02  # seconds between samples
AT_LEAST = 500  # pages per measurement of short documents


def main() -> None:
    """Measure and print, as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--engine", choices=("text", "scans", "embedder", "layout"), default="text")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(ingest(*options.child)))
        return
    rows = [measured(pages, options.engine) for pages in options.pages]
    figures = {
        "machine": describe(),
        "engine": options.engine,
        "rows": rows,
        "peak_ratio": rows[-1]["peak_mb"] / rows[0]["peak_mb"],
        "speed_ratio": rows[-1]["pages_per_s"] / rows[0]["pages_per_s"],
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        stored = json.loads(options.output.read_text()) if options.output.exists() else {}
        stored[options.engine] = figures
        options.output.write_text(json.dumps(stored, indent=2) + "\n")


def measured(pages: int, engine: str) -> dict[str, Any]:
    """Ingest documents of this length in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        count = max(1, AT_LEAST // pages)
        for number in range(count):
            write = write_scans if engine == "scans" else write_document
            write(Path(folder, f"{number}.pdf"), pages, number * pages)
        program = [sys.executable, "-m", "benchmarks.ingesting.memory", "--child", folder, engine]
        child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        peak = watch(child)
        assert child.stdout is not None  # noqa: S101  it is a pipe
        told: dict[str, Any] = json.loads(child.stdout.read())
    return {"pages": pages, "documents": count, "peak_mb": round(peak / 1e6, 1), **told}


def watch(child: subprocess.Popen[str]) -> int:
    """The peak resident memory of a process and its children, in bytes."""
    peak, process = 0, psutil.Process(child.pid)
    while child.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(EVERY)
    return peak


def ingest(folder: str, engine: str) -> dict[str, Any]:
    """Ingest the files of a folder and print the time."""
    files = sorted(Path(folder).glob("*.pdf"))
    store = StoreConfig(str(Path(folder, "store")))
    if engine == "layout":
        config = EngineConfig("layout", WORKERS, LayoutConfig(ocr="off"), limits=WorkLimits())
        with open_pipeline(store, config) as made:
            report, seconds = timed(made, files)
    else:
        report, seconds = _with_cheap_engine(files, store, engine)
    return {
        "seconds": round(seconds, 2),
        "pages_per_s": round(report.pages / seconds, 2),
        "chunks": report.chunks,
        "failures": len(report.failures),
    }


def _with_cheap_engine(
    files: list[Path], config: StoreConfig, engine: str
) -> tuple[IngestReport, float]:
    real = engine == "embedder"
    embedder = make_embedder() if real else SmallEmbedder(256)
    sparse = Bm25Encoder()
    with (
        open_store(config, create=True) as store,
        closing(CheapEngine(engine == "scans")) as reader,
        DocumentExaminer(WorkLimits()) as examiner,
    ):
        store.ensure(embedder, sparse)
        journal = open_journal(config, create=True)
        assert journal is not None  # noqa: S101  it is made
        with journal:
            pipeline = IngestPipeline(
                reader, embedder, sparse, store, examiner=examiner, journal=journal
            )
            return timed(pipeline, files)


def timed(pipeline: IngestPipeline, files: list[Path]) -> tuple[IngestReport, float]:
    """Time an ingest in seconds, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder, "warm.pdf")
        write_scans(warm, 20, first=1_000_000)  # with a line of text on each
        pipeline.run([warm])
    report = pipeline.run(files)
    return report, report.seconds


if __name__ == "__main__":
    main()
