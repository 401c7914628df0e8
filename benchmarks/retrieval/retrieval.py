"""Measures whether search finds the right page, against LlamaIndex's default pipeline.

    pip install -c constraints.txt llama-index-readers-file
    python -m benchmarks.retrieval.retrieval --data FOLDER [--output FILE] [--store FOLDER] \
        [--reranker MODEL]

OpticalRAG parses, chunks, embeds and searches as ``opticalrag ingest`` and ``search`` do.
LlamaIndex's default is PyMuPDFReader, SentenceSplitter(1024, 20) and a dense index with the same
embedder. It runs once with its default metadata (file and page are embedded with the text) and
once without. The questions (``questions.json``) were written from the pages before any
measurement.

``--store`` stores the index in a folder, so that the next run does not parse again. ``fusion.py``
compares ways to fuse dense and sparse hits.

hit@k is the share of questions with a right page among the first k different pages of all files.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode
from llama_index.readers.file.pymu_pdf.base import PyMuPDFReader

from opticalrag.ingest.core.protocols import Embedder
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.pipeline.pipeline import IngestPipeline
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Query
from opticalrag.retrievers.rerank import CrossEncoderReranker

from ..machine import describe
from .fusion import QuestionEmbedder, compare

QUESTIONS = Path(__file__).parent / "questions.json"
DEPTHS = (1, 3, 5)
CANDIDATES = 60  # chunks per question: enough for five different pages

Page = tuple[str, int]
Ranking = Callable[[str], list[Page]]


@dataclass(frozen=True)
class Question:
    """A question and the pages of one file that answer it."""

    question: str
    file: str
    pages: tuple[int, ...]
    kind: str

    def found_at(self, ranking: Sequence[Page]) -> int:
        """The 1-based rank of the first right page; 0 if there is none."""
        right = {(self.file, page) for page in self.pages}
        return next((n for n, page in enumerate(ranking, start=1) if page in right), 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains pdf/")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--store", default=":memory:", help="folder for the index")
    parser.add_argument("--reranker", help="cross-encoder to measure as well: a folder or hub id")
    options = parser.parse_args()
    files = sorted((options.data / "pdf").glob("*.pdf"))
    questions = read_questions({file.name for file in files})
    embedder = QuestionEmbedder()
    with indexed(files, embedder, options.store) as store:
        ranks = {
            name: [question.found_at(ranking(question.question)) for question in questions]
            for name, ranking in rankings(files, embedder, store)
        }
        reranker = CrossEncoderReranker(options.reranker) if options.reranker else None
        fused = compare(questions, store, embedder, reranker)
    figures = {
        "machine": describe(),
        "questions": len(questions),
        "hit": {name: hits(found) for name, found in ranks.items()},
        "by_kind": {name: grouped(questions, found, "kind") for name, found in ranks.items()},
        "by_file": {name: grouped(questions, found, "file") for name, found in ranks.items()},
        "fusion": fused,
    }
    show(figures)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def read_questions(names: set[str]) -> list[Question]:
    """Read the questions about files in the folder."""
    entries = json.loads(QUESTIONS.read_text(encoding="utf-8"))["questions"]
    return [
        Question(e["question"], e["file"], tuple(e["pages"]), e["kind"])
        for e in entries
        if e["file"] in names
    ]


@contextmanager
def indexed(files: Sequence[Path], embedder: Embedder, location: str) -> Iterator[QdrantStore]:
    """Store the files as ``opticalrag ingest`` does."""
    sparse = Bm25Encoder()
    with closing(make_engine()) as engine, QdrantStore(location) as store:
        store.ensure(embedder, sparse)
        IngestPipeline(engine, embedder, sparse, store).run(files)
        yield store


def rankings(
    files: Sequence[Path], embedder: Embedder, store: QdrantStore
) -> Iterator[tuple[str, Ranking]]:
    """Yield every way to rank pages."""
    sparse = Bm25Encoder()

    def ours(mode: Any) -> Ranking:
        def rank(question: str) -> list[Page]:
            hits = search(store, embedder, sparse, Query(question, CANDIDATES, mode))
            return distinct((hit.file_name, page) for hit in hits for page in hit.pages)

        return rank

    yield "ours", ours("hybrid")
    yield "ours, dense alone", ours("dense")
    yield "ours, sparse alone", ours("sparse")
    yield "LlamaIndex default", llama_index(files, embedder, MetadataMode.EMBED)
    yield "LlamaIndex, text alone", llama_index(files, embedder, MetadataMode.NONE)


def llama_index(files: Sequence[Path], embedder: Embedder, mode: MetadataMode) -> Ranking:
    """Rank by PyMuPDFReader, SentenceSplitter and the cosine of dense vectors."""
    documents = [document for file in files for document in PyMuPDFReader().load(file)]
    nodes = SentenceSplitter(chunk_size=1024, chunk_overlap=20).get_nodes_from_documents(documents)
    pages = [(Path(n.metadata["file_path"]).name, int(n.metadata["source"])) for n in nodes]
    vectors = embedder.embed_documents([node.get_content(mode) for node in nodes])

    def rank(question: str) -> list[Page]:
        order = np.argsort(-(vectors @ embedder.embed_query(question)))
        return distinct(pages[number] for number in order[:CANDIDATES])

    return rank


def distinct(pages: Iterator[Page]) -> list[Page]:
    """The pages in order, without duplicates."""
    return list(dict.fromkeys(pages))


def hits(ranks: Sequence[int]) -> dict[str, float]:
    """The share of questions with a right page among the first k."""
    return {f"@{k}": sum(0 < rank <= k for rank in ranks) / len(ranks) for k in DEPTHS}


def grouped(questions: Sequence[Question], ranks: Sequence[int], by: str) -> dict[str, Any]:
    """The same by kind or by file, with the number of questions."""
    groups: dict[str, list[int]] = defaultdict(list)
    for question, rank in zip(questions, ranks, strict=True):
        groups[getattr(question, by)].append(rank)
    return {name: {"n": len(found), **hits(found)} for name, found in sorted(groups.items())}


def show(figures: dict[str, Any]) -> None:
    """Print one line per way."""
    print(f"{figures['questions']} questions{'':18}" + "".join(f"{f'hit@{k}':>8}" for k in DEPTHS))
    for name, found in figures["hit"].items():
        print(f"{name:32}" + "".join(f"{found[f'@{k}']:8.3f}" for k in DEPTHS))
    print(f"\nfusion, chosen: {figures['fusion']['winner']}; on the other half:")
    for name, found in figures["fusion"]["reported_on"].items():
        print(f"{name:32}" + "".join(f"{found[f'@{k}']:8.3f}" for k in DEPTHS))


if __name__ == "__main__":
    main()
