"""A pool of processes that maps a function over items, in order, and survives their death.

Processes, not threads: PyMuPDF and the ONNX models hold the interpreter lock or are not
thread-safe. Knows nothing of pages.

Each process has a pipe of its own, which nobody else holds open. So the death of either side,
even in the middle of a message, is an end of file to the other: nothing hangs, the item that
was lost is known, and no worker outlives its parent. concurrent.futures shares one pipe
between all workers and hangs when one is killed while it sends a large result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from queue import SimpleQueue
from threading import Lock
from types import ModuleType
from typing import Generic, TypeVar

from .closing import Closeable

__all__ = ["WorkerCrash", "WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")

# Each worker computes on one core; more threads in each would fight for the same cores.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class WorkerCrash(Generic[T]):
    """The process that worked on ``item`` died (a crash in native code, or killed)."""

    item: T


class WorkerPool(Closeable):
    """Maps functions over items in ``workers`` processes, which live until :meth:`close`.

    With one worker there is no process: the function runs here. The user's script needs no
    ``if __name__ == "__main__"``: workers do not import it.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = max(workers, 1)
        self._crew: _Crew | None = None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R | WorkerCrash[T]]:
        """Yield ``function(item)`` for each item, in order.

        Items are taken from the iterable only as far ahead as keeps the workers busy. An item
        whose worker dies is tried once more while nothing else runs, because memory may have
        been short or the worker killed by mistake; if that kills too, it yields a
        :class:`WorkerCrash`. An exception of the function is raised here.

        Args:
            function: a function of an importable module, not of the script that is run; it
                and the items must pickle.
            items: what to map over.
        """
        if self.workers == 1:
            yield from map(function, items)
            return
        queue: deque[tuple[T, Future[R | WorkerCrash[T]]]] = deque()
        source = iter(items)
        try:
            while True:
                for item in islice(source, 2 * self.workers + 2 - len(queue)):
                    queue.append((item, self._submit(function, item)))
                if not queue:
                    return
                item, future = queue.popleft()
                result = future.result()
                if isinstance(result, WorkerCrash):
                    wait([waiting for _, waiting in queue])
                    result = self._submit(function, item).result()
                yield result
        finally:
            for _, future in queue:
                future.cancel()

    def close(self) -> None:
        """End the processes at once. The pool can be used again; it then starts new ones."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.dismiss()

    def _submit(self, function: Callable[[T], R], item: T) -> Future[R | WorkerCrash[T]]:
        if self._crew is None:
            self._crew = _Crew(self.workers)
        return self._crew.submit(function, item)


class _Crew:
    """Worker processes, and a thread for each that waits for its answers."""

    def __init__(self, size: int) -> None:
        self._workers = [_Worker() for _ in range(size)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="opticalrag-worker")

    def submit(self, function: Callable[[T], R], item: T) -> Future[R | WorkerCrash[T]]:
        return self._threads.submit(self._run, function, item)

    def _run(self, function: Callable[[T], R], item: T) -> R | WorkerCrash[T]:
        worker = self._idle.get()  # as many as threads: there is one
        try:
            return worker.run(function, item)
        finally:
            self._idle.put(worker)

    def dismiss(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.retire()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.discard()


class _Worker:
    """One process at a time, started when there is work and again after it died."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._retired = False
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def run(self, function: Callable[[T], R], item: T) -> R | WorkerCrash[T]:
        connection = self._connection or self._start()
        if connection is None:
            return WorkerCrash(item)
        try:
            connection.send((function, item))
            error, result = connection.recv()
        except (EOFError, OSError):
            self.discard()
            return WorkerCrash(item)
        if error is not None:
            raise error
        answer: R = result
        return answer

    def retire(self) -> None:
        """Kill the process, also from another thread than the one that waits for it."""
        with self._lock:
            self._retired = True
            if self._process is not None:
                self._process.kill()

    def discard(self) -> None:
        """Give back what a dead or dying process holds; only the thread in charge may."""
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.join()

    def _start(self) -> Connection | None:
        # spawn: a forked child would share native state (ONNX threads, open documents).
        context = multiprocessing.get_context("spawn")
        with self._lock:
            if self._retired:
                return None
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            with theirs, _script_hidden():  # kept open here, it would never end the file
                process.start()
            self._process, self._connection = process, ours
            return ours


_hiding = Lock()


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Keep spawn from importing ``__main__`` in the child.

    That would start an unguarded script over; what workers run is in modules. The module is
    replaced, not changed: the script goes on in other threads.
    """
    with _hiding:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def _serve(connection: Connection) -> None:
    """Answer calls until the other side is gone."""
    # Ctrl+C reaches every process of a terminal; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Here, not in the parent's environment: nothing heavy is imported before the first call.
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    with ThreadPoolExecutor(1) as thread:  # its futures carry whatever a call raises
        while True:
            error = thread.submit(_answer, connection).exception()
            if isinstance(error, SystemExit):
                return
            if error is not None:
                connection.send((ExceptionWithTraceback(error, error.__traceback__), None))


def _answer(connection: Connection) -> None:
    try:
        function, item = connection.recv()
    except (EOFError, OSError):
        raise SystemExit from None
    answer = (None, function(item))
    try:
        connection.send(answer)
    except OSError:
        raise SystemExit from None
