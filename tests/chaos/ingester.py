"""Ingests a folder of PDFs into a store, as ``opticalrag ingest`` does, with small models.

Reading and embedding are made cheap so that most of the time goes into what can be torn: the store.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from opticalrag.ingest.config import ChunkingConfig, IngestOptions, StoreConfig
from opticalrag.ingest.journal import Journal
from opticalrag.ingest.pages import load
from opticalrag.ingest.pipeline import IngestPipeline, IngestReport
from opticalrag.ingest.sparse import Bm25Encoder
from opticalrag.ingest.store import QdrantStore
from opticalrag.ingest.types import Block, BlockKind, Box, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.wiring import open_journal, open_store

from ..builders import WordCounter


class TextEngine:
    """Reads the text layer, a block a line.

    Args:
        log: a file that gets a line for every page that is read.
    """

    name = "text"
    fingerprint = "text/1"

    def __init__(self, log: Path | None = None) -> None:
        self._log = log

    def close(self) -> None:
        """Nothing to give back."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for task in tasks:
            page = load(task.source)[task.ref.index]
            lines = [block[4].strip() for block in page.get_text("blocks")]
            blocks = [Block(BlockKind.TEXT, Box(0.1, 0.1, 0.9, 0.2), line) for line in lines]
            if self._log is not None:
                with self._log.open("a") as log:
                    log.write(f"{task.ref.document.sha256}:{task.ref.index}\n")
            yield ParsedPage(task.ref, 595.0, 842.0, tuple(blocks), engine="text")


class SmallEmbedder(WordCounter):
    """Vectors of the letters in a text."""

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
) -> IngestReport:
    embedder, sparse = SmallEmbedder(64), Bm25Encoder()
    store.ensure(embedder, sparse)
    engine = TextEngine(log)
    chunking = ChunkingConfig(64)
    pipeline = IngestPipeline(engine, embedder, sparse, store, chunking, journal=journal)
    return pipeline.run(sorted(folder.glob("*.pdf")), options=options)


def main() -> int:
    """Ingest FOLDER into STORE, naming every page that is parsed in LOG."""
    folder, place, *rest = sys.argv[1:]
    config = StoreConfig(place, wait=120.0)
    log = Path(rest[0]) if rest else None
    with open_store(config, create=True) as store:
        journal = open_journal(config, create=True)
        with journal or nullcontext():
            report = ingest(Path(folder), store, journal, log)
    return bool(report.failures)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.exit(main())
