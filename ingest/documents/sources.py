"""Finds files, copies streams to disk, and converts paths to locations and back.

The first bytes of a file decide its type, never its name.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, takewhile
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from ..core.config import PageLimits
from ..core.errors import ConfigError, LimitExceeded, UnsupportedSource

__all__ = [
    "SUFFIXES",
    "expand_sources",
    "is_pdf",
    "local_copy",
    "location_of",
    "path_of",
    "roots_of",
    "sha256_of",
    "utf8_path",
]

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
"""Suffixes of the files to find in folders; a file given by its path may have any name."""

_BLOCK = 1 << 20
# PDF 1.7, implementation note 13: readers accept junk before the header, in 1024 bytes.
_PDF_HEADER_WITHIN = 1024


def location_of(path: Path) -> str:
    """Return the location of a file as a store records it: its absolute path.

    A path that is not UTF-8, as on older systems, becomes a ``file:`` URI with its bytes escaped.
    """
    path = path.absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.as_uri()
    return str(path)


def path_of(location: str) -> Path | None:
    """Return the path of a location from :func:`location_of`; None for a URL."""
    if location.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(location.removeprefix("file://"))))
    return None if "://" in location else Path(location)


def expand_sources(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    """Expand paths, folders and glob patterns to files, without duplicates.

    Searches folders recursively for :data:`SUFFIXES`, except hidden names and links to folders,
    and sorts the result of each. The result includes paths that cannot be read: missing files,
    broken links, folders that cannot be listed, and empty folders or patterns among others.
    Opening them raises the reason.

    Raises:
        UnsupportedSource: there is no PDF or image in any of the folders and patterns.
        ConfigError: a path is an empty string.
    """
    found: dict[Path, None] = {}
    empty: list[UnsupportedSource] = []
    for path in paths:
        if path == "":  # Path("") is the current folder
            raise ConfigError(
                "a path is empty, perhaps from an unset variable: name a file or folder"
            )
        try:
            files = _expand(Path(path))
        except UnsupportedSource as error:
            empty.append(error)
            files = [Path(path)]
        for file in files:
            found.setdefault(Path(os.path.abspath(file)))  # noqa: PTH100  resolve() would follow links
    if empty and len(empty) == len(found):
        raise empty[0]
    return tuple(found)


def roots_of(paths: Iterable[str | Path]) -> tuple[str, ...]:
    """Return the absolute paths that :func:`expand_sources` searches; for a pattern, its folder."""
    return tuple(os.path.abspath(_root(Path(path))) for path in paths)  # noqa: PTH100


def _root(path: Path) -> Path:
    if not glob.has_magic(str(path)) or path.exists():
        return path
    return Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))


def _expand(path: Path) -> list[Path]:
    # Unlike Path's methods, those of os.path raise no error if access is denied.
    if os.path.isdir(path):  # noqa: PTH112
        kind, matches = "folder", [str(path)]
    elif glob.has_magic(str(path)) and not os.path.exists(path):  # noqa: PTH110
        kind, matches = "pattern", glob.glob(str(path), recursive=True)  # noqa: PTH207
    else:
        return [path]
    found = (_walk(it) if os.path.isdir(it) else [Path(it)] for it in matches)  # noqa: PTH112
    files = sorted(chain.from_iterable(found))
    if not files:
        names = ", ".join(sorted(SUFFIXES))
        raise UnsupportedSource(f"the {kind} {str(path)!r} has no supported file ({names})")
    return files


def _walk(folder: str) -> Iterator[Path]:
    errors: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(root, name)
            wanted = not name.startswith(".") and file.suffix.lower() in SUFFIXES
            if wanted and _may_be_file(file):
                yield file
    yield from (Path(error.filename) for error in errors)  # folders that cannot be listed


def _may_be_file(path: Path) -> bool:
    """Whether a path is a file, or cannot be examined; opening it then raises the reason."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def local_copy(source: bytes | BinaryIO, limits: PageLimits) -> Path:
    """Write bytes or a stream to a private temporary file, which the caller must remove."""
    stream = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    if stream.seekable():
        stream.seek(0)  # a stream that was just written is at its end
    descriptor, name = tempfile.mkstemp(prefix="opticalrag-")  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            written = 0
            while block := stream.read(_BLOCK):
                written += len(block)
                check_size(written, "the stream", limits)
                file.write(block)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def utf8_path(path: Path, stack: ExitStack) -> Path:
    """Return a path to the file that is valid UTF-8, which some libraries need.

    If its own path is not, this is a link in a private folder that the stack removes.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="opticalrag-"))
        link = Path(folder, "document")
        link.symlink_to(path)
        return link
    return path


def check_size(size: int, name: str, limits: PageLimits) -> None:
    """Raise LimitExceeded if a file is larger than allowed."""
    if size > limits.file_bytes:
        raise LimitExceeded(
            f"{name} has {size:,} bytes, the limit is {limits.file_bytes:,};"
            " raise PageLimits.file_bytes to read it"
        )


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()  # hashlib.file_digest needs Python 3.11
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_pdf(path: Path) -> bool:
    """Whether a file has the header of a PDF."""
    with path.open("rb") as file:
        return b"%PDF-" in file.read(_PDF_HEADER_WITHIN)
