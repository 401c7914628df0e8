"""Puts the parts together for commands: which store, which embedder, which engine."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from .config import ChunkingConfig, ConfigError, EngineConfig, StoreConfig
from .embedding import SentenceTransformerEmbedder
from .engines import make_engine
from .errors import CacheError, StoreError, StoreUnavailable
from .guarded import DocumentExaminer
from .instrumentation import page_event
from .journal import Journal, journal_name
from .lenient_cache import LenientCache
from .observed import ObservedEngine
from .pipeline import IngestPipeline
from .protocols import PageEngine, PageKeeper
from .sources import path_of, place_of, sha256_of
from .sparse import Bm25Encoder
from .store import QdrantStore, StoredDocument
from .store_faults import Retry
from .store_requests import named
from .token_cache import TokenCache
from .types import PageOutcome
from .verification import FIELDS, Problem, Verification, verify

__all__ = [
    "clean_store",
    "delete_document",
    "open_journal",
    "open_pipeline",
    "open_store",
    "verify_store",
]

_STATE: Final = ".opticalrag/journal"
"""Where the journals of servers' collections are."""
_MOST_CAUSES: Final = 5
_MOST_NAMED: Final = 5


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


def delete_document(document: str, config: StoreConfig) -> tuple[int, int]:
    """Delete the document with this path, name or id, and what the journal has of it.

    Returns:
        How many documents there were, and how many points were deleted.

    Raises:
        ConfigError: several documents have this name.
    """
    names = (document, place_of(Path(document)))
    found: list[StoredDocument] = []
    points = 0
    with open_store(config) as store:
        for name in names:
            found = found or store.documents(named(name))
            if len(found) > 1:
                listed = ", ".join(map(_owned, found[:_MOST_NAMED]))
                raise ConfigError(f"{len(found)} documents are named {name}: name one of {listed}")
            points = points or store.delete_where(named(name))
    # Where no tenant is named it may be anyone's, and each has a journal of their own.
    for tenant in {config.tenant, *(one.tenant for one in found)}:
        _forget({one.document_id for one in found}, names, replace(config, tenant=tenant))
    return len(found), points


def _owned(document: StoredDocument) -> str:
    owner = "" if document.tenant is None else f" (--tenant {document.tenant})"
    return f"{document.file_path}{owner}"


def _forget(documents: set[str], places: Sequence[str], config: StoreConfig) -> None:
    """Have a journal forget documents by id, and those it has at these places."""
    journal = open_journal(config, change=True)
    if journal is not None:
        with journal:
            there = {entry.id for entry in journal.entries() if entry.path in places}
            journal.forget(documents | there)


def verify_store(store: QdrantStore, config: StoreConfig | None = None) -> Verification:
    """Compare all points of a store, the files they were made of, and its journal.

    Args:
        store: the store.
        config: how it was opened, by which its journal is found; None looks at none.

    Raises:
        StoreError: there is no such collection.
    """
    _check_there(store)
    payloads = (record.payload or {} for record in store.scroll(None, FIELDS))
    journal = open_journal(config) if config else None
    if journal is None:
        return verify(payloads, _sha256)
    with journal:
        entries = journal.entries()  # before the points: what is stored meanwhile is not missed
        recorded = {entry.id: entry.path for entry in entries if entry.chunks > 0}
        begun = {entry.id: entry.path for entry in entries if entry.chunks < 0}
        found = verify(payloads, _sha256, recorded, begun)
        return replace(found, problems=tuple(_explained(one, journal) for one in found.problems))


def clean_store(store: QdrantStore, config: StoreConfig) -> tuple[int, int]:
    """Delete what interrupted runs left in a store and its journal; one that goes on is safe.

    Returns:
        How many points of replacements were deleted, and how many documents of which nothing is
        stored went from the journal, with their pages.

    Raises:
        StoreError: there is no such collection.
    """
    _check_there(store)
    points = store.delete_orphans()
    journal = open_journal(config, change=True)
    if journal is None:
        return points, 0
    with journal:
        return points, journal.forget_unstored(store.paths())


def _check_there(store: QdrantStore) -> None:
    if not store.exists():
        raise StoreError(f"there is no collection {store.collection!r} at {store.location}")


def _explained(problem: Problem, journal: Journal) -> Problem:
    """A problem with the pages that failed, and why, where the journal knows."""
    explained = problem.kind in ("unfinished", "begun")
    failures = journal.failures(problem.document_id) if explained else []
    causes = "; ".join(f"page {page + 1}: {why}" for page, why in failures[:_MOST_CAUSES])
    return replace(problem, detail=f"{problem.detail} ({causes})") if causes else problem


def _sha256(path: str) -> str | None:
    """Hash of a file; empty if it is gone, None where nobody can look, as at a URL."""
    try:
        # A store may be of others: what it names as a file may be a device that never ends.
        file = path_of(path)
        if file is None or not stat.S_ISREG(file.stat().st_mode):
            return None
        return sha256_of(file)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError):
        return None
