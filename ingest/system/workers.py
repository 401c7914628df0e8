"""A pool of processes that maps a function over items, in order, and survives their death.

A process that takes too long or too much memory is killed, and another one goes on.

Processes, not threads: PyMuPDF and the ONNX models hold the interpreter lock or are not
thread-safe. Knows nothing of pages.

Each process has a pipe of its own, which nobody else holds open. So the death of either side,
even in the middle of a message, is an end of file to the other: nothing hangs, the item that
was lost is known, and no worker outlives its parent. concurrent.futures shares one pipe
between all workers and hangs when one is killed while it sends a large result.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from threading import Event, Lock, Thread
from types import ModuleType
from typing import Generic, TypeVar

from ..core.config import WorkLimits
from .closeable import Closeable
from .watchdog import INTERVAL, Cause, exceeded, explain, paused_for, resident_bytes
from .worker_main import serve

__all__ = ["WorkerCrash", "WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")

# Each worker computes on one core; more threads in each would fight for the same cores.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Starting a process imports much; on a busy machine that is slow without being a fault.
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class WorkerCrash(Generic[T]):
    """The process that worked on ``item`` died: in native code, killed, or over a limit.

    ``reason`` says how and what to do. ``own_fault`` is False if it may have died of what it
    did before.
    """

    item: T
    code: Cause = "crashed"
    reason: str = field(default="", compare=False)
    own_fault: bool = field(default=False, compare=False)


class WorkerPool(Closeable):
    """Maps functions over items in ``workers`` processes, which live until :meth:`close`.

    With one worker and no ``limits`` there is no process: the function runs here. With
    ``environments`` there is a process for each, with these variables besides its own. The user's
    script needs no ``if __name__ == "__main__"``: workers do not import it.
    """

    def __init__(
        self,
        workers: int = 1,
        limits: WorkLimits | None = None,
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.workers = len(environments) or max(workers, 1)
        self._limits = limits
        self._environments = environments or [{}] * self.workers
        self._here = self.workers == 1 and limits is None and not environments
        self._crew: _Crew | None = None

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        seconds: Callable[[T], float] | None = None,
    ) -> Iterator[R | WorkerCrash[T]]:
        """Yield ``function(item)`` for each item, in order.

        Items are taken from the iterable only as far ahead as keeps the workers busy. An item
        whose worker dies is tried once more in a new process while nothing else runs, because
        memory may have been short or the worker killed by mistake; if that dies too, or was
        surely the item's own fault, it yields a :class:`WorkerCrash`. An exception of the
        function is raised here.

        Args:
            function: a function of an importable module, not of the script that is run; it
                and the items must pickle.
            items: what to map over.
            seconds: what an item may take if not those of the limits; without limits, nothing ends
                it.
        """
        if self._here:
            yield from map(function, items)
            return
        queue: deque[tuple[T, Future[R | WorkerCrash[T]]]] = deque()
        source = iter(items)
        try:
            while True:
                for item in islice(source, 2 * self.workers + 2 - len(queue)):
                    queue.append((item, self._submit(function, item, seconds)))
                if not queue:
                    return
                item, future = queue.popleft()
                result = future.result()
                if isinstance(result, WorkerCrash) and not result.own_fault:
                    wait([waiting for _, waiting in queue])
                    result = self._submit(function, item, seconds, anew=True).result()
                yield result
        finally:
            for _, future in queue:
                future.cancel()

    def close(self) -> None:
        """End the processes at once. The pool can be used again; it then starts new ones."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.dismiss()

    def _submit(
        self,
        function: Callable[[T], R],
        item: T,
        seconds: Callable[[T], float] | None,
        *,
        anew: bool = False,
    ) -> Future[R | WorkerCrash[T]]:
        if self._crew is None:
            self._crew = _Crew(self._environments, is_watched=self._limits is not None)
        limits = self._limits
        if limits and seconds:
            limits = replace(limits, seconds=seconds(item))
        return self._crew.submit(function, item, limits, anew)


