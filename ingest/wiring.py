"""Puts the parts together for commands: which store, which embedder, which engine."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from .config import ChunkingConfig, EngineConfig, StoreConfig
from .embedding import SentenceTransformerEmbedder
from .engines import make_engine
from .errors import StoreError
from .guarded import GuardedExaminer
from .instrumentation import page_event
from .observed import ObservedEngine
from .opening import examine
from .pages import Examiner
from .pipeline import IngestPipeline
from .sources import sha256_of
from .sparse import Bm25Encoder
from .store import QdrantStore
from .store_requests import named
from .types import PageOutcome
from .verification import FIELDS, Verification, verify

__all__ = ["delete_document", "open_pipeline", "open_store", "verify_store"]


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
        wait=config.wait,
    )


@contextmanager
def open_pipeline(
    store: StoreConfig,
    engine: EngineConfig | None = None,
    chunking: ChunkingConfig | None = None,
    model: str | None = None,
    observers: Sequence[Callable[[PageOutcome], None]] = (),
) -> Iterator[IngestPipeline]:
    """Open a pipeline into a store, whose collection is made if there is none.

    Args:
        store: where points go.
        engine: which engine reads pages.
        chunking: sizes of chunks.
        model: embedding model; None for the default.
        observers: see every page's outcome as it comes.
    """
    embedder = SentenceTransformerEmbedder(model)
    sparse = Bm25Encoder()
    with ExitStack() as stack:
        reader = stack.enter_context(closing(make_engine(engine)))
        target = stack.enter_context(open_store(store, create=True))
        look: Examiner = examine
        if engine is not None and engine.limits is not None:
            look = stack.enter_context(GuardedExaminer(engine.limits))
        target.ensure(embedder, sparse)
        seen = ObservedEngine(reader, page_event, *observers)
        yield IngestPipeline(seen, embedder, sparse, target, chunking, look)


def delete_document(document: str, config: StoreConfig) -> tuple[int, int]:
    """Delete the documents with this path, name or id.

    Returns:
        How many documents there were, and how many points were deleted.
    """
    with open_store(config) as store:
        documents = store.documents(named(document))
        return len(documents), store.delete_where(named(document)) if documents else 0


def verify_store(store: QdrantStore) -> Verification:
    """Compare all points of a store, and the files they were made of.

    Raises:
        StoreError: there is no such collection.
    """
    if not store.exists():
        raise StoreError(f"there is no collection {store.collection!r} at {store.location}")
    records = store.scroll(None, FIELDS)
    return verify((record.payload or {} for record in records), _sha256)


def _sha256(path: str) -> str | None:
    """Hash of a file; empty if it is gone, None where nobody can look, as at a URL."""
    try:
        # A store may be of others: what it names as a file may be a device that never ends.
        if "://" in path or not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        return sha256_of(Path(path))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError):
        return None
