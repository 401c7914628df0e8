"""Whether the file of a stored document is gone, or only the disk it was on.

A disk that is not mounted looks like a folder that is missing or empty: what was in such a folder
is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..documents.sources import path_of

__all__ = ["is_gone", "was_moved"]


def is_gone(place: str, roots: Sequence[str]) -> bool:
    """Whether a file was in a place that is looked through, and is not there any more.

    Args:
        place: as :func:`.sources.location_of` names it.
        roots: absolute paths of the files and folders that are looked through.
    """
    path = path_of(place)
    return path is not None and not _is_there(path) and any(_lost(path, root) for root in roots)


def was_moved(place: str, roots: Sequence[str]) -> bool:
    """Whether a file that is found elsewhere now is not at its former place any more.

    That need not be looked through, but its folder must be there.
    """
    path = path_of(place)
    if path is None or not path.is_absolute() or _is_there(path):
        return False
    return _holds_something(path.parent) or is_gone(place, roots)


def _lost(path: Path, root: str) -> bool:
    """Whether a file that is missing was below a root, in what is left of its folders."""
    if str(path) == root:
        return _holds_something(path.parent)
    if not str(path).startswith(root.rstrip(os.sep) + os.sep):
        return False
    return _holds_something(_nearest(path.parents, Path(root)))


def _nearest(folders: Iterable[Path], root: Path) -> Path:
    """The first folder that is there, up to the root."""
    return next((one for one in folders if one == root or _is_there(one)), root)


def _holds_something(folder: Path) -> bool:
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False


def _is_there(path: Path) -> bool:
    """Whether there is something at a path, also if nobody may look at it."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True
