"""A document's vision tokens as one file, to take to another machine.

A zip archive without compression: ``manifest.json`` says which entry is of which page, the
entries are the files of the cache. Nothing in it is unpacked to a path of its own choosing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import struct
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..core.errors import CacheCorrupt, CacheError, CacheMiss, ConfigError
from ..core.records import DocumentRef, PageRef
from .cache import TokenCache
from .index import StoredPage

__all__ = ["Export", "export_document", "import_document"]

_log = logging.getLogger(__name__)

_MANIFEST: Final = "manifest.json"
_VERSION: Final = 1
_MANIFEST_LIMIT: Final = 64 * 1024**2
_ENTRY_LIMIT: Final = 64 * 1024**2  # the widest page in float32 has 6 MB
_NUMBER_LIMIT: Final = 2**31  # of pages; the index counts in 64 bits
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_BROKEN: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,  # names that are no text
    OverflowError,
    struct.error,
)
"""What zipfile raises on archives that are none."""


@dataclass(frozen=True, slots=True)
class Export:
    """How many pages an export holds, and how many entries it lacks because they are damaged."""

    pages: int
    skipped: int


def export_document(cache: TokenCache, document: str, target: Path) -> Export:
    """Write a document's tokens to one file, readable by its owner only.

    Damaged entries are left out with a warning.

    Args:
        cache: where they are.
        document: id, path or file name.
        target: the file; it appears when it is whole.

    Raises:
        ConfigError: the target is a folder.
        CacheMiss: nothing of the document is kept, or nothing whole.
        CacheError: the file cannot be written.
    """
    pages = cache.pages(document)
    if not pages:
        raise CacheMiss(f"no vision tokens of {document} are kept; ingest it with deepseek-ocr")
    try:
        if target.is_dir():
            raise ConfigError(f"{target} is a folder; name the file to write")
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            unfinished.touch(mode=0o600, exist_ok=False)
            export = _write(cache, pages, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(f"{target} cannot be written: {error}") from error
    return export


def _write(cache: TokenCache, pages: list[StoredPage], target: Path) -> Export:
    names = sorted({page.name for page in pages})
    written = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            if data := _whole(cache, name):
                archive.writestr(name, data)
                written.add(name)
        there = [page for page in pages if page.name in written]
        if not there:
            raise CacheMiss("no whole entry of it is left; ingest it again")
        archive.writestr(_MANIFEST, json.dumps(_manifest(there), ensure_ascii=False))
    return Export(len({(page.document, page.page) for page in there}), len(names) - len(written))


def _whole(cache: TokenCache, name: str) -> bytes:
    try:
        return cache.read_file(name)
    except CacheError as error:
        _log.warning("the vision tokens %s are left out: %s", name[:12], error)
        return b""


def _manifest(pages: list[StoredPage]) -> dict[str, Any]:
    rows = [{"name": page.name, "index": page.page, **_facts(page.ref)} for page in pages]
    return {"version": _VERSION, "pages": rows}


def _facts(ref: PageRef) -> dict[str, Any]:
    return {"label": ref.label, "document": asdict(ref.document)}


def import_document(cache: TokenCache, source: Path) -> int:
    """Take in what :func:`export_document` wrote.

    Every entry is read and compared with its name before it is kept. As ever, the cache keeps to
    its quota.

    Returns:
        How many pages were in it.

    Raises:
        CacheCorrupt: it is no such file, or damaged.
        CacheError: it cannot be read, or its entries cannot be kept.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            pages = _read_manifest(archive)
            for name, ref in pages:
                cache.add_file(name, _read(archive, name, _ENTRY_LIMIT), ref)
            return len({(ref.document.id, ref.index) for _, ref in pages})
    except _BROKEN as error:
        raise CacheCorrupt(f"{source} is no export of vision tokens: {error}") from error
    except OSError as error:
        raise CacheError(f"{source} cannot be read: {error}") from error


def _read_manifest(archive: zipfile.ZipFile) -> list[tuple[str, PageRef]]:
    try:
        manifest = json.loads(_read(archive, _MANIFEST, _MANIFEST_LIMIT))
        if manifest["version"] != _VERSION:
            raise CacheCorrupt(f"the export has version {manifest['version']!r:.40}")
        return [_page(row) for row in manifest["pages"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CacheCorrupt(f"the export's manifest cannot be read: {error!r:.200}") from error


def _page(row: dict[str, Any]) -> tuple[str, PageRef]:
    name, index, ref = row["name"], row["index"], DocumentRef(**row["document"])
    for text in (name, row["label"], ref.id, ref.sha256, ref.name, ref.uri):
        text.encode()  # what is no text, or has lone surrogates, is refused by the caller
    if not _NAME.fullmatch(name):
        raise CacheCorrupt(f"the export names an entry wrongly: {name!r:.80}")
    if not all(type(n) is int and 0 <= n < _NUMBER_LIMIT for n in (index, ref.page_count)):
        raise CacheCorrupt(f"the export numbers a page {index!r:.40} of {ref.page_count!r:.40}")
    return name, PageRef(ref, index, row["label"])


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise CacheCorrupt(f"the export lacks {name}") from error
    # A compressed entry could be a bomb; ours never are.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
        raise CacheCorrupt(
            f"the export's entry {name:.80} is compressed, or has more than {limit:,} bytes"
        )
    return archive.read(info)
