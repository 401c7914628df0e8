"""How many slots the decoder has, and how it runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["DecodePlan", "SlotClass", "plan_slots"]

# Of free memory. The rest is for packed pages, for fragmentation and for recorded steps, which
# compute in memory of their own: as much as a step takes, a twentieth of the slots, and a gigabyte
# of the driver's at most.
_FREE_SHARE: Final = 0.85
_SHORT: Final = 4  # a short slot has this part of the context: 2,048 tokens of 8,192
_LONG_EVERY: Final = 16  # one slot of the whole context for so many short ones


@dataclass(frozen=True, slots=True)
class SlotClass:
    """How many slots there are of one length, in tokens."""

    slots: int
    length: int


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """How pages are decoded.

    Attributes:
        classes: slots, the shorter ones first; the last hold the whole context.
        guesses: ids guessed per step where a page has a draft; 0 guesses none.
        gain: guesses that must be expected to be right, per page and step, to be made: what a
            longer step costs.
        lag: steps the host may be behind the device.
        pack: tokens of pages that start together.
        graphs: whether steps are recorded as CUDA graphs.
    """

    classes: tuple[SlotClass, ...]
    guesses: int = 0
    gain: float = 0.0
    lag: int = 0
    pack: int = 8192
    graphs: bool = False

    @property
    def slots(self) -> int:
        """Of all lengths."""
        return sum(size.slots for size in self.classes)

    def halved(self) -> DecodePlan | None:
        """Half the slots of each length, at least one; None if there is nothing to halve."""
        halves = tuple(replace(size, slots=(size.slots + 1) // 2) for size in self.classes)
        if halves == self.classes:
            halves = self.classes[-1:]
        return replace(self, classes=halves) if halves != self.classes else None


def plan_slots(
    wanted: int, context: int, token_bytes: int, row_bytes: int, free: int | None
) -> tuple[SlotClass, ...]:
    """Slots for as many pages as wanted, or as fit.

    Args:
        wanted: pages decoded together.
        context: tokens the longest page may have.
        token_bytes: keys and values of a token.
        row_bytes: what a step needs for a page besides.
        free: bytes; None if nobody knows.
    """
    short = -(-context // _SHORT)

    def needed(count: int) -> int:
        tokens = count * short + -(-count // _LONG_EVERY) * context
        return tokens * token_bytes + count * row_bytes

    count = wanted
    while free is not None and count > 1 and needed(count) > _FREE_SHARE * free:
        count -= 1
    return SlotClass(count, short), SlotClass(-(-count // _LONG_EVERY), context)
