"""The quality gate on failures this model really makes, and on pages it reads well.

Failures: pages too dense for their view, pages with nothing on them, and pages whose vision
tokens were disturbed until the decoder loses its place. Each is judged as a file with a text
layer and as a scan, where the transcript alone has to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opticalrag.ingest.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.density import estimate_load, ink_share
from opticalrag.ingest.grounding import read_grounding
from opticalrag.ingest.prompts import PROMPTS
from opticalrag.ingest.quality import Evidence, assess
from opticalrag.ingest.vision import DecodeRequest, VisionTokens, bfloat16_bits, float32_values

from .held_out import Page, held_out
from .marks import plain, precision

__all__ = ["gate"]

_PAGES: Final = 16
_WELL: Final = 0.9  # precision from which an alarm is false
_BADLY: Final = 0.5  # precision below which a reading should be caught
_BUDGET: Final = 600  # tokens: more than twice the longest true answer, so a loop shows


@dataclass(frozen=True, slots=True)
class Judged:
    """How well a page was read, and what the gate says with a text layer and without."""

    precision: float
    with_layer: bool
    without: bool


def gate(model: DeepSeekOcr) -> dict[str, Any]:
    """Shares caught, by kind of failure, and of false alarms."""
    pages = list(held_out(_PAGES))
    widest = max(model.modes.values(), key=lambda mode: mode.base_size)
    narrowest = min(model.modes.values(), key=lambda mode: mode.base_size)
    images = [page.pixels for page in pages]
    well = list(_judge(model, pages, model.encode(images, widest)))
    dense = list(_judge(model, pages, model.encode(images, narrowest)))
    lost = list(_judge(model, pages, [_disturbed(t) for t in model.encode(images, widest)]))
    return {
        "read_well": _alarms([one for one in well if one.precision >= _WELL]),
        "too_dense": _alarms([one for one in dense if one.precision < _BADLY]),
        "disturbed": _alarms([one for one in lost if one.precision < _BADLY]),
        "blank": blank(model),
    }


def _judge(
    model: DeepSeekOcr, pages: Sequence[Page], tokens: Sequence[VisionTokens]
) -> Iterator[Judged]:
    requests = [DecodeRequest(one, PROMPTS["markdown"], _BUDGET) for one in tokens]
    for page, answer in zip(pages, model.decode(requests), strict=True):
        grounding = read_grounding(answer.text, truncated=answer.finish_reason != "eos")
        text = plain(answer.text)
        flags = [
            assess(text, answer.finish_reason, grounding.drifted, evidence)
            for evidence in (
                Evidence(tuple(page.text.split())),
                Evidence((), ink_share(page.pixels)),
            )
        ]
        yield Judged(precision(text, plain(page.markdown)), *map(bool, flags))


def _disturbed(tokens: VisionTokens) -> VisionTokens:
    random = np.random.default_rng(3)
    values = float32_values(tokens.global_view)
    noisy = values + random.normal(0, 1.0 * values.std(), values.shape).astype(np.float32)
    packed = bfloat16_bits(noisy) if tokens.dtype == "bfloat16" else noisy
    return replace(tokens, global_view=packed)


def blank(model: DeepSeekOcr) -> dict[str, Any]:
    """Empty pages, clean and with dust: what the engine's first look says, and the model."""
    kept = wrote = 0
    cases = list(_empty())
    for pixels in cases:
        evidence = Evidence((), ink_share(pixels))
        kept += evidence.is_blank and estimate_load(pixels).text_tokens <= 1
        mode = max(model.modes.values(), key=lambda mode: mode.base_size)
        (tokens,) = model.encode([pixels], mode)
        (answer,) = model.decode([DecodeRequest(tokens, PROMPTS["markdown"], 200)])
        wrote += bool(plain(answer.text).strip())
    return {"pages": len(cases), "kept_from_the_model": kept, "model_would_invent": wrote}


def _empty() -> Iterator[NDArray[np.uint8]]:
    for number in range(10):
        random = np.random.default_rng(number)
        page = np.full((640, 640, 3), 255 - 2 * number, np.uint8)
        dust = random.random(page.shape[:2]) < 0.0001 * (number % 4)
        page[dust] = 60
        yield page


def _alarms(judged: Sequence[Judged]) -> dict[str, Any]:
    if not judged:
        return {"pages": 0}
    return {
        "pages": len(judged),
        "precision": float(np.mean([one.precision for one in judged])),
        "flagged_with_text_layer": float(np.mean([one.with_layer for one in judged])),
        "flagged_as_scan": float(np.mean([one.without for one in judged])),
    }
