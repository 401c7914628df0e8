"""A page engine whose outcomes somebody else sees, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .protocols import PageEngine
from .types import PageOutcome, PageTask

__all__ = ["ObservedEngine"]


class ObservedEngine:
    """Passes everything on to an engine, and each outcome to ``observers`` before it is used."""

    def __init__(self, engine: PageEngine, *observers: Callable[[PageOutcome], None]) -> None:
        self._engine = engine
        self._observers = observers

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
