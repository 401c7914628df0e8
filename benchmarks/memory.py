"""Peak memory and speed of an ingest by the length of its document.

    python -m benchmarks.memory [--pages 50 500 5000] [--engine text] [--scans] [--output FILE]

Each length is ingested by a process of its own into a new store. The highest resident memory of
that process and all its children is sampled every 20 ms (torch is loaded in all of them); time runs
from the opened document to the last chunk stored, without imports. ``text`` reads the text layer, a
block a line, and has vectors of letters, so that 5,000 pages take minutes and the pipeline's own
memory is not hidden by models'; ``layout`` is the real engine with the real embedder.
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
import pymupdf
from opticalrag.ingest.config import ChunkingConfig, EngineConfig, LayoutConfig, StoreConfig
from opticalrag.ingest.ingest_report import IngestEvent, IngestReport
from opticalrag.ingest.pipeline import IngestPipeline
from opticalrag.ingest.sparse import Bm25Encoder
from opticalrag.ingest.wiring import open_journal, open_pipeline, open_store

from tests.chaos.ingester import SmallEmbedder, TextEngine

from .machine import describe

EVERY = 0.02  # seconds between samples


def main() -> None:
    """Measure and print, as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--engine", choices=("text", "layout"), default="text")
    parser.add_argument("--scans", action="store_true", help="pictures of pages, OCR off")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(ingest(*options.child)))
        return
    rows = [measured(pages, options.engine, options.scans) for pages in options.pages]
    figures = {
        "machine": describe(),
        "engine": options.engine,
        "document": "scans" if options.scans else "text",
        "rows": rows,
        "peak_ratio": rows[-1]["peak_mb"] / rows[0]["peak_mb"],
        "speed_ratio": rows[-1]["pages_per_s"] / rows[0]["pages_per_s"],
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        stored = json.loads(options.output.read_text()) if options.output.exists() else {}
        stored[f"{options.engine}-{figures['document']}"] = figures
        options.output.write_text(json.dumps(stored, indent=2) + "\n")


def measured(pages: int, engine: str, scans: bool) -> dict[str, Any]:
    """Ingest a document of so many pages in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "document.pdf")
        write_document(file, pages, scans)
        program = [sys.executable, "-m", "benchmarks.memory", "--child", str(file), folder, engine]
        child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        peak = watch(child)
        assert child.stdout is not None  # noqa: S101  it is a pipe
        told: dict[str, Any] = json.loads(child.stdout.read())
    return {"pages": pages, "peak_mb": round(peak / 1e6, 1), **told}


def watch(child: subprocess.Popen[str]) -> int:
    """The highest resident memory of a process and its children until it ends, in bytes."""
    peak, process = 0, psutil.Process(child.pid)
    while child.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(EVERY)
    return peak


def ingest(file: str, folder: str, engine: str) -> dict[str, Any]:
    """Ingest a file and say how long it took."""
    store = StoreConfig(str(Path(folder, "store")))
    if engine == "text":
        report, begun = _with_text_engine(file, store)
    else:
        with open_pipeline(store, EngineConfig("layout", layout=LayoutConfig(ocr="off"))) as made:
            report, begun = _timed(made, file)
    return {
        "seconds": round(begun, 2),
        "pages_per_s": round(report.pages / begun, 2),
        "chunks": report.chunks,
        "failures": len(report.failures),
    }


def _with_text_engine(file: str, config: StoreConfig) -> tuple[IngestReport, float]:
    embedder, sparse = SmallEmbedder(256), Bm25Encoder()
    with open_store(config, create=True) as store:
        store.ensure(embedder, sparse)
        journal = open_journal(config, create=True)
        assert journal is not None  # noqa: S101  it is made
        with closing(journal):
            pipeline = IngestPipeline(
                TextEngine(), embedder, sparse, store, ChunkingConfig(256), journal=journal
            )
            return _timed(pipeline, file)


def _timed(pipeline: IngestPipeline, file: str) -> tuple[IngestReport, float]:
    """Seconds from the opened document to the end: what loads at first use is loaded before."""
    warm = Path(file).with_name("warm.pdf")
    write_document(warm, 2, scans=False)
    pipeline.run([warm])
    opened: list[float] = []

    def on_event(event: IngestEvent) -> None:
        if event.kind == "opened":
            opened.append(time.perf_counter())

    report = pipeline.run([file], on_event=on_event)
    return report, time.perf_counter() - opened[0]


def write_document(file: Path, pages: int, scans: bool) -> None:
    """Pages of 300 words each of which says something else; as pictures, if asked for."""
    with closing(pymupdf.open()) as document:
        for index in range(pages):
            page = document.new_page()
            _write_page(page, index)
            if scans:
                picture = page.get_pixmap(dpi=100, colorspace=pymupdf.csGRAY).tobytes("jpeg", 60)
                document.delete_page(index)
                document.new_page().insert_image(page_rect(document), stream=picture)
        document.save(file, deflate=True)


def page_rect(document: Any) -> Any:
    """The rectangle of a document's last page."""
    return document[-1].rect


def _write_page(page: Any, index: int) -> None:
    page.insert_text((72, 72), f"{index + 1} Inspection of block {index}", fontsize=15)
    for paragraph in range(5):
        top = 95 + 130 * paragraph
        lines = " ".join(
            f"Turbine {index}.{paragraph}.{n} ran for {7 * index + n} hours without a fault."
            for n in range(7)
        )
        page.insert_textbox((72, top, 523, top + 120), lines, fontsize=10)


if __name__ == "__main__":
    main()
