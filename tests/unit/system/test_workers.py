from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

import psutil
import pytest

from opticalrag.ingest.core.config import WorkLimits
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.system.workers import WorkerCrash, WorkerPool

ROOMY = WorkLimits(60)


def double(value: int) -> int:
    return value * 2


def die_on_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return value


def fail(value: int) -> int:
    raise LookupError(value)


def threads_of_worker(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def hang_on_three(value: int) -> int:
    if value == 3:
        time.sleep(600)
    return value


def stop_on_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)  # the signal takes effect a little later
    return value


def eat_on_three(value: int) -> int:
    eaten = []
    while value == 3:
        eaten.append(bytearray(os.urandom(1024)) * 16 * 1024)
        time.sleep(0.005)
    return value


def nap(marker: str) -> str:
    """Run for a second, not counting the time in which the process is stopped."""
    Path(marker).touch()
    for _ in range(20):
        time.sleep(0.05)
    return "rested"


hoard: list[bytearray] = []


def keep(megabytes: int) -> int:
    """Leave memory behind, as a library's caches do."""
    hoard.append(bytearray(os.urandom(1024)) * 1024 * megabytes)
    time.sleep(0.3)
    return os.getpid()


def crash_unless_new(value: int) -> int:
    hoard.append(bytearray(1))
    if len(hoard) == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return value


def pid_and_threads(_: int) -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def large(value: int) -> bytes:
    return bytes(value)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    """A pool returns the same as the built-in map."""
    with WorkerPool(workers) as pool:
        assert list(pool.map(double, range(20))) == [n * 2 for n in range(20)]


def test_items_are_taken_only_as_far_ahead_as_needed() -> None:
    """A long source is not read into memory."""
    taken = []

    def source() -> object:
        for n in range(1000):
            taken.append(n)
            yield n

    with WorkerPool(2) as pool:
        results = pool.map(double, source())  # type: ignore[arg-type]
        next(results)
        assert len(taken) < 20


def test_a_killed_worker_loses_only_its_item() -> None:
    """Its result names the item; all others have their results, in order."""
    with WorkerPool(2) as pool:
        results = list(pool.map(die_on_three, range(8)))

    assert results == [0, 1, 2, WorkerCrash(3), 4, 5, 6, 7]


def test_an_exception_of_the_function_reaches_the_caller() -> None:
    """It is not swallowed, and the pool can be used again."""
    with WorkerPool(2) as pool:
        with pytest.raises(LookupError):
            list(pool.map(fail, [1]))
        assert list(pool.map(double, [4])) == [8]


class Unsendable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self) -> None:
        self.lock = Lock()


def fail_unsendably(value: int) -> int:
    raise Unsendable


def test_an_exception_that_cannot_be_pickled_does_not_crash_the_worker() -> None:
    """The process survives and the caller gets the name of the exception."""
    with WorkerPool(1, ROOMY) as pool:
        (before,) = pool.map(pid_and_threads, [0])
        with pytest.raises(RuntimeError, match="Unsendable"):
            list(pool.map(fail_unsendably, [1]))
        (after,) = pool.map(pid_and_threads, [0])

    assert before == after


def test_stopping_early_leaves_no_process_behind() -> None:
    """Closing the pool in the middle of a map ends its processes."""
    pool = WorkerPool(2)
    results = pool.map(double, iter(range(1000)))
    next(results)
    pool.close()

    assert not [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]


