"""Documents looked at in a process of their own: a hostile file costs that process only."""

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
"""Pages hashed in one call: a page takes about a millisecond, a call through a pipe a third."""


class DocumentExaminer(Closeable):
    """Says what documents and their pages are.

    Args:
        limits: what a look may cost the process it is taken in, which lives until :meth:`close`;
            None: it is taken in this one.
    """

    def __init__(self, limits: WorkLimits | None = None) -> None:
        self._pool = WorkerPool(1, limits)

    def __call__(self, candidate: Candidate) -> Facts:
        """Look at a document: :func:`.opening.examine` within limits.

        Raises:
            SourceError: what :func:`.opening.examine` raises.
            WorkTimeout, OutOfMemory, ProcessCrashed: the process had to be ended, or died.
        """
        (facts,) = self._pool.map(examine, [candidate])
        if isinstance(facts, WorkerCrash):
            raise _ERRORS[facts.code](f"{candidate.name} cannot be opened: {facts.reason}")
        return facts

    def page_hashes(self, spec: SourceSpec, sha256: str, indices: Sequence[int]) -> Iterator[str]:
        """Hashes of pages (0-based), a bounded number ahead: see :mod:`.page_hash`.

        Pages at which the process had to be ended, and all behind them, are known by their place
        only. So are those of a file that went or changed meanwhile: reading them says what is
        wrong.

        Args:
            spec: of the document.
            sha256: of its file.
            indices: the pages.
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
        except Exception as error:  # noqa: BLE001  whatever it is, no file ends a run
            _log.debug("pages of %s are known by their place", spec.path, exc_info=error)
        yield from (hash_of_position(sha256, index) for index in indices[done:])

    def close(self) -> None:
        """End the process."""
        self._pool.close()


_last: tuple[Any, PageHasher] | None = None  # of the document that :func:`.opening.load` keeps


def _hashes(job: tuple[SourceSpec, str, Sequence[int]]) -> list[str]:
    global _last
    spec, sha256, indices = job
    with reading(spec) as document:
        if _last is None or _last[0] is not document:
            _last = (document, PageHasher(document, sha256))
        return [_last[1].hash(index) for index in indices]
