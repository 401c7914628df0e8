"""Examines documents in a separate process, so that a hostile file can only crash that one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..core.config import WorkLimits
from ..core.errors import OpticalRagError, OutOfMemory, ProcessCrashed, WorkTimeout
from ..core.records import SourceSpec
from ..system.closeable import Closeable
from ..system.workers import WorkerCrash, WorkerPool
from .opening import Candidate, Facts, examine, reading
from .page_hash import PageHasher, hash_of_position

__all__ = ["DocumentExaminer"]

_log = logging.getLogger(__name__)

_ERRORS: dict[str, type[OpticalRagError]] = {
    error.code: error for error in (WorkTimeout, OutOfMemory, ProcessCrashed)
}
_AT_A_TIME: Final = 64
"""Pages hashed in one call: hashing takes about 1 ms a page, a call through the pipe 0.3 ms."""


class DocumentExaminer(Closeable):
    """Examines documents and hashes their pages.

    Args:
        limits: limits of the separate process, which lives until :meth:`close`; None to work in
            this process.
    """

    def __init__(self, limits: WorkLimits | None = None) -> None:
        self._pool = WorkerPool(1, limits)

    def __call__(self, candidate: Candidate) -> Facts:
        """Examine a document with :func:`.opening.examine`.

        Raises:
            WorkTimeout, OutOfMemory, ProcessCrashed: the process exceeded a limit, or died.
        """
        (facts,) = self._pool.map(examine, [candidate])
        if isinstance(facts, WorkerCrash):
            raise _ERRORS[facts.code](f"cannot open {candidate.name}: {facts.reason}")
        return facts

    def page_hashes(self, spec: SourceSpec, sha256: str, indices: Sequence[int]) -> Iterator[str]:
        """Yield the hashes of pages (0-based), a bounded number ahead: see :mod:`.page_hash`.

        Where the process dies, the remaining pages get :func:`.page_hash.hash_of_position`. So do
        the pages of a file that vanished or changed: the error shows when they are read.
        """
        starts = range(0, len(indices), _AT_A_TIME)
        jobs = ((spec, sha256, indices[at : at + _AT_A_TIME]) for at in starts)
        done = 0
        try:
            for hashes in self._pool.map(_hashes, jobs):
                if isinstance(hashes, WorkerCrash):
                    break
                yield from hashes
                done += len(hashes)
        except Exception as error:  # noqa: BLE001  no file may end a run
            _log.debug("pages of %s are hashed by position", spec.path, exc_info=error)
        yield from (hash_of_position(sha256, index) for index in indices[done:])

    def close(self) -> None:
        """End the process."""
        self._pool.close()


_last: tuple[Any, PageHasher] | None = None  # of the document that opening.load keeps open


def _hashes(job: tuple[SourceSpec, str, Sequence[int]]) -> list[str]:
    global _last
    spec, sha256, indices = job
    with reading(spec) as document:
        if _last is None or _last[0] is not document:
            _last = (document, PageHasher(document, sha256))
        return [_last[1].hash(index) for index in indices]
