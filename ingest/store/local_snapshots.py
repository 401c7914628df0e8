"""Copies of collections of the client's local mode, which makes none itself.

A copy holds the collection's database and its entry in ``meta.json``. Copying reads the database
through SQLite, so that it is consistent; restoring needs the folder to be closed.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from ..core.errors import StoreDamaged, StoreError

__all__ = ["copy_collection", "restore_collection", "snapshot_names"]

_META: Final = "meta.json"
_COLLECTIONS: Final = "collection"
_DATABASE: Final = "storage.sqlite"
_SNAPSHOTS: Final = "snapshots"


def copy_collection(folder: Path, collection: str) -> str:
    """Copy a collection and return the copy's name.

    Raises:
        StoreError: there is no such collection.
    """
    meta = _meta(folder)
    collection = meta.get("aliases", {}).get(collection, collection)
    config = meta["collections"].get(collection)
    if config is None:
        raise StoreError(f"there is no collection {collection!r} in {folder}")
    made = datetime.now(timezone.utc)
    name = f"{collection}-{made:%Y-%m-%d-%H-%M-%S-%f}"
    place = folder / _SNAPSHOTS / collection
    unfinished = place / f"~{name}"
    for part in (folder / _SNAPSHOTS, place, unfinished):
        part.mkdir(mode=0o700, exist_ok=True)
    _copy_database(folder / _COLLECTIONS / collection / _DATABASE, unfinished / _DATABASE)
    (unfinished / _META).write_text(json.dumps(config), encoding="utf-8")
    unfinished.rename(place / name)
    return name


def snapshot_names(folder: Path, collection: str) -> list[str]:
    """Names of the copies of a collection, oldest first."""
    place = folder / _SNAPSHOTS / _meta(folder).get("aliases", {}).get(collection, collection)
    return sorted(one.name for one in place.glob("[!~]*")) if place.is_dir() else []


def restore_collection(folder: Path, collection: str, name: str) -> None:
    """Put a copy in the place of a collection; nothing may have the folder open.

    Raises:
        StoreError: there is no such copy.
    """
    meta = _meta(folder)
    collection = meta.get("aliases", {}).get(collection, collection)
    source = folder / _SNAPSHOTS / collection / name
    if name not in snapshot_names(folder, collection):
        raise StoreError(f"{collection!r} has no snapshot {name!r}; see list_snapshots()")
    target = folder / _COLLECTIONS / collection
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = target / f"~{_DATABASE}"
    unfinished.unlink(missing_ok=True)
    _copy_database(source / _DATABASE, unfinished)
    unfinished.replace(target / _DATABASE)
    meta["collections"][collection] = _read(source / _META)
    changed = folder / f"~{_META}"
    changed.write_text(json.dumps(meta), encoding="utf-8")
    changed.replace(folder / _META)


def _copy_database(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as stored,
            closing(sqlite3.connect(target)) as copy,
        ):
            stored.backup(copy)
    except sqlite3.Error as error:
        raise StoreDamaged(f"{source} cannot be copied: {error}") from error
    target.chmod(0o600)


def _meta(folder: Path) -> dict[str, Any]:
    meta = _read(folder / _META)
    if not isinstance(meta.get("collections"), dict):
        raise StoreDamaged(f"{folder / _META} names no collections")
    return meta


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise StoreDamaged(f"{path} holds no object")
    return values
