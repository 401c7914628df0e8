"""Tells a file that is gone from a disk that is not mounted.

A disk that is not mounted looks like a folder that is missing or empty. A file that was in such a
folder counts as still there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..documents.sources import path_of

__all__ = ["is_gone", "was_moved"]


def is_gone(location: str, roots: Sequence[str]) -> bool:
    """Whether a file below one of the roots does not exist any more.

    ``location`` is as :func:`.sources.location_of` names it; roots are absolute paths of files
    and folders.
    """
    path = path_of(location)
    return path is not None and not _exists(path) and any(_lost(path, root) for root in roots)


def was_moved(location: str, roots: Sequence[str]) -> bool:
    """Whether a file that was found at another location is gone from its former one.

    The former location need not be below a root, but its folder must not be missing or empty.
    """
    path = path_of(location)
    if path is None or not path.is_absolute() or _exists(path):
        return False
    return _holds_something(path.parent) or is_gone(location, roots)


def _lost(path: Path, root: str) -> bool:
    """Whether a missing file was below a root, and its nearest existing folder is not empty."""
    if str(path) == root:
        return _holds_something(path.parent)
    if not str(path).startswith(root.rstrip(os.sep) + os.sep):
        return False
    top = Path(root)
    return _holds_something(next((one for one in path.parents if one == top or _exists(one)), top))


def _holds_something(folder: Path) -> bool:
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False


def _exists(path: Path) -> bool:
    """Whether a path exists, even if it cannot be read."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True
