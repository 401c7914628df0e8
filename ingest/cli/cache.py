"""The ``cache`` commands: inspect and clean the vision-token cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.config import TokenCacheConfig
from .console import Exit, commands, emit, emit_json, emit_table
from .options import DEFAULT_TOKENS, JsonOption, TokensOption

if TYPE_CHECKING:
    from ..token_cache.cache import TokenCache

__all__ = ["app", "open_tokens"]

app = typer.Typer(no_args_is_help=True, help="Inspect and clean the vision-token cache.")

DocumentArgument = Annotated[str, typer.Argument(help="File path, file name or document id.")]


@contextmanager
def open_tokens(location: str) -> Iterator[TokenCache]:
    """Open an existing cache. A missing folder is an error: reading must not create a cache."""
    from ..core.errors import CacheMiss
    from ..token_cache.cache import TokenCache

    if "://" not in location and not Path(location).is_dir():
        raise CacheMiss(f"no token cache at {location}: ingest with deepseek-ocr first")
    with TokenCache(TokenCacheConfig(location)) as cache:
        yield cache


@app.command()
def stats(tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False) -> None:
    """Show how many pages and bytes are cached."""
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
    document: Annotated[str | None, typer.Argument(help="List only this document.")] = None,
    tokens: TokensOption = DEFAULT_TOKENS,
    as_json: JsonOption = False,
) -> None:
    """List the cached pages, which redecode can read again."""
    with commands(as_json), open_tokens(tokens) as cache:
        pages = cache.pages(document)
        if as_json:
            emit_json({"pages": [{**asdict(p), "page": p.page + 1} for p in pages]})
            return
        emit_table(
            ("document", "page", "mode", "codec", "bytes", "weights"),
            [(p.file, p.page + 1, p.mode, p.codec, f"{p.bytes:,}", p.weights) for p in pages],
        )


@app.command("verify")
def verify_entries(tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False) -> None:
    """Read every entry and remove damaged ones; the next ingest creates them again."""
    with commands(as_json), open_tokens(tokens) as cache:
        check = cache.verify()
        if as_json:
            emit_json(asdict(check))
        else:
            emit(
                f"{check.entries} entries: {len(check.damaged)} damaged, {len(check.missing)}"
                f" missing, {len(check.unreadable)} unreadable, {len(check.adopted)} added to the"
                " index"
            )
    bad = check.damaged or check.missing or check.unreadable
    raise SystemExit(Exit.PARTIAL if bad else Exit.OK)


@app.command()
def gc(
    tokens: TokensOption = DEFAULT_TOKENS,
    quota: Annotated[
        int | None, typer.Option(min=0, help="Bytes to keep at most; default: the cache's quota.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the least recently used entries, and unfinished files."""
    with commands(as_json), open_tokens(tokens) as cache:
        _emit_removed(cache.collect(quota), cache, as_json)


@app.command("rm")
def remove(
    document: DocumentArgument, tokens: TokensOption = DEFAULT_TOKENS, as_json: JsonOption = False
) -> None:
    """Delete a document's tokens; entries shared with other documents stay."""
    with commands(as_json), open_tokens(tokens) as cache:
        _emit_removed(cache.delete(document), cache, as_json)


def _emit_removed(removed: int, cache: TokenCache, as_json: bool) -> None:
    totals = cache.totals()
    if as_json:
        emit_json({"removed": removed, **asdict(totals)})
    else:
        emit(f"{removed} entries removed, {totals.bytes:,} bytes left")
