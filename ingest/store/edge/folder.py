"""Reads and writes the files of embedded collections, except the engine's own.

``<store>/edge/<collection>`` contains ``about.json`` (vectors and metadata) and the engine's
``shard``; ``<store>/edge/aliases.json`` contains the aliases. Folders have mode 0700 and files
0600. Everything read is checked, because it may come from someone else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from qdrant_client import models

from ...core.errors import OpticalRagError, StoreDamaged, StoreError, StoreLocked, StoreUnavailable

__all__ = [
    "DOOMED",
    "UNFINISHED",
    "CollectionSpec",
    "allocated",
    "check_folder",
    "check_room",
    "damaged",
    "engine_errors",
    "holes",
    "is_collection_name",
    "make_private",
    "read_aliases",
    "read_spec",
    "remove_folder",
    "remove_leftovers",
    "write_aliases",
    "write_spec",
]

# Name prefixes of collections being created and deleted. No collection can have such a name.
UNFINISHED: Final = "~made~"
DOOMED: Final = "~doomed~"
_ABOUT: Final = "about.json"
_ALIASES: Final = "aliases.json"
_MOST_BYTES: Final = 1024**2  # of either JSON file; ours have hundreds of bytes
_FORMAT: Final = 1
_IN_USE: Final = "Kind(WouldBlock)"  # in the engine's error if another process has its log open
_NAME: Final = re.compile(r"(?!\.+$)[\w.-]+")
_MOST_NAME_BYTES: Final = 200  # file systems allow 255, including the prefixes above
_BLOCK_UNIT: Final = 512  # bytes per unit of st_blocks


class CollectionSpec(BaseModel, frozen=True):
    """Vectors and metadata of a collection."""

    vectors: dict[str, models.VectorParams]
    sparse_vectors: dict[str, models.SparseVectorParams]
    metadata: dict[str, Any]


def is_collection_name(name: str) -> bool:
    """Whether a collection can have this name, which is also the name of its folder."""
    return (
        _NAME.fullmatch(name) is not None
        and len(name.encode()) <= _MOST_NAME_BYTES
        and name.casefold() != _ALIASES  # also on file systems that ignore case
    )


def write_spec(folder: Path, spec: CollectionSpec) -> None:
    """Write the vectors and metadata of a collection."""
    values = spec.model_dump(mode="json", exclude_none=True)
    _write_json(folder / _ABOUT, {"format": _FORMAT, **values, "metadata": spec.metadata})


def read_spec(folder: Path) -> CollectionSpec:
    """Read the vectors and metadata of a collection.

    Raises:
        StoreDamaged: the file is missing or invalid.
    """
    path = folder / _ABOUT
    values = _read_json(path)
    if values.get("format") != _FORMAT:
        raise damaged(path, f"format {values.get('format')!r:.40}, expected {_FORMAT}")
    try:
        return CollectionSpec.model_validate(values)
    except ValidationError as error:
        raise damaged(path, str(error).replace("\n", " ")[:200]) from error


def write_aliases(root: Path, aliases: Mapping[str, str]) -> None:
    """Replace all aliases at once: a reader sees either the old ones or the new ones."""
    _write_json(root / _ALIASES, dict(aliases))


def read_aliases(root: Path) -> dict[str, str]:
    """Return the collections by alias.

    Raises:
        StoreDamaged: the file is invalid.
    """
    path = root / _ALIASES
    if not path.exists():
        return {}
    values = _read_json(path)
    names = [*values, *values.values()]
    wrong = [n for n in names if not (isinstance(n, str) and is_collection_name(n))]
    if wrong:  # a path could lead out of the store
        raise damaged(path, f"invalid collection name {wrong[0]!r:.80}")
    return values


def check_folder(folder: Path) -> None:
    """Check that a collection's folder contains only folders and regular files.

    Raises:
        StoreDamaged: it is or contains a link, a pipe (which would block forever), or the like.
    """
    inside = (Path(at) / name for at, *named in os.walk(folder) for part in named for name in part)
    for path in (folder, *inside):
        if not (stat.S_ISDIR(mode := path.lstat().st_mode) or stat.S_ISREG(mode)):
            raise damaged(path, "neither a folder nor a regular file")


def remove_folder(folder: Path) -> None:
    """Remove a folder if it exists; if it is a link, remove only the link."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def remove_leftovers(root: Path) -> None:
    """Remove collections that a crash left unfinished or partly deleted."""
    for mark in (UNFINISHED, DOOMED):
        for left in root.glob(f"{mark}*"):
            remove_folder(left)


def make_private(folder: Path) -> None:
    """Let only the owner read a folder and everything in it; do not follow links."""
    for inner, _, files in os.walk(folder):
        Path(inner).chmod(0o700)
        for path in (Path(inner) / name for name in files):
            if not path.is_symlink():
                path.chmod(0o600)


def allocated(folder: Path) -> int:
    """Return the bytes that the files in a folder occupy on the disk."""
    return sum(_BLOCK_UNIT * one.st_blocks for one in _states(folder))


def holes(folder: Path) -> int:
    """Return the bytes that the files in a folder may still occupy without growing."""
    return sum(max(0, one.st_size - _BLOCK_UNIT * one.st_blocks) for one in _states(folder))


def check_room(folder: Path, needed: int) -> None:
    """Check that the disk of a folder has this many bytes free.

    The engine writes to mapped memory: on a full disk, the operating system kills the process.

    Raises:
        StoreUnavailable: fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreUnavailable(
            f"the disk of {folder} has {free:,} bytes free, but the embedded engine may need"
            f" {needed:,}: make room, or use another location"
        )


@contextmanager
def engine_errors(folder: object, raised: type[StoreError] = StoreError) -> Iterator[None]:
    """Turn errors of qdrant-edge, which are plain exceptions and Rust panics, into ours.

    Raises:
        StoreLocked: another process has the folder open.
        StoreError: ``raised``, for every other error.
    """
    try:
        yield
    except OpticalRagError:
        raise
    except BaseException as error:
        # The class of Rust's panics is not an Exception and cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if _IN_USE in str(error):
            raise StoreLocked.of(folder) from error
        raise raised(f"the embedded engine at {folder} failed: {error}") from error


def _states(folder: Path) -> Iterator[os.stat_result]:
    for inner, _, files in os.walk(folder):
        yield from ((Path(inner) / name).lstat() for name in files)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    unfinished = path.with_name(f"~{path.name}")
    with unfinished.open("w", encoding="utf-8") as file:
        unfinished.chmod(0o600)
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would block forever
            raise damaged(path, "not a regular file")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise damaged(path, str(error)) from error
    if len(raw) > _MOST_BYTES:
        raise damaged(path, f"more than {_MOST_BYTES:,} bytes")
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)[:200]) from error
    if not isinstance(values, dict):
        raise damaged(path, f"a {type(values).__name__} instead of an object")
    return values


def damaged(path: Path, why: str) -> StoreDamaged:
    """Return the error for a damaged file of a store."""
    return StoreDamaged(
        f"{path} is damaged ({why}): restore a copy of the store, or ingest into a new folder"
    )
