"""The optical page engine: draws pages, reads them with DeepSeek-OCR, doubts the result.

Pages are taken in batches that are drawn, encoded and decoded together. A reading that
:mod:`..quality` finds fault with is tried again, and every try is on the record of the page.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..config import OpticalConfig
from ..density import estimate_load, ink_share
from ..errors import OpticalRagError
from ..grounding import read_grounding
from ..lenient_cache import LenientCache
from ..modes import AUTO, Mode, PageLoad, choose_mode, mode_named, other_mode
from ..pages import render_pages
from ..prompts import prompt_named
from ..protocols import OpticalModel, PageEngine, TokenCache
from ..quality import (
    Evidence,
    Flag,
    Step,
    agreement,
    assess,
    best_attempt,
    needs_retry,
    retry_ladder,
)
from ..token_file import TokenKey, key_of
from ..types import (
    Attempt,
    Block,
    OpticalReading,
    PageFailure,
    PageImage,
    PageOutcome,
    PageTask,
    ParsedPage,
)
from ..vision import DecodeRequest, Transcript, VisionTokens
from ..workers import WorkerPool

__all__ = ["DPI", "ENGINE", "LONG_SIDE", "PROFILE", "DeepSeekOcrEngine", "Look", "look_at"]

ENGINE: Final = "deepseek-ocr"
VERSION: Final = 1
"""Raised when the same answer of the model may be read differently by this package."""

DPI: Final = 144  # as the published PDF script
LONG_SIDE: Final = 4000  # pixels; the widest view has 1,920 x 1,920
PROFILE: Final = f"{DPI}dpi/{LONG_SIDE}px"
"""How pages are drawn, as part of the key of their vision tokens."""

# Boxes and table tags take up to five tokens for each of the text; a guess may be half.
_BUDGET_LEAST: Final = 1024
_BUDGET_PER_TOKEN: Final = 6


@dataclass(slots=True)
class _Sheet:
    """A page on its way: what is known of it, and what has been tried."""

    image: PageImage
    evidence: Evidence
    load: PageLoad
    steps: tuple[Step, ...]
    tokens: dict[str, VisionTokens] = field(default_factory=dict)  # by mode
    attempts: list[Attempt] = field(default_factory=list)
    readings: list[tuple[Block, ...]] = field(default_factory=list)

    @property
    def step(self) -> Step:
        """The next try."""
        return self.steps[len(self.attempts)]

    @property
    def is_open(self) -> bool:
        """Whether there is a next try, and a reason for it."""
        return len(self.attempts) < len(self.steps) and needs_retry(self.attempts)


class DeepSeekOcrEngine:
    """Reads pages with a loaded model.

    Args:
        model: encodes and decodes.
        config: options; ``model``, ``revision`` and ``device`` are not looked at here.
        fallback: reads pages with a text layer on which the model failed.
        cache: keeps vision tokens; if it fails, pages are read without it.
        pool: processes that draw pages, closed with the engine; None draws in this one.
        batch: pages decoded together if ``config`` does not say.
    """

    def __init__(
        self,
        model: OpticalModel,
        config: OpticalConfig | None = None,
        *,
        fallback: PageEngine,
        cache: TokenCache | None = None,
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
        """Yield one outcome per task, in order, reading one batch ahead."""
        source = iter(tasks)
        while batch := list(islice(source, self._batch)):
            yield from self._read(batch)

    def close(self) -> None:
        """End the processes. The model stays with whoever loaded it."""
        self._pool.close()
        self._fallback.close()

    def _read(self, tasks: Sequence[PageTask]) -> Iterator[PageOutcome]:
        started = time.perf_counter()
        drawn = list(render_pages(iter(tasks), self._pool, dpi=DPI, long_side=LONG_SIDE))
        sheets = [
            image if isinstance(image, PageFailure) else self._sheet(image) for image in drawn
        ]
        try:
            self._climb([sheet for sheet in sheets if isinstance(sheet, _Sheet)])
        except OpticalRagError as error:
            if len(tasks) == 1:
                yield _failure(tasks[0], error)
            else:  # whichever page it was, the others are not to suffer
                yield from (outcome for task in tasks for outcome in self._read([task]))
            return
        seconds = (time.perf_counter() - started) / len(tasks)
        for task, sheet in zip(tasks, sheets, strict=True):
            yield sheet if isinstance(sheet, PageFailure) else self._page(task, sheet, seconds)

    def _sheet(self, image: PageImage) -> _Sheet:
        look = look_at(image, self._model)
        height, width = image.pixels.shape[:2]
        modes = self._model.modes
        mode = look.mode if self._config.mode == AUTO else mode_named(self._config.mode, modes)
        other = other_mode(mode, width, height, modes)
        steps = retry_ladder(mode, other, self._config.prompt)
        return _Sheet(image, look.evidence, look.load, steps)

    def _climb(self, sheets: Sequence[_Sheet]) -> None:
        """Try all sheets, then again those whose last try was not good, up the ladder."""
        left = [sheet for sheet in sheets if not sheet.evidence.is_blank]
        while left := [sheet for sheet in left if sheet.is_open]:
            self._encode(left)
            self._decode(left)

    def _encode(self, sheets: Sequence[_Sheet]) -> None:
        by_mode: defaultdict[Mode, list[tuple[TokenKey, _Sheet]]] = defaultdict(list)
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

    def _decode(self, sheets: Sequence[_Sheet]) -> None:
        requests = [
            DecodeRequest(
                sheet.tokens[sheet.step.mode.name],
                prompt_named(sheet.step.prompt),
                self._config.max_output_tokens or _budget(sheet.load),
            )
            for sheet in sheets
        ]
        for sheet, transcript in zip(sheets, self._model.decode(requests), strict=True):
            _record(sheet, transcript)

    def _page(self, task: PageTask, sheet: _Sheet, seconds: float) -> PageOutcome:
        shares = [agreement(_text(blocks), sheet.evidence.words) for blocks in sheet.readings]
        best = best_attempt(sheet.attempts, shares) if sheet.attempts else None
        flags = sheet.attempts[best].flags if best is not None else (Flag.BLANK,)
        blocks = sheet.readings[best] if best is not None else ()
        if Flag.INVENTED in flags:
            blocks = ()
        elif best is not None and flags and sheet.evidence.is_reliable:
            (other,) = self._fallback.parse([task])
            if isinstance(other, ParsedPage):
                best, blocks = None, other.blocks
                flags = (*flags, *other.flags, Flag.FROM_TEXT_LAYER)
        record = OpticalReading(
            self._model.name,
            sheet.load.text_tokens,
            sheet.load.columns,
            tuple(sheet.attempts),
            best,
        )
        image = sheet.image
        return ParsedPage(
            image.ref, image.width, image.height, blocks, ENGINE, flags, seconds, record
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a page before it is read, and the mode that follows from it."""

    evidence: Evidence
    load: PageLoad
    mode: Mode


