"""A pool of processes that maps a function over items, in order, and survives their deaths.

The pool kills a process that takes too much time or memory, and starts another. It uses processes
because PyMuPDF and the ONNX models hold the interpreter lock or are not thread-safe.

Each process has its own pipe, which no other process holds open. When either side dies, even in
the middle of a message, the other side reads an end of file. So nothing hangs, the pool knows the
lost item, and no worker outlives its parent. concurrent.futures shares one pipe between all
workers, and hangs when one is killed while it sends a large result.
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
from typing import Generic, TypeVar, cast

from ..core.config import WorkLimits
from .closeable import Closeable
from .watchdog import INTERVAL, Cause, exceeded_limit, explain_death, pause_seconds, resident_bytes
from .worker_main import serve

__all__ = ["WorkerCrash", "WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")

# Set to 1 for each of several workers: more threads would compete for the same cores.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# A new process imports large libraries first, which is slow on a busy machine.
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class WorkerCrash(Generic[T]):
    """The result for an item whose process died.

    Attributes:
        code: which limit the process exceeded, or ``"crashed"``.
        reason: how the process died, and what to do.
        own_fault: False if an earlier item may have caused the death.
    """

    item: T
    code: Cause = "crashed"
    reason: str = field(default="", compare=False)
    own_fault: bool = field(default=False, compare=False)


class WorkerPool(Closeable):
    """Maps functions over items in worker processes, which live until :meth:`close`.

    A single worker without limits or environment runs in this process. The user's script needs no
    ``if __name__ == "__main__"``, because workers do not import it.

    Args:
        workers: number of processes.
        limits: time and memory allowed for each item; None for no limits.
        environments: extra environment variables of each process; sets the number of processes.
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
        self._in_process = self.workers == 1 and limits is None and not environments
        self._group: _WorkerGroup | None = None

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        seconds: Callable[[T], float] | None = None,
    ) -> Iterator[R | WorkerCrash[T]]:
        """Yield ``function(item)`` for each item, in order.

        The pool reads items only as far ahead as keeps the workers busy.

        If a worker dies, its item is tried once more in a new process, while nothing else runs:
        memory may have been short, or the kernel may have killed the wrong process. If that fails,
        too, or if the death was certainly the item's own fault, the result is a
        :class:`WorkerCrash`.

        Args:
            function: a function in an importable module, not in the user's script. It and the
                items must be picklable. Its exceptions are raised here.
            items: arguments of the function.
            seconds: returns the time allowed for an item, in place of ``limits.seconds``. Without
                limits it has no effect.
        """
        if self._in_process:
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
                    result = self._submit(function, item, seconds, in_new_process=True).result()
                yield result
        finally:
            for _, future in queue:
                future.cancel()

    def close(self) -> None:
        """End the processes at once. Using the pool again starts new ones."""
        group, self._group = self._group, None
        if group is not None:
            group.close()

    def _submit(
        self,
        function: Callable[[T], R],
        item: T,
        seconds: Callable[[T], float] | None,
        *,
        in_new_process: bool = False,
    ) -> Future[R | WorkerCrash[T]]:
        if self._group is None:
            self._group = _WorkerGroup(self._environments, is_watched=self._limits is not None)
        limits = self._limits
        if limits and seconds:
            limits = replace(limits, seconds=seconds(item))
        return self._group.threads.submit(self._group.run, function, item, limits, in_new_process)


class _WorkerGroup:
    """Worker processes, a thread for each that waits for its answers, and a watchdog thread."""

    def __init__(self, environments: Sequence[Mapping[str, str]], *, is_watched: bool) -> None:
        size = len(environments)
        # A lone worker may use all cores.
        threads = dict.fromkeys(_THREAD_VARIABLES, "1") if size > 1 else {}
        self._workers = [_Worker({**threads, **variables}) for variables in environments]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self.threads = ThreadPoolExecutor(size, thread_name_prefix="opticalrag-worker")
        self._ended = Event()
        if is_watched:
            Thread(target=self._watch, name="opticalrag-watchdog", daemon=True).start()

    def run(
        self, function: Callable[[T], R], item: T, limits: WorkLimits | None, in_new_process: bool
    ) -> R | WorkerCrash[T]:
        worker = self._idle.get()  # never blocks: there are as many workers as threads
        try:
            if in_new_process:
                worker.discard()
            return worker.run(function, item, limits)
        finally:
            self._idle.put(worker)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(INTERVAL):
            last, before = time.monotonic(), last
            paused = pause_seconds(last - before)
            for worker in self._workers:
                worker.check(paused)

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self.threads.shutdown(wait=True)
        self._ended.set()
        for worker in self._workers:
            worker.discard()


