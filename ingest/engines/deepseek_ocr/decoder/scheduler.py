"""Which page is in which slot, when: the host's half of decoding.

Pages start as soon as slots are free, the longest first, and go to longer slots as they grow. The
host reads what the device wrote some steps later and never makes it wait; ids a device wrote
behind the end of a page are dropped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import torch
from torch import Tensor

from ....core.vision import FinishReason
from ..device.memory import out_of_memory
from ..device.transfer import Download
from .graphs import RecordedSteps, Steps
from .loops import LoopDetector
from .plan import DecodePlan
from .slots import Slots, Start, starting
from .step import Shape, Stepper

__all__ = ["Page", "Scheduler", "Tally"]

_LOOK_EVERY: Final = 32  # ids between looks for a loop; a look takes as long as a tenth of a step
_REFILL: Final = 32  # pages start when one slot in so many is free: starting stops the others
_SPAN: Final = 64  # keys looked at are a multiple of this
_MEMORY: Final = 1 / 32  # weight of the newest step in what is expected of guesses

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Page:
    """A page to be decoded; ``ids`` and ``reason`` are the answer.

    Attributes:
        number: of the request.
        length: rows that enter the decoder.
        embed: makes these rows, ``[length, hidden]``.
        budget: ids it may write.
        expected: ids it probably writes.
        draft: ids it may hold.
        hope: guesses expected to be right per step.
    """

    number: int
    length: int
    embed: Callable[[], Tensor]
    budget: int
    expected: int
    draft: tuple[int, ...] = ()
    ids: list[int] = field(default_factory=list)
    reason: FinishReason = "length"
    is_done: bool = False
    started: float = 0.0
    seconds: float = 0.0
    hope: float = 0.0
    waits: bool = False  # for a longer slot

    @property
    def tokens(self) -> int:
        """Keys there are of it, as far as the host knows."""
        return self.length + len(self.ids)

    def restart(self) -> None:
        """Forget what was written."""
        self.ids.clear()
        self.waits = False


@dataclass(slots=True)
class Tally:
    """What decoding took.

    Attributes:
        steps: steps after the first id of a page.
        rows: slots computed in them.
        useful: of these, slots that wrote something.
        guessed: ids that were guessed and checked.
        right: of these, ids that were written.
    """

    steps: int = 0
    rows: int = 0
    useful: int = 0
    guessed: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A step the device may still be at."""

    pages: list[Page | None]
    written: Download


