"""A page engine whose outcomes somebody else sees, too; who is told of a run does not end it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ..core.protocols import PageEngine
from ..core.records import PageOutcome, PageTask

__all__ = ["Listener", "ObservedEngine"]

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Listener(Generic[T]):
    """Calls a function of others; an error in it is logged once and ends nothing.

    Only what is no error, as Ctrl+C, is raised.
    """

    def __init__(self, function: Callable[[T], object]) -> None:
        self._function = function
        self._failed = False

    def __call__(self, told: T) -> None:
        """Tell it."""
        try:
            self._function(told)
        except Exception as error:  # noqa: BLE001  whatever it is, a night's work is worth more
            if not self._failed:  # its words are not shown: it may quote a document
                _log.warning("who is told of the run failed (%s)", type(error).__name__)
                _log.debug("%r", self._function, exc_info=error)
            self._failed = True


class ObservedEngine:
    """Passes everything on to an engine, and each outcome to ``observers`` before it is used."""

    def __init__(self, engine: PageEngine, *observers: Callable[[PageOutcome], None]) -> None:
        self._engine = engine
        self._observers = [Listener(observe) for observe in observers]

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    @property
    def fingerprint(self) -> str:
        """The engine's: being seen changes nothing."""
        return self._engine.fingerprint

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield the engine's outcomes."""
        for outcome in self._engine.parse(tasks):
            for observe in self._observers:
                observe(outcome)
            yield outcome

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()
