"""A page on its way through the model: looked at, tried, doubted, and finished.

Knows nothing of what makes the answers: a model here, or one on a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.config import OpticalConfig
from ...core.errors import OpticalRagError
from ...core.flags import Flag
from ...core.modes import MODES, TARGET_COMPRESSION, Mode, PageLoad, choose_mode
from ...core.prompts import Prompt, prompt_named
from ...core.protocols import PageEngine
from ...core.records import (
    Attempt,
    Block,
    BlockKind,
    OpticalReading,
    PageFailure,
    PageImage,
    PageTask,
    ParsedPage,
)
from ...core.vision import Transcript, VisionTokens
from ..quality.assessment import (
    Evidence,
    Markup,
    Step,
    agreement,
    assess,
    best_attempt,
    lost,
    needs_retry,
)
from ..quality.density import estimate_load, ink_share
from .grounding.transcript import Grounding, read_grounding

__all__ = [
    "DPI",
    "LONG_SIDE",
    "PROFILE",
    "VERSION",
    "Look",
    "MadeBy",
    "Sheet",
    "budget",
    "failure",
    "held_against",
    "look_at",
    "page_of",
    "record",
]

VERSION: Final = 3
"""Raised when the same answer of the model may be read differently by this package."""

DPI: Final = 144  # as the published PDF script
LONG_SIDE: Final = 4000  # pixels; the widest view has 1,920 x 1,920
PROFILE: Final = f"{DPI}dpi/{LONG_SIDE}px"
"""How pages are drawn, as part of the key of their vision tokens."""

# Boxes and table tags take up to five tokens for each of the text; a guess may be half.
_BUDGET_LEAST: Final = 1024
_BUDGET_PER_TOKEN: Final = 6

# What print looks like is right to a factor of two; a stamp on a scan is a small part of it.
_EXPLAINED: Final = 0.5


class MadeBy(NamedTuple):
    """Names of an engine and of the model in it."""

    engine: str
    model: str


@dataclass(slots=True, eq=False)
class Sheet:
    """A page on its way: what is known of it, and what has been tried."""

    task: PageTask
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


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a page before it is read, and the mode that follows from it."""

    evidence: Evidence
    load: PageLoad
    mode: Mode


def look_at(
    image: PageImage,
    count_tokens: Callable[[str], int],
    modes: Mapping[str, Mode] = MODES,
    compression: float = TARGET_COMPRESSION,
) -> Look:
    """Guess how much text is on a page: from its text layer if that can be believed.

    Args:
        image: the page, drawn.
        count_tokens: tokens of a text in the model's vocabulary.
        modes: that the model has.
        compression: text tokens per vision token that it can read.
    """
    words = tuple(word.text for word in image.words)
    load = estimate_load(image.pixels)
    tokens = count_tokens(" ".join(words))
    ink = 1.0 if words else ink_share(image.pixels)
    explained = tokens >= _EXPLAINED * load.text_tokens
    evidence = Evidence(words, ink, explained, load.text_tokens)
    if evidence.is_reliable:
        load = PageLoad(tokens, load.columns)
    height, width = image.pixels.shape[:2]
    return Look(evidence, load, choose_mode(load, width, height, modes, compression))


def record(sheet: Sheet, transcript: Transcript, tokens: int) -> None:
    """Read an answer of so many tokens, doubt it, and put both on the record of the page."""
    grounding = read_grounding(transcript.text, truncated=transcript.finish_reason != "eos")
    prompt = prompt_named(sheet.step.prompt)
    flags = held_against(transcript, grounding, prompt, sheet.evidence, sheet.image.pixels)
    sheet.readings.append(grounding.blocks)
    sheet.attempts.append(
        Attempt(
            mode=sheet.step.mode.name,
            prompt=transcript.prompt_name,
            finish_reason=transcript.finish_reason,
            output_tokens=tokens,
            vision_tokens=transcript.vision_tokens,
            seconds=transcript.seconds,
            flags=flags,
        )
    )


