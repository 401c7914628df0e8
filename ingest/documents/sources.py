"""Finding files and making PDFs of them: every later stage sees a PDF on disk.

What a file is, is decided by its first bytes, never by its name.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
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
    "nameable",
    "path_of",
    "roots_of",
    "sha256_of",
]

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
"""File names that folders are searched for; a file named outright may be called anything."""

_BLOCK = 1 << 20
# Readers accept junk before the header (PDF 1.7 implementation note 13: first 1024 bytes).
_PDF_HEADER_WITHIN = 1024


def location_of(path: Path) -> str:
    """Where a file is, as a store can keep it: its absolute path.

    If its name is no UTF-8, as of files from older systems, a ``file:`` URI, which has the bytes.
    """
    path = path.absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.as_uri()
    return str(path)


def path_of(place: str) -> Path | None:
    """The path that :func:`location_of` made a place of; None if it is on no disk, as a URL."""
    if place.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(place.removeprefix("file://"))))
    return None if "://" in place else Path(place)


def expand_sources(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    """List the files that paths, folders and glob patterns stand for, without duplicates.

    Folders are searched recursively for :data:`SUFFIXES`, skipping hidden names and links to
    folders; what they hold is sorted. A path to a file is kept as given, also if it does not
    exist, and so is an empty folder or pattern among others, a folder that cannot be listed, and
    a link in one that leads nowhere: opening it says so.

    Raises:
        UnsupportedSource: nothing but folders and patterns that hold no PDF or image.
        ConfigError: a path is an empty text.
    """
    found: dict[Path, None] = {}
    empty: list[UnsupportedSource] = []
    for path in paths:
        if path == "":  # Path takes it for the folder one is in
            raise ConfigError("a file to read is named '', as by a variable not set; name it")
        try:
            files = _expand(Path(path))
        except UnsupportedSource as error:
            empty.append(error)
            files = [Path(path)]
        for file in files:
            found.setdefault(Path(os.path.abspath(file)))  # noqa: PTH100  keep links as named
    if empty and len(empty) == len(found):
        raise empty[0]
    return tuple(found)


def roots_of(paths: Iterable[str | Path]) -> tuple[str, ...]:
    """The absolute paths that :func:`expand_sources` looks through: of a pattern, its folder."""
    return tuple(os.path.abspath(_root(Path(path))) for path in paths)  # noqa: PTH100


def _root(path: Path) -> Path:
    if not glob.has_magic(str(path)) or path.exists():
        return path
    first = next(n for n, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:first])


def _expand(path: Path) -> list[Path]:
    if _is(Path.is_dir, path):
        files = sorted(_walk(path))
        kind = "folder"
    elif glob.has_magic(str(path)) and not _is(Path.exists, path):
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        files = sorted(
            f for match in matches for f in (_walk(match) if _is(Path.is_dir, match) else [match])
        )
        kind = "pattern"
    else:
        return [path]
    if not files:
        names = ", ".join(sorted(SUFFIXES))
        raise UnsupportedSource(f"the {kind} {str(path)!r} holds no file we read ({names})")
    return files


def _walk(folder: Path) -> Iterator[Path]:
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
    """Whether a path is a file, or cannot be looked at: then opening it says why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is something; no, where it cannot be (too long, a NUL) or may not be seen."""
    try:
        return what(path)
    except (OSError, ValueError):
        return False


def local_copy(source: bytes | BinaryIO, limits: PageLimits) -> Path:
    """Write bytes or a stream to a private temporary file, which the caller removes.

    Raises:
        LimitExceeded: there are more bytes than allowed.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    if stream.seekable():
        stream.seek(0)  # a stream just written to stands at its end
    descriptor, name = tempfile.mkstemp(prefix="opticalrag-")  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            written = 0
            while block := stream.read(_BLOCK):
                written += len(block)
                check_bytes(written, "the stream", limits)
                file.write(block)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def nameable(path: Path, stack: ExitStack) -> Path:
    """The file under a name that every library can pass on: UTF-8.

    Where its own name is none, it is a link in a private folder that the stack removes.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="opticalrag-"))
        link = Path(folder, "document")
        link.symlink_to(path)
        return link
    return path


def check_bytes(size: int, name: str, limits: PageLimits) -> None:
    """Raise LimitExceeded if a file is larger than allowed."""
    if size > limits.file_bytes:
        raise LimitExceeded(
            f"{name} has {size:,} bytes, the limit is {limits.file_bytes:,};"
            " raise PageLimits.file_bytes to read it"
        )


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if _HAS_DIGEST else _digest(file)


_HAS_DIGEST = hasattr(hashlib, "file_digest")  # Python 3.11


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def is_pdf(path: Path) -> bool:
    """Whether a file says that it is a PDF."""
    with path.open("rb") as file:
        return b"%PDF-" in file.read(_PDF_HEADER_WITHIN)
