"""Stores named bytes in a folder or a bucket; a write takes effect as a whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from ..core.errors import CacheError, CacheMiss

__all__ = ["BlobStore", "FolderBlobs", "RemoteBlobs", "open_blobs"]

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SUFFIX: Final = ".safetensors"
_ABANDONED: Final = 3600.0  # seconds; no write of a few megabytes takes longer


class FolderBlobs:
    """Files in a local folder, readable by their owner only.

    A write syncs a temporary file to the disk and then renames it, so a file under its final
    name is always complete.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, data: bytes) -> None:
        """Write a file; it is durable when this returns.

        Raises:
            CacheError: the disk is full, or the folder is not writable.
        """
        target = self._path(name)
        temporary = ""
        try:
            for folder in (target.parent, self._unfinished):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._unfinished)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise CacheError(
                f"cannot write {len(data):,} bytes of vision tokens to {target.parent}: {error};"
                " free disk space or choose another folder"
            ) from error

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises:
            CacheMiss: the file does not exist.
            CacheError: the file cannot be read.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise CacheMiss(f"no entry {name[:12]} in {self._folder}") from error
        except OSError as error:
            raise CacheError(f"cannot read {self._path(name)}: {error}") from error

    def has(self, name: str) -> bool:
        """Whether the file exists."""
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(f"cannot delete {self._path(name)}: {error}") from error

    def names(self) -> Iterator[str]:
        """Yield all names, in no particular order."""
        for path in self._folder.glob(f"??/*{_SUFFIX}"):
            if _NAME.fullmatch(path.stem):
                yield path.stem

    def remove_unfinished(self) -> None:
        """Remove temporary files that are older than an hour: their writers died."""
        for path in self._unfinished.glob("*"):
            with suppress(OSError):  # another process may have removed it
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    @property
    def _unfinished(self) -> Path:
        return self._folder / "unfinished"

    def _path(self, name: str) -> Path:
        return self._folder / _relative_path(name)


class RemoteBlobs:
    """Objects in any file system that fsspec supports; object stores write them atomically.

    Raises:
        CacheError: fsspec does not know the URL's protocol, or a package for it is missing.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError, OSError) as error:
            raise CacheError(f"cannot open {url}: {error}") from error

    def put(self, name: str, data: bytes) -> None:
        """Upload an object, or raise :class:`CacheError`; it is durable when this returns."""
        path = self._path(name)
        with _remote_errors(f"write {path}"):
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)

    def get(self, name: str) -> bytes:
        """Download an object, or raise :class:`CacheMiss` if it does not exist."""
        path = self._path(name)
        with _remote_errors(f"read {path}"):
            try:
                return bytes(self._files.cat_file(path))
            except FileNotFoundError as error:
                raise CacheMiss(f"no entry {name[:12]} in {self._url}") from error

    def has(self, name: str) -> bool:
        """Whether the object exists."""
        path = self._path(name)
        with _remote_errors(f"look up {path}"):
            return bool(self._files.exists(path))

    def delete(self, name: str) -> None:
        """Delete an object if it exists."""
        path = self._path(name)
        with _remote_errors(f"delete {path}"), suppress(FileNotFoundError):
            self._files.rm_file(path)

    def names(self) -> Iterator[str]:
        """Yield all names, in no particular order."""
        with _remote_errors(f"list {self._url}"):
            paths = self._files.glob(f"{self._root}/??/*{_SUFFIX}")
        for path in paths:
            stem = str(path).rpartition("/")[2].removesuffix(_SUFFIX)
            if _NAME.fullmatch(stem):
                yield stem

    def remove_unfinished(self) -> None:
        """Do nothing: object stores drop unfinished uploads themselves."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{_relative_path(name)}"


BlobStore: TypeAlias = FolderBlobs | RemoteBlobs
"""Stores bytes by name. A name is 64 hexadecimal digits."""


def open_blobs(location: str, folder: Path) -> BlobStore:
    """Open the fsspec URL ``location`` (``s3://...``), or ``folder`` if it is not a URL."""
    return RemoteBlobs(location) if "://" in location else FolderBlobs(folder)


def _relative_path(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CacheError(f"invalid entry name {name!r:.80}: it must be 64 hexadecimal digits")
    return f"{name[:2]}/{name}{_SUFFIX}"


@contextmanager
def _remote_errors(task: str) -> Iterator[None]:
    try:
        yield
    except CacheError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise CacheError(f"cannot {task}: {error}") from error


def _sync_folder(folder: Path) -> None:
    # The new name must survive a power cut, too. Windows cannot open folders.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
