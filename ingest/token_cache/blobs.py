"""Named bytes in a folder or a bucket: written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from ..core.errors import CacheError, CacheMiss

__all__ = ["BlobStore", "FolderBlobs", "RemoteBlobs", "open_blobs"]

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SUFFIX: Final = ".safetensors"
_ABANDONED: Final = 3600.0  # seconds; no write of a few megabytes takes longer


class BlobStore(Protocol):
    """Keeps bytes by name: 64 hexadecimal digits."""

    def put(self, name: str, data: bytes) -> None:
        """Store bytes; when this returns they are there for good."""
        ...

    def get(self, name: str) -> bytes:
        """The bytes, or :class:`CacheMiss`."""
        ...

    def has(self, name: str) -> bool:
        """Whether there are such bytes."""
        ...

    def delete(self, name: str) -> None:
        """Remove bytes, if they are there."""
        ...

    def names(self) -> Iterator[str]:
        """All names, in no order."""
        ...

    def sweep(self) -> None:
        """Remove what writers that died left unfinished."""
        ...


def open_blobs(location: str, folder: Path) -> BlobStore:
    """A store in ``folder``, or at the fsspec URL ``location`` if it is one (``s3://...``)."""
    return RemoteBlobs(location) if "://" in location else FolderBlobs(folder)


class FolderBlobs:
    """Files of a local folder, readable by their owner only.

    A file appears under its name when all of it is on the disk: a temporary file is synced and
    then renamed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            CacheError: the disk is full, or the folder cannot be written.
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
                f"{len(data):,} bytes of vision tokens cannot be written to {target.parent}:"
                f" {error}; make room or choose another folder"
            ) from error

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises:
            CacheMiss: there is none.
            CacheError: it cannot be read.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise CacheMiss(f"no entry {name[:12]} in {self._folder}") from error
        except OSError as error:
            raise CacheError(f"{self._path(name)} cannot be read: {error}") from error

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(f"{self._path(name)} cannot be removed: {error}") from error

    def names(self) -> Iterator[str]:
        """All names."""
        for path in self._folder.glob(f"??/*{_SUFFIX}"):
            if _NAME.fullmatch(path.stem):
                yield path.stem

    def sweep(self) -> None:
        """Remove what writers that died more than an hour ago left unfinished."""
        for path in self._unfinished.glob("*"):
            _remove_if_abandoned(path)

    @property
    def _unfinished(self) -> Path:
        return self._folder / "unfinished"

    def _path(self, name: str) -> Path:
        _check(name)
        return self._folder / name[:2] / f"{name}{_SUFFIX}"


class RemoteBlobs:
    """Objects of any file system that fsspec knows; object stores write them whole.

    Raises:
        CacheError: fsspec does not know it, or lacks the package for it.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError, OSError) as error:
            raise CacheError(f"{url} cannot be opened: {error}") from error

    def put(self, name: str, data: bytes) -> None:
        """Upload an object; :class:`CacheError` if that fails."""
        path = self._path(name)
        try:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)
        except Exception as error:  # every fsspec backend has errors of its own
            raise CacheError(f"{path} cannot be written: {error}") from error

    def get(self, name: str) -> bytes:
        """Download an object; :class:`CacheMiss` if there is none."""
        path = self._path(name)
        try:
            data: bytes = self._files.cat_file(path)
        except FileNotFoundError as error:
            raise CacheMiss(f"no entry {name[:12]} in {self._url}") from error
        except Exception as error:  # every fsspec backend has errors of its own
            raise CacheError(f"{path} cannot be read: {error}") from error
        return data

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        path = self._path(name)
        try:
            return bool(self._files.exists(path))
        except Exception as error:  # every fsspec backend has errors of its own
            raise CacheError(f"{path} cannot be looked for: {error}") from error

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        path = self._path(name)
        try:
            self._files.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:  # every fsspec backend has errors of its own
            raise CacheError(f"{path} cannot be removed: {error}") from error

    def names(self) -> Iterator[str]:
        """All names."""
        try:
            paths = self._files.glob(f"{self._root}/??/*{_SUFFIX}")
        except Exception as error:  # every fsspec backend has errors of its own
            raise CacheError(f"{self._url} cannot be listed: {error}") from error
        for path in paths:
            stem = str(path).rpartition("/")[2].removesuffix(_SUFFIX)
            if _NAME.fullmatch(stem):
                yield stem

    def sweep(self) -> None:
        """Nothing: object stores drop unfinished uploads themselves."""

    def _path(self, name: str) -> str:
        _check(name)
        return f"{self._root}/{name[:2]}/{name}{_SUFFIX}"


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CacheError(f"{name!r:.80} is no name of an entry: 64 hexadecimal digits are")


def _sync_folder(folder: Path) -> None:
    # The name itself must survive a power cut, too. Windows cannot open folders.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_if_abandoned(path: Path) -> None:
    try:
        if time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink()
    except OSError:
        return  # another process was faster
