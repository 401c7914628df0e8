"""Verifies and cleans a store, and deletes documents from it and its journal."""

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
from .verification import FIELDS, Problem, Verification, verify_points

__all__ = ["clean_store", "delete_document", "verify_store"]

_MAX_CAUSES: Final = 5  # failed pages listed per problem
_MAX_NAMED: Final = 5  # documents listed in an error


def delete_document(document: str, config: StoreConfig) -> tuple[int, int]:
    """Delete a document, given by path, file name or id, from the store and the journal.

    Returns:
        The numbers of deleted documents and of deleted points.

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
                listed = ", ".join(map(_with_tenant, found[:_MAX_NAMED]))
                raise ConfigError(f"{len(found)} documents are named {name}: name one of {listed}")
            points = points or store.delete_where(named(name))
    # Without a tenant, the document may belong to any, and each tenant has a journal of its own.
    for tenant in {config.tenant, *(one.tenant for one in found)}:
        _forget({one.document_id for one in found}, names, replace(config, tenant=tenant))
    return len(found), points


def _with_tenant(document: StoredDocument) -> str:
    tenant = "" if document.tenant is None else f" (--tenant {document.tenant})"
    return f"{document.file_path}{tenant}"


def _forget(documents: set[str], paths: Sequence[str], config: StoreConfig) -> None:
    """Remove documents from a journal, by id and by path."""
    journal = open_journal(config, change=True)
    if journal is not None:
        with journal:
            at_paths = {entry.id for entry in journal.entries() if entry.path in paths}
            journal.forget(documents | at_paths)
            journal.drop_unused()


def verify_store(store: QdrantStore, config: StoreConfig | None = None) -> Verification:
    """Compare the points of a store with each other, with their files and with the journal.

    Without a ``config``, the journal is left out.

    Raises:
        StoreError: the collection does not exist.
    """
    _require_collection(store)
    payloads = (record.payload or {} for record in store.scroll(None, FIELDS))
    journal = open_journal(config) if config else None
    if journal is None:
        return verify_points(payloads, _sha256)
    with journal:
        # Before the points, so that a document stored in between is not reported as lost.
        entries = journal.entries()
        recorded = {entry.id: entry.path for entry in entries if entry.chunks > 0}
        begun = {entry.id: entry.path for entry in entries if entry.chunks < 0}
        found = verify_points(payloads, _sha256, recorded, begun)
        return replace(found, problems=tuple(_with_causes(one, journal) for one in found.problems))


def clean_store(store: QdrantStore, config: StoreConfig) -> tuple[int, int]:
    """Delete the remains of interrupted runs; a run in progress is not harmed.

    Returns:
        The number of deleted points, left by interrupted replacements, and the number of documents
        removed from the journal because none of their points is stored.

    Raises:
        StoreError: the collection does not exist.
    """
    _require_collection(store)
    points = store.delete_orphans()
    journal = open_journal(config, change=True)
    if journal is None:
        return points, 0
    with journal:
        return points, journal.forget_unstored(store.paths())


def _require_collection(store: QdrantStore) -> None:
    if not store.exists():
        raise StoreError(f"there is no collection {store.collection!r} at {store.location}")


def _with_causes(problem: Problem, journal: Journal) -> Problem:
    """Add the failures of pages that the journal records, if they explain the problem."""
    if problem.kind not in ("unfinished", "begun"):
        return problem
    failures = journal.failures(problem.document_id)
    causes = "; ".join(f"page {page + 1}: {why}" for page, why in failures[:_MAX_CAUSES])
    return replace(problem, detail=f"{problem.detail} ({causes})") if causes else problem


def _sha256(path: str) -> str | None:
    """Hash of a file; empty if the file is gone, None if it cannot be read, such as a URL."""
    try:
        # Somebody else may have written the store: a path in it may be a device that never ends.
        file = path_of(path)
        if file is None or not stat.S_ISREG(file.stat().st_mode):
            return None
        return sha256_of(file)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError):
        return None