def test_workers_compute_on_one_thread_and_the_parent_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Native libraries in workers do not compete for cores; our environment is unchanged."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with WorkerPool(2) as pool:
        assert list(pool.map(threads_of_worker, [0, 1])) == ["1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Workers do not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import operator\n"
        "from opticalrag.ingest.system.workers import WorkerPool\n"
        "print('started')\n"
        "with WorkerPool(2) as pool:\n"
        "    print(list(pool.map(operator.neg, [1, 2, 3])))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == ["started", "[-1, -2, -3]"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("function", [hang_on_three, stop_on_three])
def test_an_item_that_takes_too_long_is_stopped(
    function: Callable[[int], int], workers: int
) -> None:
    """A worker that hangs or is stopped is killed and replaced; the other items have results."""
    started = time.monotonic()
    with WorkerPool(workers, WorkLimits(0.5)) as pool:
        results = list(pool.map(function, range(6)))

    assert results == [0, 1, 2, WorkerCrash(3, "timeout"), 4, 5]
    assert "more than 0.5 s" in results[3].reason
    assert "--page-timeout" in results[3].reason
    assert time.monotonic() - started < 30


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is watched on Linux")
def test_an_item_that_takes_too_much_memory_is_stopped() -> None:
    """Memory is checked while a worker runs; the result names the item that took too much."""
    with WorkerPool(1, WorkLimits(60, 256 * 1024**2)) as pool:
        results = list(pool.map(eat_on_three, range(5)))

    assert results == [0, 1, 2, WorkerCrash(3, "out_of_memory"), 4]
    assert "0.25 GiB" in results[3].reason
    assert "--page-memory" in results[3].reason


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is watched on Linux")
def test_memory_of_earlier_items_is_not_an_items_fault() -> None:
    """An item in a worker that is already full is repeated in a new one."""
    with WorkerPool(1, WorkLimits(60, 256 * 1024**2)) as pool:
        pids = list(pool.map(keep, [150, 150, 150]))

    assert len({pid for pid in pids if isinstance(pid, int)}) == 3


def test_an_item_that_crashes_by_an_earlier_items_fault_is_repeated() -> None:
    """One item corrupts memory, and the process dies at a later one."""
    with WorkerPool(1, ROOMY) as pool:
        assert list(pool.map(crash_unless_new, range(5))) == [0, 1, 2, 3, 4]


def test_a_crash_says_how_the_process_ended() -> None:
    """The reason names the signal."""
    with WorkerPool(1, ROOMY) as pool:
        (crash,) = pool.map(die_on_three, [3])

    assert isinstance(crash, WorkerCrash)
    assert (crash.code, "SIGKILL" in crash.reason) == ("crashed", True)


def test_a_lone_worker_with_limits_is_a_process() -> None:
    """It may use all cores, as this process may."""
    with WorkerPool(1, ROOMY) as pool:
        ((pid, threads),) = pool.map(pid_and_threads, [0])

    assert (pid != os.getpid(), threads) == (True, os.environ.get("OMP_NUM_THREADS"))


def test_the_start_of_a_process_does_not_count_against_an_item() -> None:
    """A limit shorter than the start of a process stops no item."""
    with WorkerPool(1, WorkLimits(0.2)) as pool:
        assert list(pool.map(double, range(3))) == [0, 2, 4]


def test_time_in_which_everything_is_stopped_does_not_count(tmp_path: Path) -> None:
    """Ctrl+Z and fg, or a paused container, cost no page."""
    begun = tmp_path / "begun"
    lines = (
        "from opticalrag.ingest.core.config import WorkLimits",
        "from opticalrag.ingest.system.workers import WorkerPool",
        "from tests.unit.system.test_workers import nap",
        "with WorkerPool(1, WorkLimits(2)) as pool:",
        f"    print(list(pool.map(nap, [{str(begun)!r}])))",
    )
    arguments = [sys.executable, "-c", "\n".join(lines)]
    run = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with run:
        while not begun.exists():
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGSTOP)
        time.sleep(3)
        os.killpg(run.pid, signal.SIGCONT)
        output, _ = run.communicate(timeout=60)

    assert output == "['rested']\n"


def test_large_results_arrive_while_being_watched() -> None:
    """A result may be larger than a pipe holds."""
    with WorkerPool(2, ROOMY) as pool:
        assert [len(r) for r in pool.map(large, [50_000_000] * 4)] == [50_000_000] * 4


@pytest.mark.parametrize(("seconds", "memory"), [(0, 10**10), (-1, 10**10), (1, 1)])
def test_limits_that_allow_nothing_are_refused(seconds: float, memory: int) -> None:
    """Under such a limit no page could be read."""
    with pytest.raises(ConfigError, match=r"limit is .*: use"):
        WorkLimits(seconds, memory)


def stop_soon(value: int) -> int:
    Thread(target=lambda: (time.sleep(0.1), os.kill(os.getpid(), signal.SIGSTOP))).start()
    return value


def test_a_worker_that_stops_between_items_loses_no_item() -> None:
    """An item that did not begin is repeated in a new process."""
    with WorkerPool(1, WorkLimits(0.5)) as pool:
        assert list(pool.map(stop_soon, [0])) == [0]
        time.sleep(0.3)
        assert list(pool.map(double, [1, 2])) == [2, 4]


def test_a_worker_that_hangs_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """The kernel ends native code that hangs after its watchdog is gone."""
    script = tmp_path / "script.py"
    script.write_text(
        "from opticalrag.ingest.core.config import WorkLimits\n"
        "from opticalrag.ingest.system.workers import WorkerPool\n"
        "import re\n"
        "with WorkerPool(1, WorkLimits(2)) as pool:\n"
        "    list(pool.map(abs, [1]))\n"
        "    print('started', flush=True)\n"
        # Backtracks forever in C, holding the interpreter lock.
        "    list(pool.map(re.compile('(a|aa)+b').match, ['a' * 80]))\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        children = psutil.Process(parent.pid).children()
        workers = [p for p in children if "spawn_main" in " ".join(p.cmdline())]
        time.sleep(0.5)
        parent.kill()
    _, hanging = psutil.wait_procs(workers, timeout=0.5)
    assert len(hanging) == 1
    gone, alive = psutil.wait_procs(workers, timeout=30)

    assert (len(gone), alive) == (1, [])
