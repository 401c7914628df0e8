"""Runs one engine in several processes, each on its own device, with a common queue of pages.

Pages are grouped into jobs that are large enough to fill a device. This module does not know the
engine: it is given the function that reads a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, takewhile
from typing import Final

from ..core.config import EngineConfig, WorkLimits
from ..core.errors import ConfigError, EngineError
from ..core.records import PageFailure, PageOutcome, PageTask
from ..system.workers import WorkerCrash, WorkerPool

__all__ = ["Job", "MultiGpuEngine", "device_environments"]

# Pages in a job: two for each slot of a large GPU, because slots stay empty at the end of a job.
_PAGES: Final = 512
_DIGITS: Final = 4  # of a GPU's number
_LOADING: Final = 3600.0  # seconds to load a model: 7 GB over a connection with 2 MB/s
# Crashes in a row after which no page is blamed. A job whose first four pages are bad has 14.
_HOPELESS: Final = 16
_ALL_MEMORY: Final = 2**62  # bytes; the limit of a page must not count the model's weights


@dataclass(frozen=True, slots=True)
class Job:
    """Pages that one process reads together, and the configuration of its engine."""

    config: EngineConfig
    tasks: tuple[PageTask, ...]


class MultiGpuEngine:
    """Reads pages in one process per device.

    Args:
        name: name of the engine.
        config: configuration of the engine in each process. The process also draws the pages.
        read: reads a job in a process. A module-level function that keeps its engine between jobs.
        fingerprint: returns the engine's fingerprint in a process. Also a module-level function.
        environments: environment variables of each process; they select its device.
        limits: seconds a page may take. A job may take the sum for its pages, and time to load a
            model. The memory limit is ignored.
    """

    def __init__(
        self,
        name: str,
        config: EngineConfig,
        *,
        read: Callable[[Job], list[PageOutcome]],
        fingerprint: Callable[[EngineConfig], str],
        environments: Sequence[Mapping[str, str]],
        limits: WorkLimits | None = None,
    ) -> None:
        self._name = name
        self._config = config
        self._read = read
        self._read_fingerprint = fingerprint
        self._devices = len(environments)
        self._crashes = 0  # in a row
        self._limits = limits and WorkLimits(limits.seconds, _ALL_MEMORY)
        self._pool = WorkerPool(self._devices, self._limits, environments)

    @property
    def name(self) -> str:
        """Name of the engine in the processes."""
        return self._name

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the engine in the processes. The number of devices does not change it.

        Raises:
            EngineError: the engine cannot be started in a process.
        """
        (answer,) = self._pool.map(self._read_fingerprint, [self._config], lambda _: _LOADING)
        if not isinstance(answer, WorkerCrash):
            return answer
        raise EngineError(f"cannot start the engine {self._name}: {answer.reason}")

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead a bounded number of jobs.

        If a job crashes its process, it is read again in halves, so that only the page that crashes
        it is lost. After too many crashes in a row, the whole job is lost, because the cause is not
        a page.
        """
        self._crashes = 0
        yield from self._outcomes(self._jobs(iter(tasks)))

    def _outcomes(self, jobs: Iterable[Job]) -> Iterator[PageOutcome]:
        for result in self._pool.map(self._read, jobs, self._seconds):
            if not isinstance(result, WorkerCrash):
                self._crashes = 0
                yield from result
                continue
            self._crashes += 1
            tasks = result.item.tasks
            if len(tasks) == 1 or self._crashes > _HOPELESS:
                yield from (_lost(task, result) for task in tasks)
            else:
                middle = len(tasks) // 2
                halves = tasks[:middle], tasks[middle:]
                yield from self._outcomes(Job(self._config, half) for half in halves)

    def _seconds(self, job: Job) -> float:
        page = self._limits.seconds if self._limits else 0.0  # unused without limits
        return _LOADING + page * len(job.tasks)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def _jobs(self, tasks: Iterator[PageTask]) -> Iterator[Job]:
        # Share few pages evenly, so that no device is idle.
        first = list(islice(tasks, _PAGES * self._devices))
        size = min(_PAGES, -(-len(first) // self._devices)) or 1
        remaining = chain(first, tasks)
        while part := tuple(islice(remaining, size)):
            yield Job(self._config, part)


def device_environments(devices: Sequence[str], visible: str | None) -> list[dict[str, str]]:
    """Return the environment variables that show each process its own GPU only.

    Args:
        devices: ``"cuda:N"``, or ``"cpu"``, which needs no variables.
        visible: ``CUDA_VISIBLE_DEVICES`` of this process; N is a position in it. None if all GPUs
            are visible; their number is then unknown until a process starts.

    Raises:
        ConfigError: a GPU without a number, one that is not visible, or one listed twice.
    """
    names: list[str] | None = None
    if visible is not None:  # CUDA ignores everything after an empty entry or -1
        entries = (name.strip() for name in visible.split(","))
        names = list(takewhile(lambda name: name not in ("", "-1"), entries))
    result: list[dict[str, str]] = []
    for device in devices:
        kind, _, number = device.partition(":")
        chosen = {"CUDA_VISIBLE_DEVICES": _gpu(device, number, names)} if kind == "cuda" else {}
        if chosen and chosen in result:
            raise ConfigError(
                f"{device} is listed twice, in device or in CUDA_VISIBLE_DEVICES={visible}; list"
                " each GPU once, because one process fills it"
            )
        result.append(chosen)
    return result


def _gpu(device: str, number: str, names: list[str] | None) -> str:
    if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
        raise ConfigError(f"invalid device {device!r:.99}: list GPUs by number, as cuda:0,cuda:1")
    if names is None:
        return str(int(number))
    if int(number) >= len(names):
        raise ConfigError(
            f"{device} is not visible: CUDA_VISIBLE_DEVICES lists {len(names)} GPUs, numbered from"
            " cuda:0; choose one of them, or make more visible"
        )
    return names[int(number)]


def _lost(task: PageTask, crash: WorkerCrash[Job]) -> PageFailure:
    message = f"page {task.ref.number} of {task.ref.document.name} was lost: {crash.reason}"
    return PageFailure.of(task.ref, crash.code, message)
