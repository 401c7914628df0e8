"""A pool of processes that maps a function over items, in order, and survives their death.

Processes, not threads: PyMuPDF and the ONNX models hold the interpreter lock or are not
thread-safe. Knows nothing of pages.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["WorkerCrash", "WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")

# Each worker computes on one core; more threads in each would fight for the same cores.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class WorkerCrash(Generic[T]):
    """The process that worked on ``item`` died (a crash in native code, or killed)."""

    item: T


class WorkerPool:
    """Maps functions over items in ``workers`` processes, which live until :meth:`close`.

    With one worker there is no process: the function runs here.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = max(workers, 1)
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R | WorkerCrash[T]]:
        """Yield ``function(item)`` for each item, in order.

        Items are taken from the iterable only as far ahead as keeps the workers busy. An item
        whose worker dies yields a :class:`WorkerCrash`; an exception of the function is raised
        here.

        Args:
            function: a module-level function; it and the items must pickle.
            items: what to map over.
        """
        if self.workers == 1:
            yield from map(function, items)
            return
        queue: deque[tuple[T, Future[R]]] = deque()
        source = iter(items)
        try:
            while True:
                while len(queue) < 2 * self.workers + 2:
                    try:
                        item = next(source)
                    except StopIteration:
                        break
                    queue.append((item, self._submit(function, item)))
                if not queue:
                    return
                result: R | WorkerCrash[T] = self._result(function, queue)
                yield result
        finally:
            for _, future in queue:
                future.cancel()

    def close(self) -> None:
        """End the processes. The pool can be used again; it then starts new ones."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        if self._executor is None:
            self._executor = _new_executor(self.workers)
        try:
            with _worker_environment():  # processes are started by submit
                return self._executor.submit(function, item)
        except BrokenProcessPool:
            failed: Future[R] = Future()
            failed.set_exception(BrokenProcessPool())
            return failed

    def _result(
        self, function: Callable[[T], R], queue: deque[tuple[T, Future[R]]]
    ) -> R | WorkerCrash[T]:
        item, future = queue.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
        result = self._alone(function, item)
        # All that was in flight is lost with the pool, whoever broke it.
        for place, (waiting, lost) in enumerate(queue):
            if not lost.done() or lost.cancelled() or lost.exception() is not None:
                queue[place] = (waiting, self._submit(function, waiting))
        return result

    def _alone(self, function: Callable[[T], R], item: T) -> R | WorkerCrash[T]:
        """Run one item in a process of its own, to learn whether it is the one that kills."""
        executor = _new_executor(1)
        try:
            with _worker_environment():
                future = executor.submit(function, item)
            return future.result()
        except BrokenProcessPool:
            return WorkerCrash(item)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _new_executor(workers: int) -> ProcessPoolExecutor:
    # spawn: a forked child would share native state (ONNX threads, open documents).
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def _worker_environment() -> Iterator[None]:
    """One native thread per worker, and no second run of the user's script.

    spawn imports ``__main__`` again, which starts an unguarded script over. What workers run
    is in modules, so the script is hidden while they start.
    """
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    main = sys.modules["__main__"]
    hidden = {name: main.__dict__.pop(name) for name in ("__file__",) if hasattr(main, name)}
    spec, main.__spec__ = main.__spec__, None
    try:
        yield
    finally:
        main.__spec__ = spec
        main.__dict__.update(hidden)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
