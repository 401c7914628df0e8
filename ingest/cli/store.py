"""Commands about what is stored: status, verify, report, delete."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..core.config import SourceConfig, StoreConfig
from .console import Exit, commands, emit, emit_json, emit_table, notes
from .options import (
    DEFAULT_COLLECTION,
    DEFAULT_PAGE_MEMORY,
    DEFAULT_PAGE_TIMEOUT,
    DEFAULT_STORE,
    ApiKeyOption,
    CollectionOption,
    GrpcOption,
    JournalOption,
    JsonOption,
    PageMemoryOption,
    PageTimeoutOption,
    PasswordOption,
    QdrantOption,
    TenantOption,
    WaitOption,
    work_limits,
)

__all__ = ["delete", "report", "status", "verify"]


def _config(
    place: str,
    collection: str,
    api_key: str | None,
    tenant: str | None,
    grpc: bool,
    wait: float,
    journal: str = "auto",
) -> StoreConfig:
    return StoreConfig(
        place,
        collection,
        api_key,
        tenant=tenant,
        prefer_grpc=grpc,
        wait=wait,
        journal=journal,
    )


def status(
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    tenant: TenantOption = None,
    grpc: GrpcOption = False,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """List the documents that are stored."""
    with commands(as_json):
        from ..assembly import open_store

        with open_store(_config(qdrant, collection, api_key, tenant, grpc, wait)) as store:
            documents = store.documents()
            points = store.count()
        if as_json:
            emit_json({"documents": [asdict(d) for d in documents], "points": points})
            return
        emit_table(
            ("document", "pages", "points", "path"),
            [(d.file_name, d.pages, d.points, d.file_path) for d in documents],
        )
        notes.print(f"{len(documents)} documents, {points} points in {qdrant}", markup=False)


def delete(
    document: Annotated[str, typer.Argument(help="File path, file name or document id.")],
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    tenant: TenantOption = None,
    grpc: GrpcOption = False,
    wait: WaitOption = 0,
    journal: JournalOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Remove a document's chunks from the store."""
    with commands(as_json):
        from ..maintenance.maintenance import delete_document

        config = _config(qdrant, collection, api_key, tenant, grpc, wait, journal)
        documents, points = delete_document(document, config)
        if as_json:
            emit_json({"documents": documents, "points_deleted": points})
        notes.print(f"{documents} documents, {points} points deleted", markup=False)
    raise SystemExit(Exit.OK if points else Exit.FAILED)


def verify(
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    api_key: ApiKeyOption = None,
    tenant: TenantOption = None,
    grpc: GrpcOption = False,
    wait: WaitOption = 0,
    journal: JournalOption = "auto",
    clean: Annotated[
        bool, typer.Option("--clean", help="Delete what interrupted runs left behind.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare what is stored with itself, the files and the journal; 3 if something is wrong."""
    with commands(as_json):
        from ..assembly import open_store
        from ..maintenance.maintenance import clean_store, verify_store

        config = _config(qdrant, collection, api_key, tenant, grpc, wait, journal)
        with open_store(config) as store:
            deleted, forgotten = clean_store(store, config) if clean else (0, 0)
            found = verify_store(store, config)
        if as_json:
            done = {"points_deleted": deleted, "documents_forgotten": forgotten}
            emit_json({**asdict(found), **done})
        else:
            for problem in found.problems:
                emit(f"{problem.file}: {problem.kind}: {problem.detail}")
            notes.print(
                f"{found.documents} documents, {found.points} points, {len(found.problems)}"
                f" problems, {deleted} points deleted, {forgotten} begun documents removed",
                markup=False,
            )
    raise SystemExit(Exit.PARTIAL if found.problems else Exit.OK)


def report(
    output: Annotated[Path, typer.Argument(help="HTML file to write.")],
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    tenant: TenantOption = None,
    journal: JournalOption = "auto",
    password: PasswordOption = None,
    page_timeout: PageTimeoutOption = DEFAULT_PAGE_TIMEOUT,
    page_memory: PageMemoryOption = DEFAULT_PAGE_MEMORY,
    as_json: JsonOption = False,
) -> None:
    """Show which pages of stored documents failed or are doubtful, as pictures.

    As the journal has it: files of which no page could be read are not in it. Pictures are drawn
    from the files that are still there and are as they were.
    """
    with commands(as_json):
        from ..reports.journal import report_journal

        config = _config(qdrant, collection, None, tenant, False, 0, journal)
        limits = work_limits(page_timeout, page_memory)
        counts = report_journal(config, output, SourceConfig(password), limits)
        if as_json:
            emit_json(counts)
        notes.print(
            f"{counts['documents']} documents, {counts['pages']} pages, {counts['failed_pages']}"
            f" failed, {counts['doubtful_pages']} doubtful: {output}",
            markup=False,
            soft_wrap=True,
        )
