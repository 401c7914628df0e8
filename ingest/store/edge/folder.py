"""What an embedded collection is on disk, outside the engine's own files.

``<store>/edge/<collection>`` holds ``about.json`` (vectors and metadata) and ``shard`` (the
engine's); ``<store>/edge/aliases.json`` other names of collections. Folders are 0700 and files
0600. Whatever is read is checked: somebody else may have written it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from qdrant_client import models

from ...core.errors import OpticalRagError, StoreDamaged, StoreError, StoreLocked, StoreUnavailable

__all__ = [
    "DOOMED",
    "MADE",
    "About",
    "allocated",
    "check_folder",
    "check_room",
    "engine_errors",
    "holes",
    "is_collection_name",
    "make_private",
    "read_about",
    "read_aliases",
    "remove_folder",
    "remove_leftovers",
    "write_about",
    "write_aliases",
]

# Marks of a collection that is not finished, and of one that is being deleted. No collection has
# such a name.
MADE: Final = "~made~"
DOOMED: Final = "~doomed~"
_ABOUT: Final = "about.json"
_ALIASES: Final = "aliases.json"
_MOST_BYTES: Final = 1024**2  # of either; ours take hundreds
_FORMAT: Final = 1
_IN_USE: Final = "Kind(WouldBlock)"  # what the engine says of a log that another process has
_NAME: Final = re.compile(r"(?!\.+$)[\w.-]+")
# Bytes of a name: a file system takes 255, of which the marks need some.
_MOST_OF_NAME: Final = 200
_BLOCK_UNIT: Final = 512  # bytes that st_blocks counts in


@dataclass(frozen=True, slots=True)
class About:
    """What a collection was made for."""

    vectors: Mapping[str, models.VectorParams]
    sparse_vectors: Mapping[str, models.SparseVectorParams]
    metadata: Mapping[str, Any]


def is_collection_name(name: str) -> bool:
    """Whether a collection can have this name: it is a folder's, beside files of ours."""
    return (
        _NAME.fullmatch(name) is not None
        and len(name.encode()) <= _MOST_OF_NAME
        and name.casefold() != _ALIASES  # as file systems that know no case see it
    )


def write_about(folder: Path, about: About) -> None:
    """Write down what a collection was made for."""
    values = {
        "format": _FORMAT,
        "vectors": _dumped(about.vectors),
        "sparse_vectors": _dumped(about.sparse_vectors),
        "metadata": dict(about.metadata),
    }
    _write_json(folder / _ABOUT, values)


def read_about(folder: Path) -> About:
    """What a collection was made for.

    Raises:
        StoreDamaged: it does not say so.
    """
    path = folder / _ABOUT
    values = _read_json(path)
    if values.get("format") != _FORMAT:
        raise _damaged(path, f"its format is {values.get('format')!r:.40}, not {_FORMAT}")
    parts: list[Any] = [values.get(key) for key in ("vectors", "sparse_vectors", "metadata")]
    if not all(isinstance(part, dict) for part in parts):
        raise _damaged(path, "it does not name vectors and metadata")
    dense, sparse, metadata = parts
    try:
        return About(
            {name: models.VectorParams.model_validate(v) for name, v in dense.items()},
            {name: models.SparseVectorParams.model_validate(v) for name, v in sparse.items()},
            metadata,
        )
    except ValidationError as error:
        raise _damaged(path, str(error).replace("\n", " ")[:200]) from error


def write_aliases(root: Path, aliases: Mapping[str, str]) -> None:
    """Replace all aliases at once: who reads sees the old ones or the new ones."""
    _write_json(root / _ALIASES, dict(aliases))


def read_aliases(root: Path) -> dict[str, str]:
    """Collections by alias.

    Raises:
        StoreDamaged: the file is not one of ours.
    """
    path = root / _ALIASES
    if not path.exists():
        return {}
    values = _read_json(path)
    names = [*values, *values.values()]
    wrong = [n for n in names if not (isinstance(n, str) and is_collection_name(n))]
    if wrong:  # a path would lead out of the store
        raise _damaged(path, f"no collection can be called {wrong[0]!r:.80}")
    return values


def check_folder(folder: Path) -> None:
    """Refuse a collection's folder that holds more than folders and regular files.

    Raises:
        StoreDamaged: it is a link, or there is one in it, or what would be waited for forever.
    """
    inside = (Path(at) / name for at, *named in os.walk(folder) for part in named for name in part)
    for path in (folder, *inside):
        if not (stat.S_ISDIR(mode := path.lstat().st_mode) or stat.S_ISREG(mode)):
            raise _damaged(path, "it is neither a folder nor a regular file")


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there; of a link, only the link."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def remove_leftovers(root: Path) -> None:
    """Remove collections that a crash left unfinished or half deleted."""
    for mark in (MADE, DOOMED):
        for left in root.glob(f"{mark}*"):
            remove_folder(left)


def make_private(folder: Path) -> None:
    """Let only the owner read a folder and all in it; what links lead to is left alone."""
    for place, _, files in os.walk(folder):
        Path(place).chmod(0o700)
        for path in (Path(place) / name for name in files):
            if not path.is_symlink():
                path.chmod(0o600)


def allocated(folder: Path) -> int:
    """Bytes of the disk that the files in a folder take."""
    return sum(_BLOCK_UNIT * one.st_blocks for one in _states(folder))


def holes(folder: Path) -> int:
    """Bytes that the files in a folder may still take without growing."""
    return sum(max(0, one.st_size - _BLOCK_UNIT * one.st_blocks) for one in _states(folder))


def check_room(folder: Path, needed: int) -> None:
    """Refuse what may fill the disk.

    The engine writes to mapped memory: where the disk has no room, the system ends the process.

    Raises:
        StoreUnavailable: fewer bytes are free than needed.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreUnavailable(
            f"the disk of {folder} has {free:,} bytes free, and the embedded engine may need"
            f" {needed:,}: make room, or use another folder (--qdrant)"
        )


@contextmanager
def engine_errors(place: object, raised: type[StoreError] = StoreError) -> Iterator[None]:
    """Turn errors of qdrant-edge, which are plain exceptions and Rust panics, into ours."""
    try:
        yield
    except OpticalRagError:
        raise
    except Exception as error:
        if _IN_USE in str(error):
            raise StoreLocked.of(place) from error
        raise raised(f"the embedded engine at {place}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it cannot be imported
            raise
        raise raised(f"the embedded engine at {place} failed: {error}") from error


def _states(folder: Path) -> Iterator[os.stat_result]:
    for place, _, files in os.walk(folder):
        yield from ((Path(place) / name).lstat() for name in files)


def _dumped(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.model_dump(mode="json", exclude_none=True) for name, value in params.items()
    }


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
        if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be waited for forever
            raise _damaged(path, "it is no regular file")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _damaged(path, str(error)) from error
    if len(raw) > _MOST_BYTES:
        raise _damaged(path, f"it has more than {_MOST_BYTES:,} bytes")
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)[:200]) from error
    if not isinstance(values, dict):
        raise _damaged(path, f"it holds a {type(values).__name__}, not an object")
    return values


def _damaged(path: Path, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} cannot be used ({why}): restore a copy of the store, or ingest into a new one"
    )
