"""Measures the embedded engines of the store with many chunks: edge and the client's local mode.

    python -m benchmarks.retrieval.qdrant [--sizes 10000 50000 100000] [--folder DIR] \
        [--output FILE]

Dense vectors derive from all-MiniLM-L6-v2's embeddings of the sentences in this repository's
documents and sample report. Each vector mixes three of them and adds noise (a tenth of its
length), so that the vectors form touching clusters, as embeddings of text do. Sparse vectors have
about 60 of 30,000 terms, drawn by Zipf's law, with weights similar to BM25. Questions are made in
the same way and are not stored. All random numbers are seeded.

Each question calls ``QdrantStore.query`` for ten hits with payload. Hybrid questions fuse fifty
dense with fifty sparse hits by rank. The filter on ``kind`` passes a fifth of the chunks. Recall
compares with exhaustive search; for hybrid questions it is the share of hits whose fused score is
at least that of the tenth best. The local mode runs in memory and answers fewer questions, within
a time limit.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from numpy.typing import NDArray
from qdrant_client import models
from scipy import sparse

from opticalrag.ingest.core.protocols import Embedder
from opticalrag.ingest.core.records import Point
from opticalrag.ingest.core.schema import DENSE, SPARSE, Field
from opticalrag.ingest.indexing.choice import make_embedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore

from ..machine import describe

ROOT = Path(__file__).resolve().parents[2]
SIZES = (10_000, 50_000, 100_000)
QUESTIONS = 200
SECONDS = 6.0  # time limit per kind of question; at least three are asked
TOP, CANDIDATES, RRF_K = 10, 50, 2
VOCABULARY, TERMS = 30_000, 60
KINDS = ("text", "text", "text", "text", "table")
TABLES = models.Filter(
    must=[models.FieldCondition(key=Field.KIND, match=models.MatchValue(value="table"))]
)
TEXT = "The main coolant pump was exchanged during the spring outage, as planned. " * 12

Ask = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Chunks:
    """Dense and sparse vectors of chunks or questions."""

    dense: NDArray[np.float32]
    sparse: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.dense)

    def terms(self, number: int) -> tuple[list[int], list[float]]:
        """Indices and weights of one sparse vector."""
        row = slice(*self.sparse.indptr[number : number + 2])
        return self.sparse.indices[row].tolist(), self.sparse.data[row].tolist()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--folder", type=Path, help="folder on the disk to measure")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    embedder = make_embedder()
    base = embedder.embed_documents(sentences())
    questions = make_chunks(base, QUESTIONS, seed=1, terms=8)
    figures: dict[str, Any] = {
        "machine": {**describe(), **{n: version(n) for n in ("qdrant-client", "qdrant-edge-py")}},
        "sentences": len(base),
        "sizes": {},
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        for size in options.sizes:
            chunks = make_chunks(base, size, seed=2, terms=TERMS)
            exact = Exact(chunks, questions)
            results = {
                "edge": edge(chunks, exact, embedder, Path(place) / str(size)),
                "local": local(chunks, exact, embedder),
            }
            figures["sizes"][str(size)] = results
            show(size, results)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


# -- chunks and questions ----------------------------------------------------------------------


def sentences() -> list[str]:
    """The sentences in the documents of this repository."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("*.md"))]
    with pymupdf.open(ROOT / "notebooks" / "sample" / "report.pdf") as report:
        texts += [page.get_text() for page in report]
    found = [one.strip() for text in texts for one in re.split(r"[.:;|\n]\s+", text)]
    return list(dict.fromkeys(one for one in found if len(one) > 30))


