"""Documents looked at in a process of their own: a hostile file costs that process only."""

from __future__ import annotations

from .closing import Closeable
from .config import WorkLimits
from .errors import OpticalRagError, OutOfMemory, ProcessCrashed, WorkTimeout
from .opening import Candidate, Facts, examine
from .workers import WorkerCrash, WorkerPool

__all__ = ["GuardedExaminer"]

_ERRORS: dict[str, type[OpticalRagError]] = {
    error.code: error for error in (WorkTimeout, OutOfMemory, ProcessCrashed)
}


class GuardedExaminer(Closeable):
    """:func:`.opening.examine` within limits; the process lives until :meth:`close`."""

    def __init__(self, limits: WorkLimits) -> None:
        self._pool = WorkerPool(1, limits)

    def __call__(self, candidate: Candidate) -> Facts:
        """Look at a document.

        Raises:
            SourceError: what :func:`.opening.examine` raises.
            WorkTimeout, OutOfMemory, ProcessCrashed: the process had to be ended, or died.
        """
        (facts,) = self._pool.map(examine, [candidate])
        if isinstance(facts, WorkerCrash):
            raise _ERRORS[facts.code](f"{candidate.name} cannot be opened: {facts.reason}")
        return facts

    def close(self) -> None:
        """End the process."""
        self._pool.close()
