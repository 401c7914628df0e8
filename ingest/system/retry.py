"""How long to retry after a transient fault of a server."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """A schedule of retries with exponential backoff.

    Each wait is multiplied by a random factor between 0.5 and 1, so that several clients do not
    retry at the same moment.

    Attributes:
        total: seconds to keep trying, including the first try.
        first: seconds of the first wait; each wait doubles the one before.
        longest: seconds of the longest wait.
    """

    total: float = 60.0
    first: float = 0.25
    longest: float = 8.0

    def wait(self, tries: int) -> float:
        """Return the seconds to wait after ``tries`` failed tries."""
        step = min(self.longest, self.first * 2.0 ** min(tries - 1, 30))
        return step * random.uniform(0.5, 1.0)  # noqa: S311  not a secret
