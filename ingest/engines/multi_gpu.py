"""One engine in several processes, each with a device of its own, that share a queue of pages.

Pages go out in jobs that are large enough to fill a device. Knows no engine: it is given the
function that reads a job.
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

__all__ = ["Job", "SpreadEngine", "environments_of"]

_PAGES: Final = 512  # two for each slot of a large GPU: the last ones leave slots empty
_DIGITS: Final = 4  # of a GPU's number
_LOADING: Final = 3600.0  # seconds until a model is there: 7 GB may come over a line of 2 MB/s
_HOPELESS: Final = 16  # crashes in a row: of a job whose first four pages are bad there are 14
_ALL_MEMORY: Final = 2**62  # a model's weights are no page's fault


@dataclass(frozen=True, slots=True)
class Job:
    """Pages that one process reads together, and the engine it reads them with."""

    config: EngineConfig
    tasks: tuple[PageTask, ...]


class SpreadEngine:
    """Reads pages in a process per device.

    Args:
        name: of the engine.
        config: of the engine in each process, which draws pages itself.
        read: reads a job; a function of a module, which keeps its engine for the next job.
        fingerprint: that of the engine, asked for in a process.
        environments: variables of each process, which say which device is its own.
        limits: what a page may cost; a job may take as many times the seconds as it has pages,
            and time to load a model.
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
        self._ask = fingerprint
        self._devices = len(environments)
        self._crashes = 0  # since a job was read
        self._limits = limits and WorkLimits(limits.seconds, _ALL_MEMORY)
        self._pool = WorkerPool(self._devices, self._limits, environments)

    @property
    def name(self) -> str:
        """That of the engine in the processes."""
        return self._name

    @cached_property
    def fingerprint(self) -> str:
        """That of the engine in the processes: on how many devices it runs changes nothing.

        Raises:
            EngineError: no process could start it.
        """
        (answer,) = self._pool.map(self._ask, [self._config], lambda _: _LOADING)
        if not isinstance(answer, WorkerCrash):
            return answer
        raise EngineError(f"the engine {self._name} cannot be started: {answer.reason}")

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead a bounded number of jobs.

        A job that ends its process is read again in halves, so that a page that does it is the
        only one lost. That ends where no page seems to be the cause.
        """
        self._crashes = 0
        yield from self._outcomes(self._jobs(iter(tasks)))

    def _outcomes(self, jobs: Iterable[Job]) -> Iterator[PageOutcome]:
        for found in self._pool.map(self._read, jobs, self._seconds):
            if not isinstance(found, WorkerCrash):
                self._crashes = 0
                yield from found
                continue
            self._crashes += 1
            tasks = found.item.tasks
            if len(tasks) == 1 or self._crashes > _HOPELESS:
                yield from (_lost(task, found) for task in tasks)
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
        # Few pages are divided evenly, so that no device is without.
        first = list(islice(tasks, _PAGES * self._devices))
        size = min(_PAGES, -(-len(first) // self._devices)) or 1
        every = chain(first, tasks)
        while part := tuple(islice(every, size)):
            yield Job(self._config, part)


def environments_of(devices: Sequence[str], visible: str | None) -> list[dict[str, str]]:
    """Variables by which each process sees its own GPU only.

    Args:
        devices: ``"cuda:N"``, or ``"cpu"``, of which nothing need be said.
        visible: ``CUDA_VISIBLE_DEVICES`` of this process: N counts in it. None: all are visible,
            and how many there are is not known before a process looks.

    Raises:
        ConfigError: a GPU without a number, one that is not visible, or one named twice.
    """
    names = None if visible is None else _visible(visible)
    result: list[dict[str, str]] = []
    for device in devices:
        kind, _, number = device.partition(":")
        chosen = {"CUDA_VISIBLE_DEVICES": _gpu(device, number, names)} if kind == "cuda" else {}
        if chosen and chosen in result:
            raise ConfigError(
                f"{device} is listed twice, or CUDA_VISIBLE_DEVICES={visible} names it twice; one"
                " process fills a GPU: list each once"
            )
        result.append(chosen)
    return result


def _visible(names: str) -> list[str]:
    # As CUDA reads it: what is behind a name that is none is not visible.
    stripped = (name.strip() for name in names.split(","))
    return list(takewhile(lambda name: name not in ("", "-1"), stripped))


def _gpu(device: str, number: str, names: list[str] | None) -> str:
    if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
        raise ConfigError(f"{device!r:.99} names no GPU; list GPUs by number, as cuda:0,cuda:1")
    if names is None:
        return str(int(number))
    if int(number) >= len(names):
        raise ConfigError(
            f"{device} is not visible: CUDA_VISIBLE_DEVICES names {len(names)} GPUs, counted from"
            " cuda:0; choose among them, or make more visible"
        )
    return names[int(number)]


def _lost(task: PageTask, crash: WorkerCrash[Job]) -> PageFailure:
    message = f"page {task.ref.number} of {task.ref.document.name} was lost: {crash.reason}"
    return PageFailure.of(task.ref, crash.code, message)
