"""The optical page engine: draws pages, reads them with DeepSeek-OCR, doubts the result.

Pages are drawn and encoded a few at a time and decoded as slots of the model get free. A reading
that :mod:`..quality` finds fault with is tried again, and every try is on the record of the page.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ...core.config import OpticalConfig
from ...core.errors import OpticalRagError
from ...core.modes import AUTO, Mode, mode_named, other_mode
from ...core.prompts import prompt_named
from ...core.protocols import OpticalModel, PageEngine, TokenStore
from ...core.records import PageFailure, PageImage, PageOutcome, PageTask, ParsedPage
from ...core.vision import DecodeRequest, TokenKey, Transcript, key_of
from ...documents.rendering import render_pages
from ...system.workers import WorkerPool
from ...token_cache.lenient import LenientCache
from ..quality.assessment import retry_ladder
from .sheets import (
    DPI,
    LONG_SIDE,
    PROFILE,
    VERSION,
    MadeBy,
    Sheet,
    budget,
    failure,
    look_at,
    page_of,
    record,
)

__all__ = ["ENGINE", "DeepSeekOcrEngine"]

ENGINE: Final = "deepseek-ocr"

_Images = Iterator[PageImage | PageFailure]


@dataclass(slots=True)
class _Run:
    """Pages between being asked for and being handed out, which is in the order asked.

    Attributes:
        source: pages not asked to be drawn yet.
        drawing: pages being drawn, or drawn and not looked at yet.
        order: pages and, where there is one already, outcomes.
        due: pages to be decoded, by a first or another try.
        decoding: those the model has, by number of the request.
        fault: what ``source`` failed with, to be raised when its pages are done.
        since: when the last page was done.
    """

    source: Iterator[PageTask]
    drawing: deque[PageTask] = field(default_factory=deque)
    order: deque[Sheet | PageOutcome] = field(default_factory=deque)
    due: deque[Sheet] = field(default_factory=deque)
    decoding: dict[int, Sheet] = field(default_factory=dict)
    fault: OpticalRagError | None = None
    is_drained: bool = False
    since: float = field(default_factory=time.perf_counter)

    def to_draw(self) -> Iterator[PageTask]:
        """Take pages from the source."""
        try:
            for task in self.source:
                self.drawing.append(task)
                yield task
        except OpticalRagError as error:  # no page's own: whoever asked for pages is told
            self.fault = error

    def finish(self, sheet: Sheet, outcome: PageOutcome) -> None:
        """Put an outcome in the page's place."""
        self.order[self.order.index(sheet)] = outcome

    def finished(self) -> Iterator[PageOutcome]:
        """Take the outcomes that no page before them holds up."""
        while self.order and not isinstance(first := self.order[0], Sheet):
            self.order.popleft()
            yield first

    def lap(self) -> float:
        """Seconds since this was asked last: pages share the time, and it adds up."""
        before, self.since = self.since, time.perf_counter()
        return self.since - before


