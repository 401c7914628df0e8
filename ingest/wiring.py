"""Puts the parts together for commands: which store, which embedder, which engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from .config import ChunkingConfig, EngineConfig, StoreConfig
from .embedding import SentenceTransformerEmbedder
from .engines import make_engine
from .pipeline import IngestPipeline
from .sparse import Bm25Encoder
from .store import QdrantStore

__all__ = ["delete_document", "open_pipeline", "open_store"]


def open_store(config: StoreConfig, *, create: bool = False) -> QdrantStore:
    """Open a store; its collection says which vectors it holds."""
    return QdrantStore(
        config.location,
        collection=config.collection,
        api_key=config.api_key,
        create=create,
        engine=config.engine,
        tenant=config.tenant,
        prefer_grpc=config.prefer_grpc,
        options=config.options,
    )


@contextmanager
def open_pipeline(
    store: StoreConfig,
    engine: EngineConfig | None = None,
    chunking: ChunkingConfig | None = None,
    model: str | None = None,
) -> Iterator[IngestPipeline]:
    """Open a pipeline into a store, whose collection is made if there is none.

    Args:
        store: where points go.
        engine: which engine reads pages.
        chunking: sizes of chunks.
        model: embedding model; None for the default.
    """
    embedder = SentenceTransformerEmbedder(model)
    sparse = Bm25Encoder()
    with closing(make_engine(engine)) as reader, open_store(store, create=True) as target:
        target.ensure(embedder, sparse)
        yield IngestPipeline(reader, embedder, sparse, target, chunking)


def delete_document(document: str, config: StoreConfig) -> tuple[set[str], int]:
    """Delete the documents with this path, name or id.

    Returns:
        The ids of the documents and how many points were deleted.
    """
    with open_store(config) as store:
        ids = store.document_ids(document)
        return ids, store.delete_documents(ids) if ids else 0