def make_chunks(base: NDArray[np.float32], count: int, seed: int, terms: int) -> Chunks:
    """Make dense vectors from mixed embeddings, and sparse vectors by Zipf's law."""
    rng = np.random.default_rng(seed)
    parts = base[rng.integers(0, len(base), (count, 3))]
    dense = np.einsum("np,npd->nd", rng.dirichlet([0.7] * 3, count).astype(np.float32), parts)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    noise = rng.standard_normal(dense.shape).astype(np.float32)
    dense += 0.1 * noise / np.sqrt(dense.shape[1])
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    chance = 1 / np.arange(1, VOCABULARY + 1)
    drawn = rng.choice(VOCABULARY, (count, terms), p=chance / chance.sum())
    counts = sparse.csr_matrix(
        (np.ones(drawn.size), drawn.ravel(), np.arange(0, drawn.size + 1, terms)),
        (count, VOCABULARY),
    )
    counts.sum_duplicates()
    # Term frequency saturates as in BM25 with k = 1.2. In questions, every term has weight 1.
    counts.data = counts.data * 2.2 / (counts.data + 1.2) if terms == TERMS else counts.data**0
    return Chunks(dense, counts)


def points(chunks: Chunks) -> Iterator[list[Point]]:
    """Yield points in batches of 256, as the pipeline writes them."""
    for start in range(0, len(chunks), 256):
        yield [point(chunks, n) for n in range(start, min(start + 256, len(chunks)))]


