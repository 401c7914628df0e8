"""How long to retry after a transient fault of a server."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """A schedule of retries with exponential backoff, in seconds.

    Attributes:
        total: time to keep trying, including the first try.
        first: the first wait; each wait doubles the one before, up to ``longest``.
    """

    total: float = 60.0
    first: float = 0.25
    longest: float = 8.0

    def wait(self, tries: int) -> float:
        """Return the seconds to wait after ``tries`` failed tries."""
        step = min(self.longest, self.first * 2.0 ** min(tries - 1, 30))
        # A random factor keeps several clients from retrying at the same moment.
        return step * random.uniform(0.5, 1.0)  # noqa: S311  not a secret
