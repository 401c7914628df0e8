"""The optical page engine: draws pages, reads them with DeepSeek-OCR, and checks the answers.

A page goes through these states. The names on the right are the fields that hold it.

    tasks      not drawn yet                               the argument of ``parse``
      |
      v
    drawing    worker processes draw it                    _PagesInProgress._drawing
      |
      |  survey: estimate its text, choose the mode
      +----> blank, or could not be drawn ------------+
      |                                               |
      |  encode: batch by mode, or from the cache     |
      +----> cannot be encoded -----------------------+
      v                                               |
    ready      encoded, waits for the model           |    .ready
      |  ^                                            |
      |  +--- flagged, and an attempt is left         |
      v  |    (encoded again in the next step's mode)  |
    decoding   the model writes the answer            |    .decoding
      |                                               |
      +----> cannot be decoded, or no attempt left ---+
      v                                               v
    finished   has an outcome, waits for the pages before it    ._in_order

The model decodes many pages at a time. It pulls requests from one generator, for all pages, and
yields answers in any order. The engine does its other work inside that pull: when no page is ready,
it takes drawn pages and encodes them. If decoding fails as a whole, each page in ``decoding`` is
decoded alone, and a new stream serves the others. Outcomes leave in the order of the tasks.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Final

from ...core.config import OpticalConfig
from ...core.errors import OpticalRagError
from ...core.modes import AUTO, Mode, mode_named, other_mode
from ...core.prompts import prompt_named
from ...core.protocols import OpticalModel, PageEngine, TokenStore
from ...core.records import PageFailure, PageImage, PageOutcome, PageTask, ParsedPage
from ...core.vision import DecodeRequest, TokenKey, Transcript
from ...documents.rendering import render_pages
from ...system.workers import WorkerPool
from ...token_cache.lenient import LenientCache
from ..quality.assessment import retry_ladder
from .attempts import (
    DPI,
    LONG_SIDE,
    PROFILE,
    VERSION,
    PageAttempts,
    build_page,
    failure,
    record_answer,
    survey_page,
    token_budget,
)

__all__ = ["ENGINE", "DeepSeekOcrEngine"]

ENGINE: Final = "deepseek-ocr"


class DeepSeekOcrEngine:
    """Reads pages with a loaded model.

    Args:
        model: encodes and decodes pages.
        config: options; ``model``, ``revision`` and ``device`` are ignored here.
        fallback: reads the text layer of pages on which the model failed.
        cache: stores vision tokens. If it fails, pages are read without it.
        pool: worker processes that draw pages, closed with the engine; None draws in this process.
        batch: number of pages to draw and encode together if ``config`` does not set it.

    Raises:
        ConfigError: an unknown mode or prompt.
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
        """Weights, versions and options that determine the output."""
        config = self._config
        options = f"{config.mode}:{config.prompt}:{config.max_output_tokens}"
        made_by = f"{self._model.weights}:{self._model.preprocessing}"
        return f"{ENGINE}/{VERSION}:{made_by}:{options}:{self._fallback.fingerprint}"

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead as far as the model has room.

        Raises:
            OpticalRagError: ``tasks`` raised it. The outcomes of earlier tasks come first.
        """
        pages = _PagesInProgress(tasks, self._pool)
        while pages.have_work:
            for page, answer in self._decode_stream(pages):
                self._take_answer(pages, page, answer)
                yield from pages.pop_finished()
            yield from pages.pop_finished()  # those that needed no answer
        if pages.task_error:
            raise pages.task_error

    def close(self) -> None:
        """End the worker processes. The model stays loaded: it belongs to the caller."""
        self._pool.close()
        self._fallback.close()

    def _decode_stream(
        self, pages: _PagesInProgress
    ) -> Iterator[tuple[PageAttempts, Transcript | OpticalRagError]]:
        """Decode pages in one stream until none is left or it breaks; yield pages with answers."""
        try:
            for number, answer in self._model.stream(self._requests(pages), self._config.batch):
                yield pages.decoding.pop(number), answer
        except OpticalRagError:  # decode alone what it held: one bad page must not cost the others
            broken = list(pages.decoding.values())
            pages.decoding.clear()
            for page in broken:
                yield page, self._decode_alone(page)

    def _decode_alone(self, page: PageAttempts) -> Transcript | OpticalRagError:
        try:
            (transcript,) = self._model.decode([self._request(page)])
        except OpticalRagError as error:
            return error
        return transcript

    def _requests(self, pages: _PagesInProgress) -> Iterator[DecodeRequest | None]:
        """Yield requests for the model: ready pages first, then newly drawn ones."""
        numbers = count()
        while True:
            if pages.ready:
                page = pages.ready.popleft()
                pages.decoding[next(numbers)] = page
                yield self._request(page)
            elif drawn := pages.take_drawn(self._batch):
                surveyed = [self._survey(task, image) for task, image in drawn]
                pages.add(surveyed)
                unread = [page for page in surveyed if isinstance(page, PageAttempts)]
                self._make_ready(pages, unread)
            elif pages.decoding:  # they may become ready again: the model asks while it decodes
                yield None
            else:
                return

    def _request(self, page: PageAttempts) -> DecodeRequest:
        evidence = page.evidence
        return DecodeRequest(
            page.tokens[page.step.mode.name],
            prompt_named(page.step.prompt),
            token_budget(page, self._config),
            expected_tokens=page.load.text_tokens,
            draft=" ".join(evidence.words) if evidence.is_reliable else "",
        )

    def _survey(self, task: PageTask, image: PageImage | PageFailure) -> PageAttempts | PageOutcome:
        """Return the page with its planned attempts, or its outcome if it needs none."""
        if isinstance(image, PageFailure):
            return image
        started = time.perf_counter()
        try:
            page = self._plan_attempts(task, image)
            if page.evidence.is_blank:
                return self._build_page(page, time.perf_counter() - started)
        except OpticalRagError as error:
            return failure(task, error)
        return page

    def _plan_attempts(self, task: PageTask, image: PageImage) -> PageAttempts:
        model = self._model
        survey = survey_page(image, model.count_text_tokens, model.modes, model.compression)
        height, width = image.pixels.shape[:2]
        auto = self._config.mode == AUTO
        mode = survey.mode if auto else mode_named(self._config.mode, model.modes)
        other = other_mode(mode, width, height, model.modes)
        steps = retry_ladder(mode, other, self._config.prompt)
        return PageAttempts(task, image, survey.evidence, survey.load, steps)

    def _make_ready(self, pages: _PagesInProgress, batch: Sequence[PageAttempts]) -> None:
        """Encode pages together. If that fails, encode each alone, and finish those that fail."""
        try:
            self._encode(batch)
        except OpticalRagError as error:
            if len(batch) == 1:
                pages.finish(batch[0], failure(batch[0].task, error))
                return
            for page in batch:
                self._make_ready(pages, [page])
        else:
            pages.ready.extend(batch)

    def _encode(self, batch: Sequence[PageAttempts]) -> None:
        """Encode pages in the modes of their next steps, or take their tokens from the cache."""
        by_mode: defaultdict[Mode, list[tuple[TokenKey, PageAttempts]]] = defaultdict(list)
        for page in batch:
            mode = page.step.mode
            if mode.name in page.tokens:
                continue
            key = TokenKey.for_page(page.image.pixels, PROFILE, mode.name, self._model)
            if cached := self._cache.find(key):
                page.tokens[mode.name] = cached
                # The cached tokens may belong to an equal page of another document. Storing them
                # again adds this page.
                self._cache.store(key, cached, page.image.ref)
            else:
                by_mode[mode].append((key, page))
        for mode, missing in by_mode.items():
            encoded = self._model.encode([page.image.pixels for _, page in missing], mode)
            for (key, page), tokens in zip(missing, encoded, strict=True):
                page.tokens[mode.name] = tokens
                self._cache.store(key, tokens, page.image.ref)

    def _take_answer(
        self, pages: _PagesInProgress, page: PageAttempts, answer: Transcript | OpticalRagError
    ) -> None:
        """Finish the page, or make it ready for another attempt."""
        if isinstance(answer, OpticalRagError):
            pages.finish(page, failure(page.task, answer))
            return
        record_answer(page, answer, len(answer.ids))
        if page.needs_attempt:
            self._make_ready(pages, [page])
            return
        try:
            outcome: PageOutcome = self._build_page(page, pages.lap())
        except OpticalRagError as error:  # the fallback failed on this page
            outcome = failure(page.task, error)
        pages.finish(page, outcome)

    def _build_page(self, page: PageAttempts, seconds: float) -> ParsedPage:
        return build_page(
            page, seconds, engine=self.name, model=self._model.name, fallback=self._fallback
        )


class _PagesInProgress:
    """The pages of one call of ``parse``, by state; see the module's docstring."""

    def __init__(self, tasks: Iterable[PageTask], pool: WorkerPool) -> None:
        self.ready: deque[PageAttempts] = deque()  # for a first or a further attempt
        self.decoding: dict[int, PageAttempts] = {}  # by number of the request
        self.task_error: OpticalRagError | None = None  # it ended ``tasks``; raised last
        self._drawing: deque[PageTask] = deque()
        self._in_order: deque[PageAttempts | PageOutcome] = deque()
        self._all_drawn = False
        self._lap_start = time.perf_counter()
        # One generator for all streams: the processes keep drawing ahead while the model decodes.
        self._images = render_pages(self._draw(tasks), pool, dpi=DPI, long_side=LONG_SIDE)

    @property
    def have_work(self) -> bool:
        """Whether pages are ready or not drawn yet."""
        return bool(self.ready) or not self._all_drawn

    def take_drawn(self, count: int) -> list[tuple[PageTask, PageImage | PageFailure]]:
        """Take up to ``count`` of the next drawn pages; the list is empty if all are taken."""
        images = list(islice(self._images, count))
        self._all_drawn = not images
        return [(self._drawing.popleft(), image) for image in images]

    def add(self, surveyed: Iterable[PageAttempts | PageOutcome]) -> None:
        """Append pages, or their outcomes, in the order of their tasks."""
        self._in_order.extend(surveyed)

    def finish(self, page: PageAttempts, outcome: PageOutcome) -> None:
        self._in_order[self._in_order.index(page)] = outcome

    def pop_finished(self) -> Iterator[PageOutcome]:
        while self._in_order and not isinstance(first := self._in_order[0], PageAttempts):
            self._in_order.popleft()
            yield first

    def lap(self) -> float:
        """Seconds since the last call; the laps of pages decoded together add up to the run."""
        before, self._lap_start = self._lap_start, time.perf_counter()
        return self._lap_start - before

    def _draw(self, tasks: Iterable[PageTask]) -> Iterator[PageTask]:
        try:
            for task in tasks:
                self._drawing.append(task)
                yield task
        except OpticalRagError as error:  # not the fault of a page
            self.task_error = error
