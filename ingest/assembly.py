"""Builds stores, journals and pipelines from their configs.

Functions import what only they need: a command that opens a store loads no PyMuPDF and LlamaIndex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .core.config import ChunkingConfig, EngineConfig, StoreConfig
from .core.errors import CacheError, ConfigError, StoreUnavailable
from .core.protocols import PageEngine, PageKeeper
from .core.records import PageOutcome
from .pipeline.journal import Journal, journal_name
from .store.store import QdrantStore
from .system.retry import Retry

if TYPE_CHECKING:
    from .indexing.given import GivenEmbedder
    from .pipeline.pipeline import IngestPipeline

__all__ = ["open_journal", "open_pipeline", "open_store"]

_SERVER_JOURNALS: Final = ".opticalrag/journal"
"""Folder of the journals of collections on servers."""


def open_store(config: StoreConfig, *, create: bool = False) -> QdrantStore:
    """Open a store; with ``create``, a missing folder is created."""
    return QdrantStore(
        config.location,
        collection=config.collection,
        api_key=config.api_key,
        create=create,
        tenant=config.tenant,
        prefer_grpc=config.prefer_grpc,
        options=config.options,
        wait=config.wait,
        retry=Retry(total=max(Retry().total, config.wait)),
    )


@contextmanager
def open_pipeline(
    store: StoreConfig,
    engine: EngineConfig | None = None,
    chunking: ChunkingConfig | None = None,
    embedder: GivenEmbedder = None,
    observers: Sequence[Callable[[PageOutcome], None]] = (),
    *,
    dry_run: bool = False,
) -> Iterator[IngestPipeline]:
    """Open a pipeline into a store; its collection is created if there is none.

    ``observers`` are called with the outcome of each page. ``dry_run`` creates nothing: a missing
    store counts as empty.
    """
    from .documents.examiner import DocumentExaminer
    from .engines.choice import make_engine
    from .indexing.given import as_embedder
    from .indexing.sparse import Bm25Encoder
    from .llama_index.events import page_event
    from .pipeline.listeners import ObservedEngine
    from .pipeline.pipeline import IngestPipeline

    dense, sparse = as_embedder(embedder, busy_cores=_processes(engine)), Bm25Encoder()
    with ExitStack() as stack:
        reader = stack.enter_context(closing(make_engine(engine)))
        target = stack.enter_context(_open_target(store, dry_run))
        examiner = stack.enter_context(DocumentExaminer(engine.limits if engine else None))
        target.ensure(dense, sparse)
        journal = open_journal(store, create=not dry_run)
        if journal is not None:
            stack.enter_context(journal)
        yield IngestPipeline(
            ObservedEngine(reader, page_event, *observers),
            dense,
            sparse,
            target,
            chunking,
            examiner=examiner,
            journal=journal,
            keeper=_keeper(reader, engine, stack),
        )


def _processes(config: EngineConfig | None) -> int:
    """Number of other processes that parse or render pages."""
    if config is None or (config.workers == 1 and config.limits is None):
        return 0
    return config.workers


def _open_target(config: StoreConfig, dry_run: bool) -> QdrantStore:
    if not dry_run:
        return open_store(config, create=True)
    try:
        store = open_store(config)
    except StoreUnavailable:
        if Path(config.location).exists() or "://" in config.location:
            raise
    else:
        if store.exists():
            return store
        store.close()
    return QdrantStore(":memory:", collection=config.collection, tenant=config.tenant)


def _keeper(engine: PageEngine, config: EngineConfig | None, stack: ExitStack) -> PageKeeper | None:
    """Connect to the engine's token cache, too: its own connection may be in other processes."""
    if engine.name != "deepseek-ocr" or config is None or config.optical.tokens is None:
        return None
    from .token_cache.cache import TokenCache
    from .token_cache.lenient import LenientCache

    try:
        return LenientCache(stack.enter_context(TokenCache(config.optical.tokens)))
    except CacheError:  # the engine has logged the error and works without a cache
        return LenientCache(None)


def open_journal(
    config: StoreConfig, *, create: bool = False, change: bool = False
) -> Journal | None:
    """Open the journal of a store; None if it does not exist or is switched off.

    ``create`` opens it for writing and creates a missing one; ``change`` opens an existing one for
    writing. By default it is opened read-only.

    Raises:
        ConfigError: the journal's location is empty.
    """
    path = _journal_path(config)
    if path is None or not (create or path.exists()):
        return None
    return Journal(path, config.tenant, "make" if create else "change" if change else "read")


def _journal_path(config: StoreConfig) -> Path | None:
    if not config.journal:  # Path("") is the current folder
        raise ConfigError("the location of the journal is empty: use a folder, 'auto' or 'off'")
    if config.journal == "off" or config.location == ":memory:":
        return None
    remote = "://" in config.location
    own = config.journal == "auto" and not remote
    location = config.location if remote else str(Path(config.location).absolute())
    name = journal_name("" if own else location, config.collection, config.tenant)
    if own:
        return Path(config.location, "journal", name)
    return Path(_SERVER_JOURNALS if config.journal == "auto" else config.journal, name)
