"""Settings of the no-repeat n-gram rule, which :mod:`.greedy` applies."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NoRepeat"]


@dataclass(frozen=True, slots=True)
class NoRepeat:
    """Bans ids that would complete an n-gram a second time within a window of generated ids.

    The defaults are those of the published vLLM recipe.

    Attributes:
        size: ids of an n-gram; below 2 nothing is banned.
        window: generated ids that are searched; the prompt does not count.
    """

    size: int = 30
    window: int = 90
