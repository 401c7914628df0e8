"""Commands about stored vision tokens: cache stats, ls, verify, gc, rm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.config import TokenCacheConfig
from .console import Exit, commands, emit, emit_json, emit_table
from .options import DEFAULT_TOKENS

if TYPE_CHECKING:
    from ..token_cache.cache import TokenCache

__all__ = ["TokensOption", "app", "open_tokens"]

app = typer.Typer(no_args_is_help=True, help="Stored vision tokens of pages.")

TokensOption = Annotated[
    str,
    typer.Option(
        help="Folder or URL (s3://...) of stored vision tokens.", envvar="OPTICALRAG_TOKENS"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
DocumentArgument = Annotated[str, typer.Argument(help="File path, file name or document id.")]


@contextmanager
def open_tokens(location: str) -> Iterator[TokenCache]:
    """The cache at a place that must exist: looking must not make an empty one."""
    from ..core.errors import CacheMiss
    from ..token_cache.cache import TokenCache

    if "://" not in location and not Path(location).is_dir():
        raise CacheMiss(f"there are no vision tokens at {location}: ingest with deepseek-ocr first")
    with TokenCache(TokenCacheConfig(location)) as cache:
        yield cache


@app.command()
def stats(tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False) -> None:
    """Say how much is kept."""
    with commands(as_json), open_tokens(tokens) as cache:
        totals = cache.totals()
        if as_json:
            emit_json({**asdict(totals), "quota": cache.config.quota, "location": tokens})
            return
        emit(
            f"{totals.pages} pages of {totals.documents} documents in {totals.entries} entries,"
            f" {totals.bytes / 1e6:,.1f} MB of {cache.config.quota / 1e6:,.0f} MB"
        )


@app.command("ls")
def list_pages(
    document: Annotated[str | None, typer.Argument(help="Only this document.")] = None,
    tokens: TokensOption = DEFAULT_TOKENS,
    as_json: JsonOption = False,
) -> None:
    """List the pages that can be decoded again."""
    with commands(as_json), open_tokens(tokens) as cache:
        pages = cache.pages(document)
        if as_json:
            rows = [{**asdict(p), "page": p.page + 1} for p in pages]
            emit_json({"pages": rows})
            return
        emit_table(
            ("document", "page", "mode", "codec", "bytes", "weights"),
            [(p.file, p.page + 1, p.mode, p.codec, f"{p.bytes:,}", p.weights) for p in pages],
        )


@app.command()
def verify(tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False) -> None:
    """Read every entry; what is damaged is removed and will be made again."""
    with commands(as_json), open_tokens(tokens) as cache:
        check = cache.verify()
        if as_json:
            emit_json(asdict(check))
        else:
            emit(
                f"{check.entries} entries: {len(check.damaged)} damaged, {len(check.missing)}"
                f" missing, {len(check.unreadable)} not readable, {len(check.adopted)} were not in"
                " the index"
            )
    bad = check.damaged or check.missing or check.unreadable
    raise SystemExit(Exit.PARTIAL if bad else Exit.OK)


@app.command()
def gc(
    tokens: TokensOption = DEFAULT_TOKENS,
    quota: Annotated[
        int | None, typer.Option(min=0, help="Bytes to leave; default: the quota of the cache.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what was not used for longest, and what was left unfinished."""
    with commands(as_json), open_tokens(tokens) as cache:
        removed = cache.collect(quota)
        if as_json:
            emit_json({"removed": removed, **asdict(cache.totals())})
        else:
            emit(f"{removed} entries removed, {cache.totals().bytes:,} bytes left")


@app.command("rm")
def remove(
    document: DocumentArgument, tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False
) -> None:
    """Delete a document's tokens; what other documents have, too, stays."""
    with commands(as_json), open_tokens(tokens) as cache:
        removed = cache.delete(document)
        if as_json:
            emit_json({"removed": removed, **asdict(cache.totals())})
        else:
            emit(f"{removed} entries removed, {cache.totals().bytes:,} bytes left")
