"""The commands about the store: status, verify, report, delete."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..core.config import SourceConfig, StoreConfig
from ..core.errors import ConfigError
from ..core.flags import flag_list
from .console import Exit, commands, emit, emit_json, emit_table, note
from .options import (
    DEFAULT_COLLECTION,
    DEFAULT_STORE,
    CollectionOption,
    JournalOption,
    JsonOption,
    LimitOptions,
    PasswordOption,
    QdrantOption,
    StoreOptions,
    TenantOption,
    grouped,
    run_option,
)

__all__ = ["delete", "report", "status", "verify_collection"]


@grouped
def status(*, store: StoreOptions, as_json: JsonOption = False) -> None:
    """List the stored documents."""
    with commands(as_json):
        from ..assembly import open_store

        with open_store(store.config()) as opened:
            documents = opened.documents()
            points = opened.count()
        if as_json:
            emit_json({"documents": [asdict(one) for one in documents], "points": points})
            return
        emit_table(
            ("document", "pages", "points", "path"),
            [(one.file_name, one.pages, one.points, one.file_path) for one in documents],
        )
        note(f"{len(documents)} documents, {points} points in {store.qdrant}")


@grouped
def delete(
    document: Annotated[str, typer.Argument(help="File path, file name or document id.")],
    *,
    store: StoreOptions,
    journal: JournalOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Delete a document from the store and the journal."""
    with commands(as_json):
        from ..maintenance.maintenance import delete_document

        documents, points = delete_document(document, store.config(journal))
        if as_json:
            emit_json({"documents": documents, "points_deleted": points})
        note(f"{documents} documents, {points} points deleted")
    raise SystemExit(Exit.OK if points else Exit.FAILED)


@grouped
def verify_collection(
    *,
    store: StoreOptions,
    journal: JournalOption = "auto",
    clean: Annotated[
        bool, run_option("--clean", help="Delete what interrupted runs left behind.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the stored points with each other, with the files and with the journal.

    The exit code is 3 if there are problems.
    """
    with commands(as_json):
        from ..assembly import open_store
        from ..maintenance.maintenance import clean_store, verify_store

        config = store.config(journal)
        with open_store(config) as opened:
            deleted, forgotten = clean_store(opened, config) if clean else (0, 0)
            found = verify_store(opened, config)
        if as_json:
            cleaned = {"points_deleted": deleted, "documents_forgotten": forgotten}
            emit_json({**asdict(found), **cleaned})
        else:
            for problem in found.problems:
                emit(f"{problem.file}: {problem.kind}: {problem.detail}")
            note(
                f"{found.documents} documents, {found.points} points, {len(found.problems)}"
                f" problems, {deleted} points deleted, {forgotten} begun documents removed"
            )
    raise SystemExit(Exit.PARTIAL if found.problems else Exit.OK)


@grouped
def report(
    output: Annotated[Path, typer.Argument(help="HTML file to write.")],
    *,
    qdrant: QdrantOption = DEFAULT_STORE,
    collection: CollectionOption = DEFAULT_COLLECTION,
    tenant: TenantOption = None,
    journal: JournalOption = "auto",
    password: PasswordOption = None,
    limits: LimitOptions,
    as_json: JsonOption = False,
) -> None:
    """Write an HTML report of failed and doubtful pages, from the journal.

    The journal does not record files without a single readable page. A page is shown as a picture
    if its file is still there and unchanged.
    """
    with commands(as_json):
        from ..assembly import open_journal
        from ..reports.journal import report_journal

        opened = open_journal(StoreConfig(qdrant, collection, tenant=tenant, journal=journal))
        if opened is None:
            raise ConfigError(
                f"{qdrant} has no journal of collection {collection!r}: ingest first, or give"
                " --journal and --tenant as for that ingest"
            )
        with opened:
            counts = report_journal(opened, output, SourceConfig(password), limits.config())
        if as_json:
            emit_json(counts)
        if counts["flags"]:
            note(f"flagged pages: {flag_list(counts['flags'])}")
        note(
            f"{counts['documents']} documents, {counts['pages']} pages, {counts['failed_pages']}"
            f" failed, {counts['doubtful_pages']} doubtful: {output}"
        )
