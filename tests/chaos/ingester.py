"""Ingests a folder of PDFs into a store, as ``opticalrag ingest`` does, with small models.

Parsing and embedding are cheap, so that most of the time goes into what a kill can tear: the store.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import ChunkingConfig, IngestOptions, StoreConfig
from opticalrag.ingest.core.protocols import PageEngine, PageKeeper
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.pipeline.journal import Journal
from opticalrag.ingest.pipeline.pipeline import IngestPipeline, IngestReport
from opticalrag.ingest.store.store import QdrantStore

from ..builders import WordCounter
from .engines import TextEngine


class SmallEmbedder(WordCounter):
    """Embeds a text by its letter counts."""

    name = "letters"
    dimension = 26

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for text in texts]
        vectors = np.asarray(rows, np.float32).reshape(len(texts), 26)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.embed_documents([text])[0]


def ingest(
    folder: Path,
    store: QdrantStore,
    journal: Journal | None = None,
    log: Path | None = None,
    options: IngestOptions | None = None,
    engine: PageEngine | None = None,
    examiner: DocumentExaminer | None = None,
    keeper: PageKeeper | None = None,
) -> IngestReport:
    embedder, sparse = SmallEmbedder(64), Bm25Encoder()
    store.ensure(embedder, sparse)
    reader = engine or TextEngine(log)
    chunking = ChunkingConfig(64)
    parts = (reader, embedder, sparse, store, chunking)
    pipeline = IngestPipeline(*parts, examiner=examiner, journal=journal, keeper=keeper)
    return pipeline.run(sorted(folder.rglob("*.pdf")), options=options)


def main() -> int:
    """Ingest FOLDER into STORE."""
    folder, location = sys.argv[1:]
    config = StoreConfig(location, wait=120.0)
    with open_store(config, create=True) as store:
        journal = open_journal(config, create=True)
        with journal or nullcontext():
            report = ingest(Path(folder), store, journal)
    return bool(report.failures)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.exit(main())
