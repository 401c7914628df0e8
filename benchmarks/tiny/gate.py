"""Measures the quality gate on real failures of this model, and on pages that it reads well.

Failures are pages too dense for their view, blank pages, and pages whose vision tokens were
disturbed until the decoder loses its position. The gate judges each as a file with a text layer,
and as a scan, from the transcript alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.records import Box, DocumentRef, PageImage, PageRef, Word
from opticalrag.ingest.core.vision import DecodeRequest, VisionTokens, bfloat16_bits, float32_values
from opticalrag.ingest.engines.deepseek_ocr.attempts import flag_answer, survey_page
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.engines.quality.assessment import Evidence
from opticalrag.ingest.engines.quality.density import estimate_load, ink_share

from .held_out import Page, held_out
from .layout import SIDE
from .marks import plain, precision

__all__ = ["gate", "goes_round"]

_PAGES: Final = 32
_WELL: Final = 0.9  # an alarm is false from this precision on
_BADLY: Final = 0.5  # a page below this precision should be caught
_BUDGET: Final = 1024  # tokens: the engine's budget for the shortest page, so that loops show
_NOISE: Final = (0.5, 1.0, 2.0)  # times the standard deviation of the tokens
_LINES: Final = 7  # lines of a card: text written more often is a loop
_GRAM: Final = 12
_NOWHERE: Final = PageRef(DocumentRef("", "", "", "", 1), 0, "")

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """How well a page was read, and the flags of the gate with and without a text layer.

    ``endless``: the answer repeats itself more often than a card has lines, or does not end.
    """

    precision: float
    endless: bool
    with_layer: bool
    without: bool


def gate(model: DeepSeekOcr) -> dict[str, Any]:
    """Shares of caught failures, by kind, and of false alarms."""
    pages = list(held_out(_PAGES))
    images = [page.pixels for page in pages]
    by_size = sorted(model.modes.values(), key=lambda mode: mode.base_size)
    tokens = model.encode(images, by_size[-1])
    well = [one for one in _judge(model, pages, tokens) if one.precision >= _WELL]
    failures = {
        "too_dense": list(_judge(model, pages, model.encode(images, by_size[0]))),
        **{
            f"noise_{strength}": list(_judge(model, pages, _disturbed(tokens, _noise(strength))))
            for strength in _NOISE
        },
        "first_row": list(_judge(model, pages, _disturbed(tokens, _first_row))),
        "mean_token": list(_judge(model, pages, _disturbed(tokens, _mean_token))),
    }
    bad = {name: [o for o in ones if o.precision < _BADLY] for name, ones in failures.items()}
    endless = [one for ones in failures.values() for one in ones if one.endless]
    return {
        "read_well": _alarms(well),
        **{name: _alarms(ones) for name, ones in bad.items()},
        "endless_of_all": _alarms(endless),
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
            flag_answer(answer, grounding, PROMPTS["markdown"], evidence, page.pixels)
            for evidence in (_evidence(model, page, page.text), _evidence(model, page, ""))
        ]
        endless = answer.finish_reason != "eos" or goes_round(answer.ids)
        yield Judged(precision(text, plain(page.markdown)), endless, *map(bool, flags))


def _evidence(model: DeepSeekOcr, page: Page, layer: str) -> Evidence:
    """The evidence that the engine has for a page with this text layer."""
    words = tuple(Word(word, Box(0, 0, 1, 1)) for word in layer.split())
    image = PageImage(_NOWHERE, page.pixels, SIDE, SIDE, words)
    return survey_page(image, model.count_text_tokens, model.modes, model.compression).evidence


def goes_round(ids: Sequence[int]) -> bool:
    """Whether some twelve ids occur more often than a card has lines."""
    grams = Counter(tuple(ids[i : i + _GRAM]) for i in range(len(ids) - _GRAM + 1))
    return max(grams.values(), default=0) > _LINES


def _disturbed(
    tokens: Sequence[VisionTokens], disturb: Callable[[Values], Values]
) -> list[VisionTokens]:
    changed = (disturb(float32_values(one.global_view)) for one in tokens)
    return [
        replace(one, global_view=bfloat16_bits(view) if one.dtype == "bfloat16" else view)
        for one, view in zip(tokens, changed, strict=True)
    ]


def _noise(strength: float) -> Callable[[Values], Values]:
    random = np.random.default_rng(3)

    def disturb(values: Values) -> Values:
        noise = random.normal(0, strength * float(values.std()), values.shape)
        return values + noise.astype(np.float32)

    return disturb


def _first_row(values: Values) -> Values:
    """Repeat the first row of the page, so that the next line is always the same."""
    side = round(len(values) ** 0.5)
    grid = values.reshape(side, side, -1)
    return np.repeat(grid[:1], side, axis=0).reshape(values.shape)


def _mean_token(values: Values) -> Values:
    """Use the mean of the page everywhere: with equal positions, the model loops most."""
    return np.repeat(values.mean(0, keepdims=True), len(values), 0)


def blank(model: DeepSeekOcr) -> dict[str, Any]:
    """Test blank pages, clean and with dust, with the engine's blank check and with the model."""
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
        "endless": float(np.mean([one.endless for one in judged])),
        "flagged_with_text_layer": float(np.mean([one.with_layer for one in judged])),
        "flagged_as_scan": float(np.mean([one.without for one in judged])),
    }
