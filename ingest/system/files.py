"""Checks that a file is writable, and replaces files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from ..core.errors import ConfigError

__all__ = ["check_target", "replace_file"]

_PREFIX: Final = ".opticalrag-"
"""Of temporary names. They omit the file's own name, which may have the maximum length."""


def check_target(file: Path) -> None:
    """Check that a file can be written, before hours of work depend on it.

    Raises:
        ConfigError: its folder is missing or not writable, its name is invalid, or the path
            belongs to something other than a file.
    """
    try:
        path = file.resolve()
        if not path.exists():  # only the file system knows which names it accepts
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            path.unlink()
        elif not path.is_file():  # replace_file would replace a device or pipe by a file
            raise ValueError("it is not a file")  # noqa: TRY301
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
        os.close(descriptor)
        Path(name).unlink()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link to itself
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"cannot write {file} ({reason}): name a file in an existing, writable folder"
        ) from error


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file atomically, with permissions such as ``0o600``. Follows a link."""
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
