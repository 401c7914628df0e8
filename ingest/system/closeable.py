"""What must be closed can stand in a ``with`` statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

__all__ = ["Closeable"]

T = TypeVar("T", bound="Closeable")


class Closeable(ABC):
    """Base of what holds files, processes or connections."""

    @abstractmethod
    def close(self) -> None:
        """Let go of them."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
