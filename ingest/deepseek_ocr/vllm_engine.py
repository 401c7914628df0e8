"""The optical engine with the model elsewhere: a vLLM server reads, everything else is the same.

Many pages are asked for at once, because a server reads pages together. It takes pictures, so
there are no vision tokens to keep; and it reads at one resolution.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import tee
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import ConfigError, OpticalConfig, VllmConfig
from ..errors import EngineError, OpticalRagError
from ..modes import AUTO, MODES, Mode, decoder_tokens, tile_grid, vision_tokens
from ..pages import render_pages
from ..prompts import prompt_named
from ..protocols import PageEngine
from ..quality import retry_ladder
from ..types import PageFailure, PageImage, PageOutcome, PageTask
from ..vision import DecodeRequest, Transcript, VisionTokens
from ..workers import WorkerPool
from .engine import DPI, LONG_SIDE, DeepSeekOcrEngine, Sheet, failure, look_at, record
from .engine import ENGINE as LOCAL
from .vllm_client import VllmClient

__all__ = ["ENGINE", "MODE", "ServedModel", "VllmEngine"]

ENGINE: Final = "vllm"
MODE: Final = MODES["gundam-6"]
"""The resolution of vLLM's own code for this model; a server cannot be asked for another."""

_CONTEXT: Final = 8192  # tokens the released model reads and writes
_PROMPT: Final = 64  # tokens a server may put around page and prompt
_BYTES_PER_TOKEN: Final = 3  # English has four, Chinese three; a guess may be too long


class ServedModel:
    """What is known of a model on a server: its name, and nothing of its weights."""

    def __init__(self, config: VllmConfig) -> None:
        self.name = config.model
        self.weights = f"{config.model}@{config.endpoint}"
        self.preprocessing = ENGINE

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Not to be had.

        Raises:
            EngineError: always.
        """
        raise EngineError(f"{len(pages)} pages for {mode.name}: a server gives no vision tokens")

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Not to be had.

        Raises:
            EngineError: always.
        """
        raise EngineError(f"{len(requests)} requests: a server takes pictures, no vision tokens")

    def count_text_tokens(self, text: str) -> int:
        """About as many: the vocabulary is the server's."""
        return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


class VllmEngine(DeepSeekOcrEngine):
    """Reads pages with a server.

    Args:
        client: asks it; closed with the engine.
        server: which one.
        config: options; ``mode`` must be left open.
        fallback: reads pages with a text layer on which the model failed.
        pool: processes that draw pages, closed with the engine; None draws in this one.

    Raises:
        ConfigError: a mode that servers do not read.
    """

    def __init__(
        self,
        client: VllmClient,
        server: VllmConfig,
        config: OpticalConfig | None = None,
        *,
        fallback: PageEngine,
        pool: WorkerPool | None = None,
    ) -> None:
        config = config or OpticalConfig()
        if config.mode not in (AUTO, MODE.name):
            raise ConfigError(
                f"mode is {config.mode!r}; a vLLM server reads this model's pages in {MODE.name}:"
                f" choose that, {AUTO}, or the engine {LOCAL}"
            )
        super().__init__(ServedModel(server), config, fallback=fallback, pool=pool)
        self._client = client
        self._at_once = server.concurrency

    @property
    def name(self) -> str:
        """``"vllm"``."""
        return ENGINE

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield one outcome per task, in order; a bounded number are asked for ahead."""
        ours, drawn = tee(tasks)
        images = render_pages(iter(drawn), self._pool, dpi=DPI, long_side=LONG_SIDE)
        waiting: deque[tuple[PageTask, PageFailure | Future[Sheet]]] = deque()
        with ThreadPoolExecutor(self._at_once, "opticalrag-vllm") as threads:
            try:
                for image in images:
                    task = next(ours)
                    if isinstance(image, PageFailure):
                        waiting.append((task, image))
                    else:
                        waiting.append((task, threads.submit(self._ask, image)))
                    if len(waiting) > 2 * self._at_once:  # drawn ahead: nobody waits for pictures
                        yield self._finish(*waiting.popleft())
                while waiting:
                    yield self._finish(*waiting.popleft())
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the processes and connections."""
        super().close()
        self._client.close()

    def _sheet(self, image: PageImage) -> Sheet:
        look = look_at(image, self._model)
        return Sheet(image, look.evidence, look.load, retry_ladder(MODE, None, self._config.prompt))

    def _ask(self, image: PageImage) -> Sheet:
        started = perf_counter()
        sheet = self._sheet(image)
        self._climb([sheet])
        sheet.seconds = perf_counter() - started
        return sheet

    def _finish(self, task: PageTask, found: PageFailure | Future[Sheet]) -> PageOutcome:
        # Here, not in the threads: the fallback may hold libraries that know only one.
        if isinstance(found, PageFailure):
            return found
        try:
            sheet = found.result()
        except OpticalRagError as error:
            return failure(task, error)
        return self._page(task, sheet, sheet.seconds)

    def _encode(self, sheets: Sequence[Sheet]) -> None:
        """Nothing: pages are sent as pictures."""

    def _decode(self, sheets: Sequence[Sheet]) -> None:
        for sheet in sheets:
            started = perf_counter()
            prompt = prompt_named(sheet.step.prompt)
            height, width = sheet.image.pixels.shape[:2]
            grid = tile_grid(width, height, MODE.max_tiles, MODE.tile_size)
            # Servers refuse what would not fit beside page and prompt.
            room = _CONTEXT - decoder_tokens(MODE, grid) - _PROMPT - len(prompt.text)
            most = max(1, min(room, self._budget(sheet)))
            answer = self._client.ask(_png(sheet.image), prompt, most)
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


def _png(image: PageImage) -> bytes:
    file = BytesIO()
    # Lossless: the model was trained on drawings, and JPEG's ringing is worst around letters.
    Image.fromarray(image.pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
