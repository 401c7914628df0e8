"""How many slots the decoder has, and how it uses them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["DecodePlan", "SlotClass", "plan_slots"]

# Share of free memory for slots. The rest is for prefills, fragmentation and CUDA graphs. Graphs
# have a memory pool of their own: what one step needs (a twentieth of the slots), and up to 1 GB
# for the driver.
_FREE_SHARE: Final = 0.85
_SHORT: Final = 4  # short slots hold 1/4 of the context: 2,048 of 8,192 tokens
_LONG_EVERY: Final = 16  # one slot of the full context per 16 short ones


@dataclass(frozen=True, slots=True)
class SlotClass:
    """Slots of equal length."""

    slots: int
    length: int  # KV cache entries of each, in tokens


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """Size and pace of decoding.

    Attributes:
        classes: slots by length, shortest first; the last class holds the full context.
        guesses: ids guessed per step for a page with a draft (vLLM's
            ``num_speculative_tokens``); 0 turns guessing off.
        break_even: accepted guesses per running page above which a step with guesses is worth its
            longer run time. While fewer are expected, steps run without guesses.
        lag: steps and prefills that stay in flight: the host reads ids that much later.
        prefill_tokens: maximum of tokens prefilled together (vLLM's ``max_num_batched_tokens``);
            a longer page is prefilled alone.
        graphs: whether steps are captured as CUDA graphs.
    """

    classes: tuple[SlotClass, ...]
    guesses: int = 0
    break_even: float = 0.0
    lag: int = 0
    prefill_tokens: int = 8192
    graphs: bool = False

    @property
    def slots(self) -> int:
        """Slots of all classes together."""
        return sum(size.slots for size in self.classes)

    def halved(self) -> DecodePlan | None:
        """Halve each class, to at least one slot; then keep only the longest class; then None."""
        halves = tuple(replace(size, slots=(size.slots + 1) // 2) for size in self.classes)
        if halves == self.classes:
            halves = self.classes[-1:]
        return replace(self, classes=halves) if halves != self.classes else None


def plan_slots(
    wanted: int, context: int, token_bytes: int, row_bytes: int, free: int | None
) -> tuple[SlotClass, ...]:
    """Choose the number of short slots, at least one, and of long slots that fit the memory.

    Args:
        wanted: short slots, if they fit.
        context: length of a long slot, in tokens.
        token_bytes: KV cache bytes per token.
        row_bytes: further bytes that a step needs per row.
        free: free bytes; None if unknown, which counts as enough.
    """
    short = -(-context // _SHORT)

    def needed(count: int) -> int:
        tokens = count * short + -(-count // _LONG_EVERY) * context
        return tokens * token_bytes + count * row_bytes

    count = wanted
    while free is not None and count > 1 and needed(count) > _FREE_SHARE * free:
        count -= 1
    return SlotClass(count, short), SlotClass(-(-count // _LONG_EVERY), context)