class _Crew:
    """Worker processes, a thread for each that waits for its answers, and one that watches."""

    def __init__(self, environments: Sequence[Mapping[str, str]], *, is_watched: bool) -> None:
        size = len(environments)
        # A lone worker may use all cores.
        threads = dict.fromkeys(_THREAD_VARIABLES, "1") if size > 1 else {}
        self._workers = [_Worker({**threads, **variables}) for variables in environments]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="opticalrag-worker")
        self._ended = Event()
        if is_watched:
            Thread(target=self._watch, name="opticalrag-watchdog", daemon=True).start()

    def submit(
        self, function: Callable[[T], R], item: T, limits: WorkLimits | None, anew: bool
    ) -> Future[R | WorkerCrash[T]]:
        return self._threads.submit(self._run, function, item, limits, anew)

    def _run(
        self, function: Callable[[T], R], item: T, limits: WorkLimits | None, anew: bool
    ) -> R | WorkerCrash[T]:
        worker = self._idle.get()  # as many as threads: there is one
        try:
            if anew:
                worker.discard()
            return worker.run(function, item, limits)
        finally:
            self._idle.put(worker)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(INTERVAL):
            last, before = time.monotonic(), last
            paused = paused_for(last - before)
            for worker in self._workers:
                worker.check(paused)

    def dismiss(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.retire()
        self._threads.shutdown(wait=True)
        self._ended.set()
        for worker in self._workers:
            worker.discard()


class _Worker:
    """One process at a time, started when there is work and again after it died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._limits: WorkLimits | None = None  # of what it works on
        self._environment = environment
        self._lock = Lock()
        self._retired = False
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._since: float | None = None  # None: nothing is worked on
        self._cause: Cause | None = None  # why the watchdog killed it
        self._answers = 0

    def run(
        self, function: Callable[[T], R], item: T, limits: WorkLimits | None
    ) -> R | WorkerCrash[T]:
        with self._lock:
            self._limits = limits
        connection = self._connection or self._start()
        if connection is None:
            return WorkerCrash(item)
        # Until a new process has imported what it needs, the time is not the item's.
        self._count_from(time.monotonic() + (0 if self._answers else _START_SECONDS))
        begun = False
        try:
            connection.send((function, item, limits and limits.seconds))
            message = connection.recv()
            if message is None:
                begun = True
                self._count_from(time.monotonic())
                message = connection.recv()
        except (EOFError, OSError):
            return self._bury(item, begun)
        if not self._count_from(None):
            self.discard()  # the answer was there when its time was up
        self._answers += 1
        error, result = message
        if error is not None:
            raise error
        answer: R = result
        return answer

    def check(self, paused: float = 0) -> None:
        """Kill the process if it breaks a limit; ``paused`` seconds are not the item's."""
        with self._lock:
            process, since = self._process, self._since
            if self._limits is None or process is None or since is None or self._cause:
                return
            memory, now = resident_bytes(process.pid or 0), time.monotonic()
            # What began behind the pause, or counts from a time to come, gains nothing by it.
            self._since = since = max(since, min(since + paused, now))
            self._cause = exceeded(self._limits, now - since, memory)
            if self._cause:
                process.kill()

    def retire(self) -> None:
        """Kill the process, also from another thread than the one that waits for it."""
        with self._lock:
            self._retired = True
            if self._process is not None:
                self._process.kill()

    def discard(self) -> int | None:
        """Give back what a dead or dying process holds; only the thread in charge may.

        Returns:
            Its exit code.
        """
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
            self._since, self._cause, self._answers = None, None, 0
        if connection is not None:
            connection.close()
        if process is None:
            return None
        if connection is not None and not _ended(process):
            process.kill()
        process.join()
        return process.exitcode

    def _count_from(self, since: float | None) -> bool:
        """Measure time from here on; False if the process has been killed."""
        with self._lock:
            self._since = since
            return self._cause is None

    def _bury(self, item: T, begun: bool) -> WorkerCrash[T]:
        with self._lock:
            cause: Cause = self._cause or "crashed"
            first = not self._answers
        reason = explain(cause, self._limits, self.discard())
        # What it took up before counts as memory of this item; time never does.
        own_fault = begun and (cause == "timeout" or (cause == "out_of_memory" and first))
        return WorkerCrash(item, cause, reason, own_fault)

    def _start(self) -> Connection | None:
        # spawn: a forked child would share native state (ONNX threads, open documents).
        context = multiprocessing.get_context("spawn")
        with self._lock:
            if self._retired:
                return None
            ours, theirs = context.Pipe()
            arguments = (theirs, self._environment)
            process = context.Process(target=serve, args=arguments, daemon=True)
            with theirs, _script_hidden():  # kept open here, it would never end the file
                process.start()
            self._process, self._connection = process, ours
            return ours


def _ended(process: SpawnProcess) -> bool:
    """Whether a process ended by itself: its pipe closes a moment before it can be waited for."""
    process.join(1)
    return process.exitcode is not None


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