def point(chunks: Chunks, number: int) -> Point:
    """Make a point with a payload of realistic size."""
    file = number // 100
    payload = {
        Field.TEXT: TEXT,
        Field.FILE_ID: f"document-{file}",
        Field.FILE_NAME: f"{file}.pdf",
        Field.FILE_PATH: f"/documents/{file}.pdf",
        Field.PAGES: [number % 100 // 5 + 1],
        Field.KIND: KINDS[number % len(KINDS)],
        Field.BOXES: [{"page": 1, "box": [0.1, 0.2, 0.9, 0.4]}],
        Field.HEADING_PATH: ["Operation", "Outages"],
        Field.INGESTED_AT: "2026-01-01T00:00:00Z",
        "number": number,
    }
    key = str(uuid.UUID(int=number + 1))
    return Point(key, payload, chunks.dense[number], chunks.terms(number))


class Exact:
    """The exact answers, from comparing with every vector."""

    def __init__(self, chunks: Chunks, questions: Chunks) -> None:
        self.questions = questions
        self.dense = questions.dense @ chunks.dense.T
        found = np.asarray((chunks.sparse > 0).sum(axis=0)).ravel()
        idf = np.log((len(chunks) - found + 0.5) / (found + 0.5) + 1)
        weighed = questions.sparse.multiply(idf).tocsr()
        self.sparse = (weighed @ chunks.sparse.T).toarray()
        self.tables = np.arange(len(chunks)) % len(KINDS) == KINDS.index("table")

    def scores(self, kind: str, number: int) -> NDArray[Any]:
        """Score every chunk for a question; minus infinity for chunks that are not candidates."""
        allowed = self.tables if "filtered" in kind else np.ones_like(self.tables)
        dense = np.where(allowed, self.dense[number], -np.inf)
        words = np.where(allowed & (self.sparse[number] > 0), self.sparse[number], -np.inf)
        if kind.startswith("hybrid"):
            return fused(dense, words)
        return words if kind.startswith("sparse") else dense

    def recall(self, kind: str, number: int, found: Sequence[int]) -> float:
        """The share of hits that score at least as high as the tenth best."""
        scores = self.scores(kind, number)
        least = np.partition(scores, -TOP)[-TOP]
        return sum(scores[n] >= least - 1e-5 for n in found) / TOP


def fused(*rankings: NDArray[Any]) -> NDArray[Any]:
    """Add the reciprocal ranks of the best candidates of each ranking."""
    scores = np.full(len(rankings[0]), -np.inf)
    for ranking in rankings:
        best = np.argsort(-ranking)[:CANDIDATES]
        best = best[np.isfinite(ranking[best])]
        scores[best] = np.maximum(scores[best], 0) + 1 / (RRF_K + np.arange(len(best)))
    return scores


# -- engines -----------------------------------------------------------------------------------


def edge(chunks: Chunks, exact: Exact, embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Measure a folder of qdrant-edge: before its index is built, after, and when reopened."""
    store = QdrantStore(folder)
    store.ensure(embedder, Bm25Encoder())
    figures: dict[str, Any] = {"upsert_per_s": writes(store, chunks)}
    figures["before_index"] = ask_all(store, exact)
    started = time.perf_counter()
    store.close()
    figures["index_and_close_s"] = time.perf_counter() - started
    started = time.perf_counter()
    with QdrantStore(folder) as store:
        store.verify(embedder, Bm25Encoder())
        figures["open_s"] = time.perf_counter() - started
        figures["questions"] = ask_all(store, exact)
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    figures["disk_mb"] = sum(file.st_blocks for file in files) * 512 / 1e6
    return figures


def local(chunks: Chunks, exact: Exact, embedder: Embedder) -> dict[str, Any]:
    """Measure the client's local mode in memory."""
    with QdrantStore(":memory:") as store:
        store.ensure(embedder, Bm25Encoder())
        return {"upsert_per_s": writes(store, chunks), "questions": ask_all(store, exact)}


def writes(store: QdrantStore, chunks: Chunks) -> float:
    """Points written per second, without the time to make them."""
    spent = 0.0
    for batch in points(chunks):
        started = time.perf_counter()
        store.upsert(batch)
        spent += time.perf_counter() - started
    return len(chunks) / spent


def ask_all(store: QdrantStore, exact: Exact) -> dict[str, Any]:
    """Measure every kind of question."""
    return {kind: ask(store, exact, kind, how) for kind, how in kinds(exact.questions).items()}


def kinds(questions: Chunks) -> dict[str, Ask]:
    """Make the request for each kind of question."""

    def dense(n: int) -> dict[str, Any]:
        return {"query": questions.dense[n].tolist(), "using": DENSE}

    def words(n: int) -> dict[str, Any]:
        indices, values = questions.terms(n)
        return {"query": models.SparseVector(indices=indices, values=values), "using": SPARSE}

    def hybrid(n: int, where: models.Filter | None = None) -> dict[str, Any]:
        stages = [
            models.Prefetch(**one, filter=where, limit=CANDIDATES) for one in (dense(n), words(n))
        ]
        return {"query": models.FusionQuery(fusion=models.Fusion.RRF), "prefetch": stages}

    return {
        "dense": dense,
        "sparse": words,
        "hybrid": hybrid,
        "dense filtered": lambda n: {**dense(n), "where": TABLES},
        "hybrid filtered": lambda n: hybrid(n, TABLES),
    }


def ask(store: QdrantStore, exact: Exact, kind: str, how: Ask) -> dict[str, Any]:
    """Measure percentiles in milliseconds and recall, over as many questions as time allows."""
    times: list[float] = []
    recalls: list[float] = []
    store.query(**how(0), limit=TOP)  # warm-up: opens files
    for number in range(len(exact.questions)):
        if sum(times) > 1000 * SECONDS and number >= 3:
            break
        request = how(number)
        started = time.perf_counter()
        found = store.query(**request, limit=TOP)
        times.append(1000 * (time.perf_counter() - started))
        numbers = [(one.payload or {})["number"] for one in found]
        recalls.append(exact.recall(kind, number, numbers))
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "n": len(times),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        f"recall@{TOP}": float(np.mean(recalls)),
    }


def show(size: int, results: dict[str, Any]) -> None:
    """Print one table per size."""
    print(f"\n{size:,} chunks")
    for engine, figures in results.items():
        rest = {k: round(v, 1) for k, v in figures.items() if isinstance(v, float)}
        print(f"{engine}: {rest}")
        for state in ("before_index", "questions"):
            for kind, one in figures.get(state, {}).items():
                print(
                    f"  {state:14}{kind:18}{one['n']:5}{one['p50_ms']:10.2f}{one['p99_ms']:10.2f}"
                    f"{one[f'recall@{TOP}']:8.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