class Scheduler:
    """Decodes pages. Use one at a time per network and thread.

    Args:
        stepper: the device's half.
        plan: slots and pace.
        is_loop: says of the ids of a page whether it goes round in circles.
        draft: longest draft kept, in ids.
        tally: added to.
    """

    def __init__(
        self,
        stepper: Stepper,
        plan: DecodePlan,
        is_loop: LoopDetector,
        draft: int,
        tally: Tally,
    ) -> None:
        self._stepper = stepper
        self.plan = plan
        self._is_loop = is_loop
        self._draft = draft
        self._classes: list[Slots] = []
        self._pages: list[list[Page | None]] = []  # per class, by slot; None where one ended
        self._waiting: deque[Page] = deque()
        self._flights: deque[_Flight] = deque()
        self._steps = Steps(stepper, [])
        self._tally = tally

    def run(self, source: Iterable[Page | None], ahead: int | None = None) -> Iterator[Page]:
        """Decode pages and yield each as soon as it has ended.

        Args:
            source: asked for more when all before have started; None in it says that there is
                nothing now, which ends the run if no page is under way.
            ahead: pages looked at together to begin with the longest; None for all.

        Raises:
            OutOfMemory: not even one page fits.
        """
        pages = iter(source)
        while True:
            if not self._waiting:
                found = [page for page in islice(pages, ahead) if page]
                self._waiting.extend(sorted(found, key=lambda page: -page.expected))
            if not self._waiting and not self._running() and not self._flights:
                return
            with torch.inference_mode(), self._stepper.forward.launching():
                self._advance()
                finished = self._collect()
            yield from finished

    def _advance(self) -> None:
        try:
            self._step()
        except torch.OutOfMemoryError as error:
            if self.plan.halved() is None:
                raise out_of_memory("decoding a page", error) from error
        else:
            return
        self._halve()

    def _step(self) -> None:
        if not self._classes:
            self._allocate()
        self._make_room()
        if self._fill():
            self._close_gaps()
        if any(page and not page.waits for page in self._running()):
            self._launch()

    def _allocate(self) -> None:
        like = self._stepper.forward.empty_cache
        window = self._stepper.window
        self._classes = [Slots(c, like, window, self._draft) for c in self.plan.classes]
        self._pages = [[] for _ in self._classes]
        kind = RecordedSteps if self.plan.graphs else Steps
        self._steps = kind(self._stepper, self._classes)

    def _halve(self) -> None:
        # Pages on the way start again: whatever a step that failed left behind is gone.
        lost = [page for page in self._running() if page]
        for page in lost:
            page.restart()
        self._waiting.extendleft(reversed(lost))
        self._flights.clear()
        self._steps = Steps(self._stepper, [])  # graphs hold on to memory
        self._classes, self._pages = [], []
        torch.cuda.empty_cache()
        before = self.plan.slots
        self.plan = self.plan.halved() or self.plan
        _log.warning("%d pages at once do not fit, going on with %d", before, self.plan.slots)

    def _running(self) -> list[Page | None]:
        return [page for pages in self._pages for page in pages]

    def _reach(self) -> int:
        # Keys that steps on the way and the next one may add to what the host knows of a page, and
        # those that rows which have ended still write behind their end.
        guesses = self.plan.guesses
        return (len(self._flights) + 1) * (1 + guesses) + guesses

    def _make_room(self) -> None:
        """Move pages that would outgrow their slots; where no longer one is free, they wait."""
        for number, slots in enumerate(self._classes[:-1]):
            for slot, page in enumerate(self._pages[number]):
                if page is None or page.tokens + self._reach() <= slots.size.length:
                    continue
                if target := self._free(page, above=number):
                    self._move(page, (number, slot), target)
                    self._pages[number][slot] = None
                    if page.waits:
                        self._classes[target[0]].stop(target[1], going=True)
                        page.waits = False
                elif not page.waits:
                    slots.stop(slot)
                    page.waits = True

    def _move(self, page: Page, here: tuple[int, int], there: tuple[int, int]) -> None:
        source, target = self._classes[here[0]], self._classes[there[0]]
        length = min(page.tokens + self._reach(), source.size.length)
        source.move(here[1], target, there[1], length)
        self._settle(page, there)

    def _settle(self, page: Page, place: tuple[int, int]) -> None:
        pages = self._pages[place[0]]
        if place[1] == len(pages):
            pages.append(page)
        else:
            pages[place[1]] = page

    def _free(self, page: Page, above: int = -1) -> tuple[int, int] | None:
        """The shortest free slot that the page probably never outgrows; else the longest."""
        wanted = page.length + min(page.expected, page.budget)
        found = None
        for number, slots in enumerate(self._classes):
            pages = self._pages[number]
            slot = pages.index(None) if None in pages else len(pages)
            is_last = number == len(self._classes) - 1  # holds any page to its end
            fits = is_last or page.tokens + self._reach() < slots.size.length
            if number <= above or slot == slots.size.slots or not fits:
                continue
            found = (number, slot)
            if wanted <= slots.size.length:
                break
        return found

    def _free_slots(self) -> int:
        return self.plan.slots - sum(page is not None for page in self._running())

    def _fill(self) -> bool:
        """Start pages; False if free slots are left free until there are more of them."""
        if self._waiting and self._free_slots() < max(1, self.plan.slots // _REFILL):
            return False
        while batch := self._next_batch(self._free_slots()):
            self._start(batch)
        return True

    def _next_batch(self, most: int) -> list[tuple[Page, tuple[int, int]]]:
        batch: list[tuple[Page, tuple[int, int]]] = []
        tokens = 0
        for page in list(self._waiting) if most else []:
            place = self._free(page)
            if place is None:
                continue
            if batch and tokens + page.length > self.plan.pack:
                break
            self._waiting.remove(page)
            self._settle(page, place)
            batch.append((page, place))
            tokens += page.length
            if len(batch) == most:
                break
        return batch

    def _start(self, batch: list[tuple[Page, tuple[int, int]]]) -> None:
        now = time.perf_counter()
        for page, _ in batch:
            page.started = now
            page.hope = self.plan.guesses / 2 if page.draft else 0.0
        batch.sort(key=lambda start: start[1][0])  # rows of a class are put into it together
        packed = torch.cat([page.embed() for page, _ in batch])
        places = [self._classes[n].place(slot, page.length) for page, (n, slot) in batch]
        starts = [Start(slot, page.length, page.budget, page.draft) for page, (_, slot) in batch]
        where, rows = starting(starts, self._stepper.window, self._draft, packed.device)
        written, new = self._stepper.start(packed, places, rows)
        counts = [sum(n == number for _, (n, _) in batch) for number in range(len(self._classes))]
        parts = zip(self._classes, torch.split(where, counts), new.split(counts), strict=True)
        for slots, of_class, started in parts:
            slots.rows.put(of_class, started)
        self._flights.append(_Flight([page for page, _ in batch], Download.of(written)))

    def _close_gaps(self) -> None:
        """Let pages in the last slots take those that stay free: steps compute the first ones."""
        for number, pages in enumerate(self._pages):
            while None in pages:
                last = pages[-1]
                if last is not None:  # copied before it is let go: memory may run out
                    self._move(last, (number, len(pages) - 1), (number, pages.index(None)))
                pages.pop()

    def _launch(self) -> None:
        shape = self._steps.rounded(self._shape())
        pages: list[Page | None] = []
        for of_class, (count, _) in zip(self._pages, shape, strict=True):
            pages += [*of_class, *[None] * (count - len(of_class))]
        going = [page for page in pages if page and not page.waits]
        hope = sum(page.hope for page in going)
        guesses = self.plan.guesses if hope > self.plan.gain * len(going) else 0
        written = self._steps.step(shape, guesses)
        self._tally.steps += 1
        self._tally.rows += len(pages)
        self._flights.append(_Flight(pages, Download.of(written)))

    def _shape(self) -> Shape:
        shape = []
        for slots, pages in zip(self._classes, self._pages, strict=True):
            longest = max((page.tokens for page in pages if page), default=0) + self._reach()
            span = min(-(-longest // _SPAN) * _SPAN, slots.size.length)
            shape.append((len(pages), span))
        return tuple(shape)

    def _collect(self) -> list[Page]:
        """Read steps, but for the newest ones while there is something to do."""
        finished: list[Page] = []
        behind = self.plan.lag if any(self._running()) else 0
        while len(self._flights) > behind:
            flight = self._flights.popleft()
            for page, ids in zip(flight.pages, flight.written.read(), strict=True):
                if page and not page.is_done and self._note(page, ids):
                    finished.append(page)
        for page in finished:
            self._release(page)
        return finished

    def _note(self, page: Page, ids: list[int]) -> bool:
        """Add what a step wrote to a page; whether that ended it."""
        count = len(ids) - ids.count(-1)
        self._tally.useful += count > 0 and len(page.ids) > 0
        if len(ids) > 1 and count:
            page.hope += _MEMORY * (count - 1 - page.hope)
            self._tally.guessed += len(ids) - 1
            self._tally.right += count - 1
        page.is_done = any(self._ends(page, token) for token in ids[:count])
        if page.is_done:
            page.seconds = time.perf_counter() - page.started
        return page.is_done

    def _ends(self, page: Page, token: int) -> bool:
        if token == self._stepper.eos:
            page.reason = "eos"
            return True
        page.ids.append(token)
        length = len(page.ids)
        if length % _LOOK_EVERY == 0 and self._is_loop(page.ids):
            page.reason = "loop"
            return True
        return length == page.budget

    def _release(self, page: Page) -> None:
        for slots, pages in zip(self._classes, self._pages, strict=True):
            if page in pages:
                slot = pages.index(page)
                pages[slot] = None
                slots.stop(slot)
