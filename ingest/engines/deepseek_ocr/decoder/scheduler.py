"""The host's half of decoding: which page is in which slot, and when.

Pages are admitted as slots become free, the longest first, and move to longer slots as they grow.
The host never waits for the newest step: it reads ids some steps late and drops those that the
device wrote after the end of a page.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ....core.vision import FinishReason
from ..device.memory import out_of_memory
from ..device.transfer import Download
from .forward import PrefillSlot
from .graphs import EagerSteps, GraphSteps
from .loops import LoopDetector
from .plan import DecodePlan
from .slots import NewPage, Slots, upload_rows
from .step import Shape, Stepper

__all__ = ["Page", "Scheduler", "Tally"]

_LOOP_CHECK: Final = 32  # ids between loop checks; a check takes a tenth of a step's time
_REFILL: Final = 32  # admit pages once 1/32 of the slots is free: a prefill delays running pages
_SPAN: Final = 64  # spans are multiples of this
_SMOOTHING: Final = 1 / 32  # weight of the newest step in the moving average of accepted guesses

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Page:
    """A page to decode, and its answer so far."""

    number: int  # of the request
    prompt_length: int  # tokens of the page and its prompt
    embed: Callable[[], Tensor]  # makes their embeddings, [prompt_length, hidden]
    budget: int  # maximum of ids to write
    expected: int  # ids it will probably write
    draft: tuple[int, ...] = ()  # ids of text it may hold
    ids: list[int] = field(default_factory=list)  # those read back, without end-of-sentence
    reason: FinishReason = "length"
    is_done: bool = False
    is_paused: bool = False  # waits for a longer slot
    started: float = 0.0  # when it was prefilled, by ``time.perf_counter``
    seconds: float = 0.0  # from then to its end
    acceptance: float = 0.0  # accepted guesses per step, a moving average

    @property
    def length(self) -> int:
        """Tokens of the prompt and of the answer, as far as the host has read it."""
        return self.prompt_length + len(self.ids)


@dataclass(slots=True)
class Tally:
    """Counts the work of decoding."""

    steps: int = 0  # decode steps; prefills do not count
    rows: int = 0  # computed in them
    useful: int = 0  # rows that wrote at least one id
    guessed: int = 0  # ids guessed in rows that wrote at least one
    accepted: int = 0  # of the guessed ids


class _SlotId(NamedTuple):
    """A slot: number of its class, and index in it."""

    number: int
    slot: int


class Scheduler:
    """Decodes pages, each with up to ``draft`` draft ids, and adds its work to ``tally``.

    Run only one at a time per thread and model.
    """

    def __init__(
        self, stepper: Stepper, plan: DecodePlan, is_loop: LoopDetector, draft: int, tally: Tally
    ) -> None:
        self._stepper = stepper
        self.plan = plan
        self._is_loop = is_loop
        self._draft = draft
        self._classes: list[Slots] = []
        self._pages: list[list[Page | None]] = []  # per class and slot; None where a page ended
        self._waiting: deque[Page] = deque()
        # Prefills and steps whose ids the host has not read: the page of each row, and the ids.
        self._in_flight: deque[tuple[list[Page | None], Download]] = deque()
        self._steps = EagerSteps(stepper, [])
        self._tally = tally

    def run(self, source: Iterable[Page | None], lookahead: int | None = None) -> Iterator[Page]:
        """Decode pages and yield each one when it is done.

        Reads ``lookahead`` pages at a time (None: all) once all read before have started, and
        starts the longest first. None in ``source`` means that no page is available now; the run
        ends if that happens while no page is under way.

        Raises:
            OutOfMemory: a single page does not fit.
        """
        pages = iter(source)
        while True:
            if not self._waiting:
                found = [page for page in islice(pages, lookahead) if page]
                self._waiting.extend(sorted(found, key=lambda page: -page.expected))
            if not self._waiting and not self._running() and not self._in_flight:
                return
            with torch.inference_mode(), self._stepper.forward.on_device():
                self._advance()
                finished = self._collect()
            yield from finished

    def _advance(self) -> None:
        try:
            self._schedule()
        except torch.OutOfMemoryError as error:
            if self.plan.halved() is None:
                raise out_of_memory("decoding a page", error) from error
        else:
            return
        self._halve()

    def _schedule(self) -> None:
        if not self._classes:
            self._allocate()
        self._promote()
        if self._admit():
            self._compact()
        if any(page and not page.is_paused for page in self._running()):
            self._launch_step()

    def _allocate(self) -> None:
        like = self._stepper.forward.empty_cache
        window = self._stepper.window
        self._classes = [Slots(c, like, window, self._draft) for c in self.plan.classes]
        self._pages = [[] for _ in self._classes]
        kind = GraphSteps if self.plan.graphs else EagerSteps
        self._steps = kind(self._stepper, self._classes)

    def _halve(self) -> None:
        # Running pages start again: the state of their slots is unknown after a failed step.
        lost = [page for page in self._running() if page]
        for page in lost:
            page.ids.clear()
            page.is_paused = False
        self._waiting.extendleft(reversed(lost))
        self._in_flight.clear()
        self._steps = EagerSteps(self._stepper, [])  # releases the memory of graphs
        self._classes, self._pages = [], []
        torch.cuda.empty_cache()
        before = self.plan.slots
        self.plan = self.plan.halved() or self.plan
        _log.warning(
            "out of memory with %d decoding slots, continuing with %d", before, self.plan.slots
        )

    def _running(self) -> list[Page | None]:
        return [page for pages in self._pages for page in pages]

    def _growth(self) -> int:
        # Upper bound of KV entries written beyond Page.length: those of steps in flight and of the
        # next one, and the guesses that a row which has ended still writes past its end.
        guesses = self.plan.guesses
        return (len(self._in_flight) + 1) * (1 + guesses) + guesses

    def _promote(self) -> None:
        """Move pages that would outgrow their slots to longer ones; pause them if none is free."""
        for number, slots in enumerate(self._classes[:-1]):
            for slot, page in enumerate(self._pages[number]):
                if page is None or page.length + self._growth() <= slots.size.length:
                    continue
                if target := self._find_free(page, above=number):
                    self._move(page, _SlotId(number, slot), target)
                    self._pages[number][slot] = None
                    if page.is_paused:
                        self._classes[target.number].set_active(target.slot, True)
                        page.is_paused = False
                elif not page.is_paused:
                    slots.set_active(slot, False)
                    page.is_paused = True

    def _move(self, page: Page, old: _SlotId, new: _SlotId) -> None:
        source, target = self._classes[old.number], self._classes[new.number]
        length = min(page.length + self._growth(), source.size.length)
        source.move(old.slot, target, new.slot, length)
        self._occupy(page, new)

    def _occupy(self, page: Page, new: _SlotId) -> None:
        pages = self._pages[new.number]
        if new.slot == len(pages):
            pages.append(page)
        else:
            pages[new.slot] = page

    def _find_free(self, page: Page, above: int = -1) -> _SlotId | None:
        """Find the shortest free slot that the page will probably not outgrow, else the longest."""
        wanted = page.prompt_length + min(page.expected, page.budget)
        found = None
        for number, slots in enumerate(self._classes):
            pages = self._pages[number]
            slot = pages.index(None) if None in pages else len(pages)
            is_last = number == len(self._classes) - 1  # holds every page to its end
            fits = is_last or page.length + self._growth() < slots.size.length
            if number <= above or slot == slots.size.slots or not fits:
                continue
            found = _SlotId(number, slot)
            if wanted <= slots.size.length:
                break
        return found

    def _admit(self) -> bool:
        """Prefill waiting pages. False if it waits until more slots are free."""
        free = self.plan.slots - sum(page is not None for page in self._running())
        if self._waiting and free < max(1, self.plan.slots // _REFILL):
            return False
        while batch := self._next_batch(free):
            free -= len(batch)
            self._prefill(batch)
        return True

    def _next_batch(self, limit: int) -> list[tuple[Page, _SlotId]]:
        """Take pages to prefill together from the queue, and give each a slot."""
        batch: list[tuple[Page, _SlotId]] = []
        tokens = 0
        for page in list(self._waiting) if limit else []:
            target = self._find_free(page)
            if target is None:
                continue
            if batch and tokens + page.prompt_length > self.plan.prefill_tokens:
                break
            self._waiting.remove(page)
            self._occupy(page, target)
            batch.append((page, target))
            tokens += page.prompt_length
            if len(batch) == limit:
                break
        return batch

    def _prefill(self, batch: list[tuple[Page, _SlotId]]) -> None:
        now = time.perf_counter()
        for page, _ in batch:
            page.started = now
            page.acceptance = self.plan.guesses / 2 if page.draft else 0.0
        batch.sort(key=lambda entry: entry[1].number)  # the rows of a class are put together
        packed = torch.cat([page.embed() for page, _ in batch])
        slots = [PrefillSlot(self._classes[n].cache, s, p.prompt_length) for p, (n, s) in batch]
        pages = [NewPage(slot, p.prompt_length, p.budget, p.draft) for p, (_, slot) in batch]
        indices, rows = upload_rows(pages, self._stepper.window, self._draft, packed.device)
        written, new = self._stepper.prefill(packed, slots, rows)
        counts = [sum(n == number for _, (n, _) in batch) for number in range(len(self._classes))]
        parts = zip(self._classes, torch.split(indices, counts), new.split(counts), strict=True)
        for of_class, where, started in parts:
            of_class.rows.put(where, started)
        self._in_flight.append(([page for page, _ in batch], Download.of(written)))

    def _compact(self) -> None:
        """Fill gaps with pages from the end of a class, because steps compute leading slots."""
        for number, pages in enumerate(self._pages):
            while None in pages:
                last = pages[-1]
                if last is not None:  # copied before it is removed: the copy may run out of memory
                    old = _SlotId(number, len(pages) - 1)
                    self._move(last, old, _SlotId(number, pages.index(None)))
                pages.pop()

    def _launch_step(self) -> None:
        shape = self._steps.round_shape(self._shape())
        pages: list[Page | None] = []
        for of_class, (count, _) in zip(self._pages, shape, strict=True):
            pages += [*of_class, *[None] * (count - len(of_class))]
        going = [page for page in pages if page and not page.is_paused]
        expected = sum(page.acceptance for page in going)
        guesses = self.plan.guesses if expected > self.plan.break_even * len(going) else 0
        written = self._steps.step(shape, guesses)
        self._tally.steps += 1
        self._tally.rows += len(pages)
        self._in_flight.append((pages, Download.of(written)))

    def _shape(self) -> Shape:
        shape = []
        for slots, pages in zip(self._classes, self._pages, strict=True):
            longest = max((page.length for page in pages if page), default=0) + self._growth()
            span = min(-(-longest // _SPAN) * _SPAN, slots.size.length)
            shape.append((len(pages), span))
        return tuple(shape)

    def _collect(self) -> list[Page]:
        """Read back all but the newest steps, or all if no page is running; return ended pages."""
        finished: list[Page] = []
        lag = self.plan.lag if any(self._running()) else 0
        while len(self._in_flight) > lag:
            pages, written = self._in_flight.popleft()
            for page, ids in zip(pages, written.read(), strict=True):
                if page and not page.is_done and self._record(page, ids):
                    finished.append(page)
        for page in finished:
            self._release(page)
        return finished

    def _record(self, page: Page, ids: list[int]) -> bool:
        """Add the ids that a step wrote to a page; return whether that ended the page."""
        count = len(ids) - ids.count(-1)
        self._tally.useful += count > 0 and len(page.ids) > 0
        if len(ids) > 1 and count:
            page.acceptance += _SMOOTHING * (count - 1 - page.acceptance)
            self._tally.guessed += len(ids) - 1
            self._tally.accepted += count - 1
        page.is_done = any(self._append(page, token) for token in ids[:count])
        if page.is_done:
            page.seconds = time.perf_counter() - page.started
        return page.is_done

    def _append(self, page: Page, token: int) -> bool:
        """Add one id to a page; return whether it ended the page."""
        if token == self._stepper.eos:
            page.reason = "eos"
            return True
        page.ids.append(token)
        length = len(page.ids)
        if length % _LOOP_CHECK == 0 and self._is_loop(page.ids):
            page.reason = "loop"
            return True
        return length == page.budget

    def _release(self, page: Page) -> None:
        for slots, pages in zip(self._classes, self._pages, strict=True):
            if page in pages:
                slot = pages.index(page)
                pages[slot] = None
                slots.set_active(slot, False)
