"""Measures pages per second of an ingest on CPUs, against LlamaIndex with the same parts.

    python -m benchmarks.ingesting.throughput [--data FOLDER] [--pages 500] \
        [--runs NAME ...] [--output FILE]

The shared documents are copied until there are enough pages. The pages of every copy differ in a
comment, so that nothing can be reused from another copy. *plain* reads one file after another with
:class:`DeepSeekOCRReader` (the layout engine) and passes all pages to LlamaIndex's
``IngestionPipeline``: :class:`LayoutNodeParser`, the same embedder, LlamaIndex's own Qdrant store.
*ours* does the same as ``opticalrag ingest``, with one worker process and with one per core. Each
runs in a separate process, which loads the models and reads a file before the clock starts. CPU
seconds include all children. *busy* is the share of the available CPU time; filling all cores could
speed up *plain* by at most the inverse of its share.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pymupdf
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline as PlainPipeline
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from opticalrag.ingest import DeepSeekOCRReader, LayoutNodeParser
from opticalrag.ingest.assembly import open_pipeline
from opticalrag.ingest.core.config import EngineConfig, StoreConfig, WorkLimits
from opticalrag.ingest.core.records import PageOutcome, ParsedPage
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.pipeline import writer

from ..machine import describe

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OPTICALRAG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

Stages = Counter[str]
"""Seconds of each stage, summed over processes."""


class PlainEmbedding(BaseEmbedding):
    """Adapts the package's embedder to LlamaIndex."""

    model: Any

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.model.embed_documents(texts).tolist()
        return vectors

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self.model.embed_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--pages", type=int, default=500)
    runs = ("plain", "ours-1", f"ours-{os.cpu_count()}")
    parser.add_argument("--runs", nargs="+", default=runs, help="plain must be one of them")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(*options.child)))
        return
    with tempfile.TemporaryDirectory() as folder:
        pages = write_copies(options.data / "pdf", Path(folder, "files"), options.pages)
        rows = {name: in_process(name, folder, pages) for name in options.runs}
    best = max(row["pages_per_s"] for name, row in rows.items() if name != "plain")
    figures = {
        "machine": describe(),
        "pages": pages,
        "runs": rows,
        "ratio": round(best / rows["plain"]["pages_per_s"], 3),
        "ceiling_of_full_cores": round(1 / rows["plain"]["busy"], 3),
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def write_copies(source: Path, folder: Path, pages: int) -> int:
    """Copy all files in turn until there are enough pages; return the number of pages."""
    folder.mkdir()
    files, written, turn = sorted(source.glob("*.pdf")), 0, 0
    while written < pages:
        for file in files:
            if written < pages:
                written += write_copy(file, folder / f"{turn:03}-{file.name}", turn)
        turn += 1
    return written


def write_copy(file: Path, copy: Path, turn: int) -> int:
    """Copy a file with a comment in the content of every page, and return its pages."""
    with closing(pymupdf.open(file)) as document:
        for page in document:
            xref = (page.get_contents() or [0])[0]
            if xref:
                content = document.xref_stream(xref) or b""
                document.update_stream(xref, content + b"\n%% copy %d\n" % turn)
        document.save(copy, deflate=True)
        return int(document.page_count)


def in_process(name: str, folder: str, pages: int) -> dict[str, Any]:
    """Run a pipeline in a separate process."""
    program = [
        sys.executable,
        "-m",
        "benchmarks.ingesting.throughput",
        "--child",
        name,
        folder,
        str(pages),
    ]
    answer = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout
    told: dict[str, Any] = json.loads(answer)
    return told


def measured(name: str, folder: str, pages: str) -> dict[str, Any]:
    """Run one of the pipelines over the files and return its figures."""
    files = sorted(Path(folder, "files").glob("*.pdf"))
    place = Path(folder, name)
    stages: Stages = Counter()
    if name == "plain":
        seconds, cpu, chunks = run_plain(files, place, stages)
    else:
        seconds, cpu, chunks = run_ours(files, place, stages, int(name.split("-")[1]))
    return {
        "seconds": round(seconds, 1),
        "pages_per_s": round(int(pages) / seconds, 3),
        "chunks": chunks,
        "cpu_seconds": round(cpu, 1),
        "busy": round(cpu / seconds / (os.cpu_count() or 1), 3),
        "stage_seconds": {stage: round(value, 1) for stage, value in stages.items()},
    }


def run_plain(files: list[Path], place: Path, stages: Stages) -> tuple[float, float, int]:
    """Run stage after stage, as in LlamaIndex's documentation."""
    embedder = make_embedder()
    reader = DeepSeekOCRReader(engine="layout")
    parser = LayoutNodeParser()
    store = QdrantVectorStore("plain", QdrantClient(path=str(place)))
    pipeline = PlainPipeline(transformations=[PlainEmbedding(model=embedder)], vector_store=store)
    pipeline.run(nodes=parser.get_nodes_from_documents(reader.load_data(files[0])))
    stages.clear()
    with timed_process() as took:
        with stage(stages, "parse"):
            documents = [page for file in files for page in reader.load_data(file)]
        with stage(stages, "chunk"):
            nodes = parser.get_nodes_from_documents(documents)
        watch(stages, "embed", embedder, "embed_documents")
        watch(stages, "write", store, "add")
        chunks = len(pipeline.run(nodes=nodes))
    return (*took(), chunks)


def run_ours(
    files: list[Path], place: Path, stages: Stages, workers: int
) -> tuple[float, float, int]:
    """Run the pipeline as the command does."""

    def seen(outcome: PageOutcome) -> None:
        if isinstance(outcome, ParsedPage):
            stages["parse"] += outcome.seconds

    config = EngineConfig("layout", workers=workers, limits=WorkLimits())
    with open_pipeline(StoreConfig(str(place)), config, observers=(seen,)) as pipeline:
        warm = Path(place.parent, f"warm-{place.name}.pdf")
        write_copy(files[0], warm, 999_999)
        pipeline.run([warm])
        stages.clear()
        watch(stages, "embed", pipeline.embedder, "embed_documents")
        watch(stages, "write", pipeline.store, "upsert")
        watch(stages, "chunk", writer, "chunk_pages")
        with timed_process() as took:
            report = pipeline.run(files)
    assert not report.failures, report.failures  # noqa: S101  the figures would mean nothing
    return (*took(), report.embedded)


def watch(stages: Stages, name: str, owner: Any, method: str) -> None:
    """Count the time spent in a function from now on."""
    function: Callable[..., Any] = getattr(owner, method)

    def watched(*args: Any, **kwargs: Any) -> Any:
        with stage(stages, name):
            return function(*args, **kwargs)

    object.__setattr__(owner, method, watched)


@contextmanager
def stage(stages: Stages, name: str) -> Iterator[None]:
    """Count the time of a block."""
    started = time.perf_counter()
    try:
        yield
    finally:
        stages[name] += time.perf_counter() - started


@contextmanager
def timed_process() -> Iterator[Callable[[], tuple[float, float]]]:
    """Yield a function that returns the wall-clock and CPU seconds, children included."""
    started, cpu = time.perf_counter(), cpu_seconds()
    took: list[float] = []
    yield lambda: (took[0], took[1])
    took += (time.perf_counter() - started, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """CPU seconds of this process, its living children, and those that ended."""
    spent = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    for child in psutil.Process().children(recursive=True):
        times = child.cpu_times()
        spent += times.user + times.system
    return spent


if __name__ == "__main__":
    main()
