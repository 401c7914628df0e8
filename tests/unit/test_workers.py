from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from opticalrag.ingest.workers import WorkerCrash, WorkerPool


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


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    """A pool gives what the built-in map gives."""
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


def test_a_worker_that_is_killed_loses_its_item_only() -> None:
    """The item that kills is named; all others have their result, in order."""
    with WorkerPool(2) as pool:
        results = list(pool.map(die_on_three, range(8)))

    assert results == [0, 1, 2, WorkerCrash(3), 4, 5, 6, 7]


def test_an_exception_of_the_function_reaches_the_caller() -> None:
    """Programming errors are not swallowed, and the pool can be used again."""
    with WorkerPool(2) as pool:
        with pytest.raises(LookupError):
            list(pool.map(fail, [1]))
        assert list(pool.map(double, [4])) == [8]


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
    """Native libraries in workers do not fight for cores; our environment is restored."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with WorkerPool(2) as pool:
        assert list(pool.map(threads_of_worker, [0, 1])) == ["1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Workers do not start the user's script over."""
    script = tmp_path / "script.py"
    script.write_text(
        "import operator\n"
        "from opticalrag.ingest.workers import WorkerPool\n"
        "print('started')\n"
        "with WorkerPool(2) as pool:\n"
        "    print(list(pool.map(operator.neg, [1, 2, 3])))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == ["started", "[-1, -2, -3]"]
