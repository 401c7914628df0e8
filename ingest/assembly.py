"""Puts the parts together for commands: which store, which embedder, which engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from .core.config import ChunkingConfig, EngineConfig, StoreConfig
from .core.errors import CacheError, ConfigError, StoreUnavailable
from .core.protocols import PageEngine, PageKeeper
from .core.records import PageOutcome
from .documents.examiner import DocumentExaminer
from .engines.choice import make_engine
from .indexing.dense import SentenceTransformerEmbedder
from .indexing.sparse import Bm25Encoder
from .llama_index.events import page_event
from .pipeline.journal import Journal, journal_name
from .pipeline.listeners import ObservedEngine
from .pipeline.pipeline import IngestPipeline
from .store.store import QdrantStore
from .system.retry import Retry
from .token_cache.cache import TokenCache
from .token_cache.lenient import LenientCache

__all__ = [
    "open_journal",
    "open_pipeline",
    "open_store",
]

_STATE: Final = ".opticalrag/journal"
"""Where the journals of servers' collections are."""


def open_store(config: StoreConfig, *, create: bool = False) -> QdrantStore:
    """Open a store; its collection says which vectors it holds."""
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
    model: str | None = None,
    observers: Sequence[Callable[[PageOutcome], None]] = (),
    *,
    dry_run: bool = False,
) -> Iterator[IngestPipeline]:
    """Open a pipeline into a store, whose collection is made if there is none.

    Args:
        store: where points go.
        engine: which engine reads pages.
        chunking: sizes of chunks.
        model: embedding model; None for the default.
        observers: see every page's outcome as it comes.
        dry_run: make nothing; what is not there is taken for empty.
    """
    embedder = SentenceTransformerEmbedder(model, busy_cores=_processes(engine))
    sparse = Bm25Encoder()
    with ExitStack() as stack:
        reader = stack.enter_context(closing(make_engine(engine)))
        target = stack.enter_context(_open_target(store, dry_run))
        examiner = stack.enter_context(DocumentExaminer(engine.limits if engine else None))
        target.ensure(embedder, sparse)
        journal = open_journal(store, create=not dry_run)
        if journal is not None:
            stack.enter_context(journal)
        yield IngestPipeline(
            ObservedEngine(reader, page_event, *observers),
            embedder,
            sparse,
            target,
            chunking,
            examiner=examiner,
            journal=journal,
            keeper=_keeper(reader, engine, stack),
        )


def _processes(config: EngineConfig | None) -> int:
    """How many processes parse or draw pages beside this one."""
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
    """Where the engine keeps vision tokens; the stack closes it. None if it keeps none.

    Beside the engine's own, which may be in other processes.
    """
    if engine.name != "deepseek-ocr" or config is None or config.optical.tokens is None:
        return None
    try:
        return LenientCache(stack.enter_context(TokenCache(config.optical.tokens)))
    except CacheError:  # the engine has said so, and keeps none
        return LenientCache(None)


def open_journal(
    config: StoreConfig, *, create: bool = False, change: bool = False
) -> Journal | None:
    """The journal of a store; None if there is, or is to be, none.

    Unless it is to be created, or one that is there changed, it is only read.
    """
    path = _journal_path(config)
    if path is None or not (create or path.exists()):
        return None
    return Journal(path, config.tenant, "make" if create else "change" if change else "read")


def _journal_path(config: StoreConfig) -> Path | None:
    if not config.journal:  # Path takes it for the folder one is in
        raise ConfigError("the journal's place is ''; name a folder, or leave it out")
    if config.journal == "off" or config.location == ":memory:":
        return None
    remote = "://" in config.location
    own = config.journal == "auto" and not remote
    location = config.location if remote else str(Path(config.location).absolute())
    name = journal_name("" if own else location, config.collection, config.tenant)
    if own:
        return Path(config.location, "journal", name)
    return Path(_STATE if config.journal == "auto" else config.journal, name)
