"""A document's vision tokens as one file, to take to another machine.

A zip archive without compression: ``manifest.json`` says which entry is of which page, the
entries are the files of the cache. Nothing in it is unpacked to a path of its own choosing.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from .errors import CacheCorrupt, CacheError, CacheMiss
from .token_cache import TokenCache
from .token_index import StoredPage
from .types import DocumentRef, PageRef

__all__ = ["export_document", "import_document"]

_MANIFEST: Final = "manifest.json"
_VERSION: Final = 1
_MANIFEST_LIMIT: Final = 64 * 1024**2
_ENTRY_LIMIT: Final = 64 * 1024**2  # the widest page in float32 has 6 MB
_NAME: Final = re.compile(r"[0-9a-f]{64}")


def export_document(cache: TokenCache, document: str, target: Path) -> int:
    """Write a document's tokens to one file.

    Args:
        cache: where they are.
        document: id, path or file name.
        target: the file; it appears when it is whole.

    Returns:
        How many pages are in it.

    Raises:
        CacheMiss: nothing of the document is kept.
        CacheError: the file cannot be written.
    """
    pages = cache.pages(document)
    if not pages:
        raise CacheMiss(f"no vision tokens of {document} are kept; ingest it with deepseek-ocr")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "x", zipfile.ZIP_STORED) as archive:
            for name in sorted({page.name for page in pages}):
                archive.writestr(name, cache.read_file(name))
            archive.writestr(_MANIFEST, json.dumps(_manifest(pages), ensure_ascii=False))
        unfinished.replace(target)
    except OSError as error:
        raise CacheError(f"{target} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return len(pages)


def _manifest(pages: list[StoredPage]) -> dict[str, Any]:
    rows = [{"name": page.name, "index": page.page, **_facts(page.ref)} for page in pages]
    return {"version": _VERSION, "pages": rows}


def _facts(ref: PageRef) -> dict[str, Any]:
    return {"label": ref.label, "document": asdict(ref.document)}


def import_document(cache: TokenCache, source: Path) -> int:
    """Take in what :func:`export_document` wrote.

    Every entry is read and compared with its name before it is kept.

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
            return len(pages)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise CacheCorrupt(f"{source} is no export of vision tokens: {error}") from error
    except OSError as error:
        raise CacheError(f"{source} cannot be read: {error}") from error


def _read_manifest(archive: zipfile.ZipFile) -> list[tuple[str, PageRef]]:
    try:
        manifest = json.loads(_read(archive, _MANIFEST, _MANIFEST_LIMIT))
        if manifest["version"] != _VERSION:
            raise CacheCorrupt(f"the export has version {manifest['version']!r:.40}")
        return [_page(row) for row in manifest["pages"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CacheCorrupt(f"the export's manifest cannot be read: {error!r:.200}") from error


def _page(row: dict[str, Any]) -> tuple[str, PageRef]:
    name, index, ref = row["name"], row["index"], DocumentRef(**row["document"])
    texts = (name, row["label"], ref.id, ref.sha256, ref.name, ref.uri)
    if not all(isinstance(text, str) for text in texts) or not _NAME.fullmatch(name):
        raise CacheCorrupt(f"the export names an entry wrongly: {name!r:.80}")
    if type(index) is not int or index < 0 or type(ref.page_count) is not int:
        raise CacheCorrupt(f"the export numbers a page {index!r:.40}")
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
