"""The optical page engine with the model on a vLLM server.

The engine sends many pages at once, because a server reads pages together. The server takes
pictures, so there are no vision tokens to cache, and it reads at one resolution only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import islice, tee
from time import perf_counter
from typing import Final

from PIL import Image

from ....core.config import OpticalConfig, VllmConfig
from ....core.errors import ConfigError, OpticalRagError
from ....core.modes import AUTO, MODES, decoder_tokens, tile_grid, vision_tokens
from ....core.prompts import prompt_named
from ....core.protocols import PageEngine
from ....core.records import PageFailure, PageImage, PageOutcome, PageTask
from ....core.vision import Transcript
from ....documents.rendering import render_pages
from ....system.workers import WorkerPool
from ...quality.assessment import retry_ladder
from ..attempts import (
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
from .cancellation import Cancellation
from .client import VllmClient

__all__ = ["ENGINE", "MODE", "VllmEngine"]

ENGINE: Final = "vllm"
MODE: Final = MODES["gundam-6"]
"""The resolution that vLLM's own code for this model uses; a request cannot change it."""

_CONTEXT: Final = 8192  # tokens of the released model's context
_TEMPLATE: Final = 64  # tokens that a server may add around page and prompt
_BYTES_PER_TOKEN: Final = 3  # English has four, Chinese three; too high an estimate does no harm

_Reading = Future[tuple[PageAttempts, float]]
"""A page that is being read, and the seconds it took."""


class VllmEngine:
    """Reads pages with a vLLM server.

    Args:
        server: the server.
        config: options; ``mode`` must be ``"auto"`` or ``"gundam-6"``.
        fallback: reads the text layer of pages on which the model failed.
        pool: worker processes that draw pages, closed with the engine; None draws in this process.

    Raises:
        ConfigError: another mode, or an unknown prompt.
    """

    def __init__(
        self,
        server: VllmConfig,
        config: OpticalConfig | None = None,
        *,
        fallback: PageEngine,
        pool: WorkerPool | None = None,
    ) -> None:
        self._config = config or OpticalConfig()
        if self._config.mode not in (AUTO, MODE.name):
            raise ConfigError(
                f"invalid mode {self._config.mode!r}: a vLLM server reads pages in {MODE.name}"
                f" only; use {MODE.name} or {AUTO}, or the engine deepseek-ocr"
            )
        prompt_named(self._config.prompt)
        self._server = server
        self._client = VllmClient(server)
        self._fallback = fallback
        self._pool = pool or WorkerPool()
        self._cancellations: set[Cancellation] = set()  # one for each running call of parse

    @property
    def name(self) -> str:
        """``"vllm"``."""
        return ENGINE

    @property
    def fingerprint(self) -> str:
        """Server, versions and options. The server does not tell which weights it runs."""
        options = f"{self._config.prompt}:{self._config.max_output_tokens}"
        made_by = f"{self._server.model}@{self._server.endpoint}:{PROFILE}"
        return f"{ENGINE}/{VERSION}:{made_by}:{options}:{self._fallback.fingerprint}"

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order, reading ahead a bounded number of pages.

        Raises:
            OpticalRagError: ``tasks`` raised it. The outcomes of earlier tasks come first.
        """
        reading: deque[tuple[PageTask, PageFailure | _Reading]] = deque()
        ahead = 2 * self._server.concurrency  # so that the server never waits for a page
        task_error: OpticalRagError | None = None
        threads = ThreadPoolExecutor(self._server.concurrency, "opticalrag-vllm")
        cancellation = Cancellation()
        self._cancellations.add(cancellation)
        submitted = self._submit(tasks, threads, cancellation)
        try:
            while reading or task_error is None:
                try:
                    reading.extend(islice(submitted, ahead - len(reading)))
                except OpticalRagError as error:
                    task_error = error
                if not reading:
                    break
                yield self._finish(*reading.popleft())
        finally:  # if the caller stops early, do not wait for the other answers
            self._cancellations.discard(cancellation)
            cancellation.set()
            threads.shutdown(wait=False, cancel_futures=True)
        if task_error:
            raise task_error

    def close(self) -> None:
        """End the worker processes, cancel the requests and close their connections."""
        for cancellation in list(self._cancellations):
            cancellation.set()
        self._pool.close()
        self._fallback.close()
        self._client.close()

    def _submit(
        self, tasks: Iterable[PageTask], threads: ThreadPoolExecutor, cancellation: Cancellation
    ) -> Iterator[tuple[PageTask, PageFailure | _Reading]]:
        """Draw pages and let the threads read them."""
        ours, drawn = tee(tasks)
        images = render_pages(drawn, self._pool, dpi=DPI, long_side=LONG_SIDE)
        for image in images:
            task = next(ours)
            if isinstance(image, PageFailure):
                yield task, image
            else:
                yield task, threads.submit(self._read, task, image, cancellation)

    def _read(
        self, task: PageTask, image: PageImage, cancellation: Cancellation
    ) -> tuple[PageAttempts, float]:
        """Make all attempts at a page; none if it is blank."""
        started = perf_counter()
        survey = survey_page(image, _estimate_tokens)
        steps = retry_ladder(MODE, None, self._config.prompt)
        page = PageAttempts(task, image, survey.evidence, survey.load, steps)
        while page.needs_attempt and not page.evidence.is_blank:
            self._attempt(page, cancellation)
        return page, perf_counter() - started

    def _attempt(self, page: PageAttempts, cancellation: Cancellation) -> None:
        started = perf_counter()
        prompt = prompt_named(page.step.prompt)
        height, width = page.image.pixels.shape[:2]
        grid = tile_grid(width, height, MODE.max_tiles, MODE.tile_size)
        # The server rejects requests whose page, prompt and answer exceed the context.
        room = _CONTEXT - decoder_tokens(MODE, grid) - _TEMPLATE - len(prompt.text)
        max_tokens = max(1, min(room, token_budget(page, self._config)))
        answer = self._client.ask(_png(page.image), prompt, max_tokens, cancellation)
        transcript = Transcript(
            ids=(),
            text=answer.text,
            finish_reason=answer.reason,
            prompt_name=prompt.name,
            prompt_text=prompt.text,
            vision_tokens=vision_tokens(MODE, grid),
            decoder_tokens=decoder_tokens(MODE, grid),
            seconds=perf_counter() - started,
        )
        record_answer(page, transcript, answer.tokens)

    def _finish(self, task: PageTask, reading: PageFailure | _Reading) -> PageOutcome:
        # Called in the main thread: libraries of the fallback may not be thread-safe.
        if isinstance(reading, PageFailure):
            return reading
        try:
            page, seconds = reading.result()
            model, fallback = self._server.model, self._fallback
            return build_page(page, seconds, engine=ENGINE, model=model, fallback=fallback)
        except OpticalRagError as error:
            return failure(task, error)


def _estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text; only the server has the vocabulary."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _png(image: PageImage) -> bytes:
    file = BytesIO()
    # Lossless: JPEG artefacts are worst around letters, and the model was trained on clean pages.
    Image.fromarray(image.pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
