"""How long faults that pass by themselves are waited out."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How long faults of a server are waited out: ``total`` seconds, first try included.

    The waits double from ``first`` up to ``longest`` seconds, each by a random factor of 0.5 to 1
    so that several callers do not come back together.
    """

    total: float = 60.0
    first: float = 0.25
    longest: float = 8.0

    def wait(self, tried: int) -> float:
        """Seconds before the next try, after ``tried`` tries."""
        step = min(self.longest, self.first * 2.0 ** min(tried - 1, 30))
        return step * random.uniform(0.5, 1.0)  # noqa: S311  no secret