def held_against(
    transcript: Transcript,
    grounding: Grounding,
    prompt: Prompt,
    evidence: Evidence,
    pixels: NDArray[np.uint8],
) -> tuple[str, ...]:
    """What is wrong with an answer.

    Args:
        transcript: the answer.
        grounding: the same, read.
        prompt: that it answers; only one that asks for the whole page can be answered too shortly.
        evidence: what is known of the page.
        pixels: the page, drawn.
    """
    return assess(
        _text(grounding.blocks),
        transcript.finish_reason,
        grounding.drifted,
        evidence if prompt.whole else replace(evidence, tokens=0),
        grounding.markup if prompt.grounded else Markup(),
        _pictured(grounding.blocks, evidence, pixels) if prompt.whole else 0,
    )


def _pictured(blocks: Iterable[Block], evidence: Evidence, pixels: NDArray[np.uint8]) -> int:
    """Of the tokens that the print of a page looks like, those in pictures."""
    boxes = [block.box for block in blocks if block.kind is BlockKind.FIGURE]
    if not boxes or evidence.is_reliable:
        return 0
    return evidence.tokens - estimate_load(pixels, boxes).text_tokens


def page_of(sheet: Sheet, seconds: float, made_by: MadeBy, fallback: PageEngine) -> ParsedPage:
    """The page as it is best known: by the best answer, or by its text layer if all are bad."""
    shares = [agreement(_text(blocks), sheet.evidence.words) for blocks in sheet.readings]
    best = best_attempt(sheet.attempts, shares) if sheet.attempts else None
    flags = _flags(sheet, best) if best is not None else (Flag.BLANK,)
    blocks = sheet.readings[best] if best is not None else ()
    if Flag.INVENTED in flags:
        blocks = ()
    elif best is not None and flags and sheet.evidence.is_reliable:
        (other,) = fallback.parse([sheet.task])
        if isinstance(other, ParsedPage):
            best, blocks = None, other.blocks
            flags = (*flags, *other.flags, Flag.FROM_TEXT_LAYER)
    flags = tuple(dict.fromkeys((*flags, *lost(blocks, mended=sheet.image.mended))))
    reading = OpticalReading(
        made_by.model,
        sheet.load.text_tokens,
        sheet.load.columns,
        tuple(sheet.attempts),
        best,
    )
    image = sheet.image
    return ParsedPage(
        image.ref, image.width, image.height, blocks, made_by.engine, flags, seconds, reading
    )


def _flags(sheet: Sheet, best: int) -> tuple[str, ...]:
    """What speaks against a page of which this answer is kept.

    One without boxes has no markup to break: where no text layer was there to compare it with,
    the broken markup of the answers before it is still held against the page.
    """
    flags = sheet.attempts[best].flags
    broken = any(Flag.GRAMMAR in attempt.flags for attempt in sheet.attempts[:best])
    if not broken or _is_grounded(sheet.steps[best]) or sheet.evidence.is_reliable:
        return flags
    return (*flags, Flag.GRAMMAR)


def _is_grounded(step: Step) -> bool:
    return prompt_named(step.prompt).grounded


def budget(sheet: Sheet, config: OpticalConfig) -> int:
    """Tokens an answer may have."""
    return config.max_output_tokens or _BUDGET_LEAST + _BUDGET_PER_TOKEN * sheet.load.text_tokens


def failure(task: PageTask, error: OpticalRagError) -> PageFailure:
    """The outcome of a page that could not be read."""
    message = f"page {task.ref.number} of {task.ref.document.name} cannot be read: {error}"
    return PageFailure.of(task.ref, error.code, message)


def _text(blocks: Iterable[Block]) -> str:
    parts = []
    for block in blocks:
        parts.append(block.text)
        parts += [cell.text for cell in block.table.cells] if block.table else []
    return "\n".join(parts)