def look_at(image: PageImage, model: OpticalModel) -> Look:
    """Guess how much text is on a page: from its text layer if that can be believed."""
    words = tuple(word.text for word in image.words)
    evidence = Evidence(words, 1.0 if words else ink_share(image.pixels))
    load = estimate_load(image.pixels)
    if evidence.is_reliable:
        load = PageLoad(model.count_text_tokens(" ".join(words)), load.columns)
    height, width = image.pixels.shape[:2]
    chosen = choose_mode(load, width, height, model.modes, model.compression)
    return Look(evidence, load, chosen)


def _record(sheet: _Sheet, transcript: Transcript) -> None:
    grounding = read_grounding(transcript.text, truncated=transcript.finish_reason != "eos")
    flags = assess(
        _text(grounding.blocks),
        transcript.finish_reason,
        grounding.drifted,
        sheet.evidence,
    )
    sheet.readings.append(grounding.blocks)
    sheet.attempts.append(
        Attempt(
            mode=sheet.step.mode.name,
            prompt=transcript.prompt_name,
            finish_reason=transcript.finish_reason,
            output_tokens=len(transcript.ids),
            vision_tokens=transcript.vision_tokens,
            seconds=transcript.seconds,
            flags=flags,
        )
    )


def _budget(load: PageLoad) -> int:
    return _BUDGET_LEAST + _BUDGET_PER_TOKEN * load.text_tokens


def _text(blocks: Iterable[Block]) -> str:
    parts = []
    for block in blocks:
        parts.append(block.text)
        parts += [cell.text for cell in block.table.cells] if block.table else []
    return "\n".join(parts)


def _failure(task: PageTask, error: OpticalRagError) -> PageFailure:
    document = task.ref.document
    message = f"page {task.ref.number} of {document.name} cannot be read: {error}"
    return PageFailure(
        document.uri or document.name, task.ref.index, error.code, message, document.id
    )
