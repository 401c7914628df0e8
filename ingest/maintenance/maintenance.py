"""Verify, clean and delete what is stored."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..assembly import open_journal, open_store
from ..core.config import StoreConfig
from ..core.errors import ConfigError, StoreError
from ..documents.sources import location_of, path_of, sha256_of
from ..pipeline.journal import Journal
from ..store.requests import named
from ..store.store import QdrantStore
from ..store.stored_documents import StoredDocument
from .verification import FIELDS, Problem, Verification, verify

__all__ = ["clean_store", "delete_document", "verify_store"]


def delete_document(document: str, config: StoreConfig) -> tuple[int, int]:
    """Delete the document with this path, name or id, and what the journal has of it.

    Returns:
        How many documents there were, and how many points were deleted.

    Raises:
        ConfigError: several documents have this name.
    """
    names = (document, location_of(Path(document)))
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


_MOST_CAUSES: Final = 5


_MOST_NAMED: Final = 5
