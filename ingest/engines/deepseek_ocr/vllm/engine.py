"""The optical engine with the model elsewhere: a vLLM server reads, everything else is the same.

Many pages are asked for at once, because a server reads pages together. It takes pictures, so
there are no vision tokens to keep; and it reads at one resolution.
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
from ..sheets import (
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
from .client import VllmClient
from .cutoff import Halt

__all__ = ["ENGINE", "MODE", "VllmEngine"]

ENGINE: Final = "vllm"
MODE: Final = MODES["gundam-6"]
"""The resolution of vLLM's own code for this model; a server cannot be asked for another."""

_CONTEXT: Final = 8192  # tokens the released model reads and writes
_PROMPT: Final = 64  # tokens a server may put around page and prompt
_BYTES_PER_TOKEN: Final = 3  # English has four, Chinese three; a guess may be too long

_Reading = Future[tuple[Sheet, float]]
"""A page that is being asked for, and the seconds it took."""


class VllmEngine:
    """Reads pages with a server.

    Args:
        server: which one.
        config: options; ``mode`` must be left open.
        fallback: reads pages with a text layer on which the model failed.
        pool: processes that draw pages, closed with the engine; None draws in this one.

    Raises:
        ConfigError: a mode that servers do not read.
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
                f"mode is {self._config.mode!r}; a vLLM server reads pages in {MODE.name}: choose"
                f" that, {AUTO}, or the engine deepseek-ocr"
            )
        prompt_named(self._config.prompt)
        self._server = server
        self._client = VllmClient(server)
        self._fallback = fallback
        self._pool = pool or WorkerPool()
        self._halts: set[Halt] = set()

    @property
    def name(self) -> str:
        """``"vllm"``."""
        return ENGINE

    @property
    def fingerprint(self) -> str:
        """Server, versions and options; which weights the server holds, nobody says."""
        options = f"{self._config.prompt}:{self._config.max_output_tokens}"
        made_by = f"{self._server.model}@{self._server.endpoint}:{PROFILE}"
        return f"{ENGINE}/{VERSION}:{made_by}:{options}:{self._fallback.fingerprint}"

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order; a bounded number are asked for ahead."""
        waiting: deque[tuple[PageTask, PageFailure | _Reading]] = deque()
        ahead = 2 * self._server.concurrency  # the server never waits for a drawing
        fault: OpticalRagError | None = None
        threads = ThreadPoolExecutor(self._server.concurrency, "opticalrag-vllm")
        halt = Halt()
        self._halts.add(halt)
        asked = self._asked(tasks, threads, halt)
        try:
            while waiting or fault is None:
                try:
                    waiting.extend(islice(asked, ahead - len(waiting)))
                except OpticalRagError as error:  # no page's own
                    fault = error
                if not waiting:
                    break
                yield self._finish(*waiting.popleft())
        finally:  # also where nobody wants the rest: not waited for
            self._halts.discard(halt)
            halt.set()
            threads.shutdown(wait=False, cancel_futures=True)
        if fault:  # pages before it are done first
            raise fault

    def _asked(
        self, tasks: Iterable[PageTask], threads: ThreadPoolExecutor, halt: Halt
    ) -> Iterator[tuple[PageTask, PageFailure | _Reading]]:
        ours, drawn = tee(tasks)
        images = render_pages(iter(drawn), self._pool, dpi=DPI, long_side=LONG_SIDE)
        for image in images:
            task = next(ours)
            if isinstance(image, PageFailure):
                yield task, image
            else:
                yield task, threads.submit(self._ask, task, image, halt)

    def close(self) -> None:
        """End the processes, and requests with their connections."""
        for halt in list(self._halts):
            halt.set()
        self._pool.close()
        self._fallback.close()
        self._client.close()

    def _ask(self, task: PageTask, image: PageImage, halt: Halt) -> tuple[Sheet, float]:
        started = perf_counter()
        look = look_at(image, _about_as_many)
        steps = retry_ladder(MODE, None, self._config.prompt)
        sheet = Sheet(task, image, look.evidence, look.load, steps)
        while sheet.is_open and not sheet.evidence.is_blank:
            self._try(sheet, halt)
        return sheet, perf_counter() - started

    def _try(self, sheet: Sheet, halt: Halt) -> None:
        started = perf_counter()
        prompt = prompt_named(sheet.step.prompt)
        height, width = sheet.image.pixels.shape[:2]
        grid = tile_grid(width, height, MODE.max_tiles, MODE.tile_size)
        # Servers refuse what would not fit beside page and prompt.
        room = _CONTEXT - decoder_tokens(MODE, grid) - _PROMPT - len(prompt.text)
        most = max(1, min(room, budget(sheet, self._config)))
        answer = self._client.ask(_png(sheet.image), prompt, most, halt)
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
        record(sheet, transcript, answer.tokens)

    def _finish(self, task: PageTask, found: PageFailure | _Reading) -> PageOutcome:
        # Here, not in the threads: the fallback may hold libraries that know only one.
        if isinstance(found, PageFailure):
            return found
        try:
            sheet, seconds = found.result()
            return page_of(sheet, seconds, MadeBy(ENGINE, self._server.model), self._fallback)
        except OpticalRagError as error:
            return failure(task, error)


def _about_as_many(text: str) -> int:
    # The vocabulary is the server's.
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _png(image: PageImage) -> bytes:
    file = BytesIO()
    # Lossless: the model was trained on drawings, and JPEG's ringing is worst around letters.
    Image.fromarray(image.pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