class _Worker:
    """One process at a time, started with the first item and again after each death."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._limits: WorkLimits | None = None  # of the current item
        self._environment = environment
        self._lock = Lock()
        self._closed = False
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._started: float | None = None  # time of the current item; None between items
        self._cause: Cause | None = None  # why the watchdog killed the process
        self._answers = 0

    def run(
        self, function: Callable[[T], R], item: T, limits: WorkLimits | None
    ) -> R | WorkerCrash[T]:
        with self._lock:
            self._limits = limits
        connection = self._connection or self._start()
        if connection is None:
            return WorkerCrash(item)
        # The time a new process spends on imports does not count against the item.
        self._set_clock(time.monotonic() + (0 if self._answers else _START_SECONDS))
        begun = False
        try:
            connection.send((function, item, limits and limits.seconds))
            message = connection.recv()
            if message is None:
                begun = True
                self._set_clock(time.monotonic())
                message = connection.recv()
        except (EOFError, OSError):
            return self._crash(item, begun)
        if not self._set_clock(None):
            self.discard()  # the watchdog killed the process just after it answered
        self._answers += 1
        error, result = message
        if error is not None:
            raise error
        return cast("R", result)

    def check(self, paused: float = 0) -> None:
        """Kill the process if it exceeds a limit; ``paused`` seconds do not count."""
        with self._lock:
            process, since = self._process, self._started
            if self._limits is None or process is None or since is None or self._cause:
                return
            memory, now = resident_bytes(process.pid or 0), time.monotonic()
            # An item that started after the pause, or has yet to start, gains nothing from it.
            self._started = since = max(since, min(since + paused, now))
            self._cause = exceeded_limit(self._limits, now - since, memory)
            if self._cause:
                process.kill()

    def kill(self) -> None:
        """Kill the process for good; any thread may call this."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def discard(self) -> int | None:
        """Release the process and return its exit code; only the thread that runs its items may."""
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
            self._started, self._cause, self._answers = None, None, 0
        if connection is not None:
            connection.close()
        if process is None:
            return None
        if connection is not None:
            process.join(1)  # the pipe closes a moment before the exit code is known
            process.kill()
        process.join()
        return process.exitcode

    def _set_clock(self, since: float | None) -> bool:
        """Set the start time of the item; False if the watchdog has killed the process."""
        with self._lock:
            self._started = since
            return self._cause is None

    def _crash(self, item: T, begun: bool) -> WorkerCrash[T]:
        with self._lock:
            cause: Cause = self._cause or "crashed"
            first = not self._answers
        reason = explain_death(cause, self._limits, self.discard())
        # Memory may be left over from earlier items; time never is.
        own_fault = begun and (cause == "timeout" or (cause == "out_of_memory" and first))
        return WorkerCrash(item, cause, reason, own_fault)

    def _start(self) -> Connection | None:
        # spawn: a forked child would share native state (ONNX threads, open documents).
        context = multiprocessing.get_context("spawn")
        with self._lock:
            if self._closed:
                return None
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, self._environment), daemon=True)
            # The parent must close its copy of `theirs`, or it would never read an end of file.
            with theirs, _hidden_script():
                process.start()
            self._process, self._connection = process, ours
            return ours


_hiding = Lock()


@contextmanager
def _hidden_script() -> Iterator[None]:
    """Keep multiprocessing from importing ``__main__``: the child would run the script again."""
    # Replace the module instead of changing it: other threads go on running the script.
    with _hiding:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script
