"""Base class of context managers with ``close()``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

__all__ = ["Closeable"]

T = TypeVar("T", bound="Closeable")


class Closeable(ABC):
    """Holds files, processes or connections until ``close()`` or the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Release them."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
