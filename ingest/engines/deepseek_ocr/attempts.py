"""The attempts at reading a page: estimates before, flags for each answer, the best one after.

Used for a model in this process and for a model on a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

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
    flag_damage,
    needs_retry,
)
from ..quality.density import estimate_load, ink_share
from .grounding.transcript import Grounding, read_grounding

__all__ = [
    "DPI",
    "LONG_SIDE",
    "PROFILE",
    "VERSION",
    "PageAttempts",
    "PageSurvey",
    "build_page",
    "failure",
    "flag_answer",
    "record_answer",
    "survey_page",
    "token_budget",
]

VERSION: Final = 4
"""Increase this when a change may make this package read the same answer differently."""

DPI: Final = 144  # as in the published PDF script
LONG_SIDE: Final = 4000  # pixels; the widest view has 1,920 x 1,920
PROFILE: Final = f"{DPI}dpi/{LONG_SIDE}px"
"""How pages are drawn. It is part of the key of their vision tokens."""

# Boxes and table tags take up to five tokens per token of text, and the estimate of the text may be
# half of the truth.
_BUDGET_LEAST: Final = 1024
_BUDGET_PER_TOKEN: Final = 6

# Share of the estimated print that a text layer must account for. The estimate is right to a factor
# of two; a stamp on a scan is a much smaller part of the print.
_EXPLAINED: Final = 0.5


@dataclass(slots=True, eq=False)
class PageAttempts:
    """A page, the facts about it, and the attempts at reading it so far."""

    task: PageTask
    image: PageImage
    evidence: Evidence  # answers are checked against it
    load: PageLoad
    steps: tuple[Step, ...]  # the planned attempts
    tokens: dict[str, VisionTokens] = field(default_factory=dict)  # by mode
    attempts: list[Attempt] = field(default_factory=list)
    readings: list[tuple[Block, ...]] = field(default_factory=list)  # blocks of each attempt

    @property
    def step(self) -> Step:
        """The next planned attempt."""
        return self.steps[len(self.attempts)]

    @property
    def needs_attempt(self) -> bool:
        """Whether an attempt is left, and the last one, if any, gives a reason for it."""
        return len(self.attempts) < len(self.steps) and needs_retry(self.attempts)


@dataclass(frozen=True, slots=True)
class PageSurvey:
    """Facts and estimates about a page before it is read, and the mode chosen from them."""

    evidence: Evidence
    load: PageLoad
    mode: Mode


def survey_page(
    image: PageImage,
    count_tokens: Callable[[str], int],
    modes: Mapping[str, Mode] = MODES,
    compression: float = TARGET_COMPRESSION,
) -> PageSurvey:
    """Estimate how much text is on a page, and choose the mode to read it in.

    The estimate comes from the text layer if it is reliable, else from the print.
    ``count_tokens`` and ``compression`` (text tokens per vision token) are those of the model.
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
    return PageSurvey(evidence, load, choose_mode(load, width, height, modes, compression))


def record_answer(page: PageAttempts, transcript: Transcript, tokens: int) -> None:
    """Read the answer to the page's next step into blocks, flag it, and record the attempt."""
    grounding = read_grounding(transcript.text, truncated=transcript.finish_reason != "eos")
    prompt = prompt_named(page.step.prompt)
    flags = flag_answer(transcript, grounding, prompt, page.evidence, page.image.pixels)
    page.readings.append(grounding.blocks)
    page.attempts.append(
        Attempt(
            mode=page.step.mode.name,
            prompt=transcript.prompt_name,
            finish_reason=transcript.finish_reason,
            output_tokens=tokens,
            vision_tokens=transcript.vision_tokens,
            seconds=transcript.seconds,
            flags=flags,
        )
    )


def flag_answer(
    transcript: Transcript,
    grounding: Grounding,
    prompt: Prompt,
    evidence: Evidence,
    pixels: NDArray[np.uint8],
) -> tuple[str, ...]:
    """Return the flags of an answer; none if no fault is found.

    Only a prompt for the whole page can have too short an answer.
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
    """Estimate how many of the page's text tokens are inside its pictures."""
    boxes = [block.box for block in blocks if block.kind is BlockKind.FIGURE]
    if not boxes or evidence.is_reliable:
        return 0
    return evidence.tokens - estimate_load(pixels, boxes).text_tokens


def build_page(
    page: PageAttempts, seconds: float, *, engine: str, model: str, fallback: PageEngine
) -> ParsedPage:
    """Build the result from the best answer; a blank page has none.

    If that answer is flagged and the text layer is reliable, ``fallback`` reads the page instead.

    Raises:
        OpticalRagError: the fallback failed.
    """
    shares = [agreement(_text(blocks), page.evidence.words) for blocks in page.readings]
    best = best_attempt(page.attempts, shares) if page.attempts else None
    flags = _flags(page, best) if best is not None else (Flag.BLANK,)
    blocks = page.readings[best] if best is not None else ()
    if Flag.INVENTED in flags:
        blocks = ()
    elif best is not None and flags and page.evidence.is_reliable:
        (other,) = fallback.parse([page.task])
        if isinstance(other, ParsedPage):
            best, blocks = None, other.blocks
            flags = (*flags, *other.flags, Flag.FROM_TEXT_LAYER)
    found = flag_damage(blocks, mended=page.image.mended, placeholder=page.image.placeholder)
    flags = tuple(dict.fromkeys((*flags, *found)))
    load, image = page.load, page.image
    reading = OpticalReading(model, load.text_tokens, load.columns, tuple(page.attempts), best)
    return ParsedPage(image.ref, image.width, image.height, blocks, engine, flags, seconds, reading)


def _flags(page: PageAttempts, best: int) -> tuple[str, ...]:
    # An answer without boxes has no markup to break. Without a reliable text layer to check it
    # against, broken markup in earlier answers still counts against the page.
    flags = page.attempts[best].flags
    broken = any(Flag.GRAMMAR in attempt.flags for attempt in page.attempts[:best])
    is_grounded = prompt_named(page.steps[best].prompt).grounded
    if not broken or is_grounded or page.evidence.is_reliable:
        return flags
    return (*flags, Flag.GRAMMAR)


def token_budget(page: PageAttempts, config: OpticalConfig) -> int:
    """Return the largest number of tokens that the answer may have."""
    return config.max_output_tokens or _BUDGET_LEAST + _BUDGET_PER_TOKEN * page.load.text_tokens


def failure(task: PageTask, error: OpticalRagError) -> PageFailure:
    """Return the outcome of a page that could not be read."""
    message = f"page {task.ref.number} of {task.ref.document.name} cannot be read: {error}"
    return PageFailure.of(task.ref, error.code, message)


def _text(blocks: Iterable[Block]) -> str:
    parts = []
    for block in blocks:
        parts.append(block.text)
        parts += [cell.text for cell in block.table.cells] if block.table else []
    return "\n".join(parts)