class DeepSeekOcrEngine:
    """Reads pages with a loaded model.

    Args:
        model: encodes and decodes.
        config: options; ``model``, ``revision`` and ``device`` are not looked at here.
        fallback: reads pages with a text layer on which the model failed.
        cache: keeps vision tokens; if it fails, pages are read without it.
        pool: processes that draw pages, closed with the engine; None draws in this one.
        batch: pages drawn and encoded together if ``config`` does not say.
    """

    def __init__(
        self,
        model: OpticalModel,
        config: OpticalConfig | None = None,
        *,
        fallback: PageEngine,
        cache: TokenStore | None = None,
        pool: WorkerPool | None = None,
        batch: int = 1,
    ) -> None:
        self._config = config or OpticalConfig()
        if self._config.mode != AUTO:
            mode_named(self._config.mode, model.modes)
        prompt_named(self._config.prompt)
        self._model = model
        self._fallback = fallback
        self._cache = LenientCache(cache)
        self._pool = pool or WorkerPool()
        self._batch = self._config.batch or batch

    @property
    def name(self) -> str:
        """``"deepseek-ocr"``."""
        return ENGINE

    @property
    def fingerprint(self) -> str:
        """Weights, versions and options that decide the output."""
        config = self._config
        options = f"{config.mode}:{config.prompt}:{config.max_output_tokens}"
        made_by = f"{self._model.weights}:{self._model.preprocessing}"
        return f"{ENGINE}/{VERSION}:{made_by}:{options}:{self._fallback.fingerprint}"

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead as far as the model has room."""
        run = _Run(iter(tasks))
        # One stream for all: the processes draw ahead while the model decodes.
        images = render_pages(run.to_draw(), self._pool, dpi=DPI, long_side=LONG_SIDE)
        while run.due or not run.is_drained:
            for _ in self._decoded(run, images):
                yield from run.finished()
        if run.fault:
            raise run.fault

    def close(self) -> None:
        """End the processes. The model stays with whoever loaded it."""
        self._pool.close()
        self._fallback.close()

    def _decoded(self, run: _Run, images: _Images) -> Iterator[None]:
        """Decode what is due and what still comes; a step at a time, for outcomes to be taken."""
        requests = self._requests(run, images)
        try:
            for number, answer in self._model.stream(requests, self._config.batch):
                sheet = run.decoding.pop(number)
                if isinstance(answer, OpticalRagError):
                    run.finish(sheet, failure(sheet.task, answer))
                else:
                    self._note(run, sheet, answer)
                yield
        except OpticalRagError as error:
            # Whichever page it was, the others are not to suffer.
            for sheet in self._take_back(run):
                self._decode_alone(run, sheet, error)
                yield
        yield  # pages that needed no decoding

    def _take_back(self, run: _Run) -> list[Sheet]:
        lost = list(run.decoding.values())
        run.decoding.clear()
        return lost

    def _decode_alone(self, run: _Run, sheet: Sheet, error: OpticalRagError) -> None:
        try:
            (transcript,) = self._model.decode([self._request(sheet)])
        except OpticalRagError as own:
            run.finish(sheet, failure(sheet.task, own))
        else:
            self._note(run, sheet, transcript)

    def _note(self, run: _Run, sheet: Sheet, transcript: Transcript) -> None:
        record(sheet, transcript, len(transcript.ids))
        if sheet.is_open:
            self._encode_each(run, [sheet])
            return
        try:
            outcome: PageOutcome = self._finish(sheet, run.lap())
        except OpticalRagError as error:  # the fallback's, whose page it is
            outcome = failure(sheet.task, error)
        run.finish(sheet, outcome)

    def _requests(self, run: _Run, images: _Images) -> Iterator[DecodeRequest | None]:
        """Further tries first, then new pages; None while only pages being decoded may be due."""
        number = 0
        while True:
            if run.due:
                sheet = run.due.popleft()
                run.decoding[number] = sheet
                number += 1
                yield self._request(sheet)
            elif self._look_at_next(run, images):
                continue
            elif run.decoding:
                yield None
            else:
                return

    def _look_at_next(self, run: _Run, images: _Images) -> bool:
        """Encode the next pages; False if there are none."""
        drawn = list(islice(images, self._batch))
        pages = [self._look_at(run.drawing.popleft(), image) for image in drawn]
        run.order.extend(pages)
        run.is_drained = not pages
        self._encode_each(run, [page for page in pages if isinstance(page, Sheet)])
        return not run.is_drained

    def _look_at(self, task: PageTask, image: PageImage | PageFailure) -> Sheet | PageOutcome:
        if isinstance(image, PageFailure):
            return image
        started = time.perf_counter()
        try:
            sheet = self._sheet(task, image)
            blank = sheet.evidence.is_blank
            return self._finish(sheet, time.perf_counter() - started) if blank else sheet
        except OpticalRagError as error:
            return failure(task, error)

    def _encode_each(self, run: _Run, sheets: Sequence[Sheet]) -> None:
        """Encode pages together; if that fails, each alone."""
        try:
            self._encode(sheets)
        except OpticalRagError as error:
            for sheet in sheets:
                if len(sheets) == 1:
                    run.finish(sheet, failure(sheet.task, error))
                else:
                    self._encode_each(run, [sheet])
        else:
            run.due.extend(sheets)

    def _sheet(self, task: PageTask, image: PageImage) -> Sheet:
        model = self._model
        look = look_at(image, model.count_text_tokens, model.modes, model.compression)
        height, width = image.pixels.shape[:2]
        modes = self._model.modes
        mode = look.mode if self._config.mode == AUTO else mode_named(self._config.mode, modes)
        other = other_mode(mode, width, height, modes)
        steps = retry_ladder(mode, other, self._config.prompt)
        return Sheet(task, image, look.evidence, look.load, steps)

    def _encode(self, sheets: Sequence[Sheet]) -> None:
        by_mode: defaultdict[Mode, list[tuple[TokenKey, Sheet]]] = defaultdict(list)
        for sheet in sheets:
            mode = sheet.step.mode
            if mode.name in sheet.tokens:
                continue
            key = key_of(sheet.image.pixels, PROFILE, mode.name, self._model)
            if kept := self._cache.find(key):
                sheet.tokens[mode.name] = kept
                self._cache.store(key, kept, sheet.image.ref)  # of this document, too
            else:
                by_mode[mode].append((key, sheet))
        for mode, new in by_mode.items():
            encoded = self._model.encode([sheet.image.pixels for _, sheet in new], mode)
            for (key, sheet), tokens in zip(new, encoded, strict=True):
                sheet.tokens[mode.name] = tokens
                self._cache.store(key, tokens, sheet.image.ref)

    def _request(self, sheet: Sheet) -> DecodeRequest:
        evidence = sheet.evidence
        return DecodeRequest(
            sheet.tokens[sheet.step.mode.name],
            prompt_named(sheet.step.prompt),
            budget(sheet, self._config),
            expected_tokens=sheet.load.text_tokens,
            draft=" ".join(evidence.words) if evidence.is_reliable else "",
        )

    def _finish(self, sheet: Sheet, seconds: float) -> ParsedPage:
        return page_of(sheet, seconds, MadeBy(self.name, self._model.name), self._fallback)
