"""Files that appear when they are whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from ..core.errors import ConfigError

__all__ = ["check_target", "replace_file"]


def check_target(file: Path) -> None:
    """See that a file can be written, before hours of work.

    Raises:
        ConfigError: there is no folder to write it to, it cannot have this name, or what has its
            name is no file.
    """
    try:
        _try_out(file.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # the last of a link to itself
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"{file} cannot be written ({why}); name a file in a folder of yours"
        ) from error


def _try_out(path: Path) -> None:
    """Make a file, if there is none, and the one that would be renamed to it, and remove both.

    What a name may be only its file system knows.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        path.unlink()
    elif not path.is_file():  # a device or pipe would be replaced by the file
        raise ValueError("it is no file")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    os.close(descriptor)
    Path(name).unlink()


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file at once and whole: others may read it at any time. A link stays one."""
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_TEMPORARY: Final = ".opticalrag-"  # not the file's own name, which may be as long as names can be
