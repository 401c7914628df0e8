"""Calls observers of a run: an error in one is logged and never ends the run."""

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
    """Calls a function. An ``Exception`` that it raises is logged once and swallowed.

    KeyboardInterrupt and other BaseExceptions pass.
    """

    def __init__(self, function: Callable[[T], object]) -> None:
        self._function = function
        self._failed = False

    def __call__(self, event: T) -> None:
        """Call the function."""
        try:
            self._function(event)
        except Exception as error:  # noqa: BLE001  an observer must not end a night's work
            if not self._failed:  # without its message, which may quote a document
                _log.warning("a progress callback raised an error (%s)", type(error).__name__)
                _log.debug("%r", self._function, exc_info=error)
            self._failed = True


class ObservedEngine:
    """Wraps an engine and reports each outcome to observers before it is used."""

    def __init__(self, engine: PageEngine, *observers: Callable[[PageOutcome], None]) -> None:
        self._engine = engine
        self._observers = [Listener(observe) for observe in observers]

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def fingerprint(self) -> str:
        """The engine's fingerprint: observers change no outcome."""
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
