"""Pages to check that decoding in slots gives the tokens of ``generate``, page by page.

They come from a tiny random network in float32. Its answers have one to hundreds of tokens and end
by themselves, by their budget or by a loop. An answer is cut before the first choice between scores
so close that rounding could decide it, so every difference is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, VisionTokens
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..tiny.held_out import held_out
from .one_by_one import Answer, Reference
from .random_checkpoint import SHARD, TINY, random_tensors, write_checkpoint

__all__ = [
    "RULE",
    "Case",
    "chance_loop",
    "make_cases",
    "page_of_noise",
    "read_cases",
    "write_talker",
]

RULE = NoRepeat(4, 24)  # small enough to ban tokens on most pages
_LETTERS = slice(2, 96)  # ids of printable ASCII: tokens whose text encodes to the same tokens
_CLOSE = 3e-5  # difference between scores around 5; float32 errors are near 1e-6
_LONGEST = 400  # tokens of an answer about a card
_END = 0.9  # added to the score of the end token


@dataclass(frozen=True, slots=True)
class Case:
    """A request and the answer of ``generate`` to it alone."""

    request: DecodeRequest
    answer: Answer


def write_talker(
    folder: Path, config: Mapping[str, Any] = TINY, end: float = _END, seed: int = 0
) -> Path:
    """Make a random checkpoint that writes letters, and sometimes the end token."""
    write_checkpoint(folder, config, seed)
    tensors = random_tensors(config, seed)
    head = tensors["lm_head.weight"]
    ending = head[1] * end
    letters = head[_LETTERS].clone()
    head.zero_()
    head[_LETTERS], head[1] = letters, ending
    save_file(tensors, folder / SHARD)
    return folder


def chance_loop(ids: Sequence[int]) -> bool:
    """A loop detector that fires once in six calls; real loops need hundreds of tokens."""
    return sum(ids) % 6 == 0


def page_of_noise(model: DeepSeekOcr, seed: int, side: int) -> VisionTokens:
    """Make random vision tokens that form a square of this side."""
    width = int(model.network.config.text_config.hidden_size)
    view = np.random.default_rng(seed).normal(size=(side * side, width)).astype(np.float32)
    none = np.zeros((0, 0, width), np.float32)
    made_by = (model.name, model.weights, model.preprocessing)
    return VisionTokens(view, none, (1, 1), "tiny", "float32", *made_by)


def make_cases(model: DeepSeekOcr, count: int, seed: int = 0) -> list[Case]:
    """Make pages of mixed lengths, their answers one by one, and partly correct drafts."""
    random = np.random.default_rng(seed)
    reference = Reference(model, RULE, chance_loop, measure=True)
    names = ("free_ocr", "markdown", "ocr")
    cases = []
    for number in range(count):
        tokens = page_of_noise(model, seed + number, int(random.integers(1, 9)))
        prompt = PROMPTS[names[number % len(names)]] if number % 7 else PROMPTS["free_ocr"]
        budget = int(min(400, 1 + random.lognormal(3.0, 1.1)))
        case = _alone(reference, DecodeRequest(tokens, prompt, budget))
        draft = damaged(model.tokenizer.decode(case.answer.ids), random)
        expected = len(case.answer.ids) if number % 3 else None
        request = replace(case.request, draft=draft, expected_tokens=expected)
        cases.append(Case(request, case.answer))
    return cases


def read_cases(model: DeepSeekOcr, count: int) -> list[Case]:
    """The same for a trained model: held-out cards, with their own text as the draft."""
    reference = Reference(model, measure=True)
    widest = max(model.modes.values(), key=lambda mode: mode.base_size)
    cases = []
    for number, page in enumerate(held_out(count)):
        (tokens,) = model.encode([page.pixels], widest)
        prompt = PROMPTS[("free_ocr", "markdown")[number % 2]]
        case = _alone(reference, DecodeRequest(tokens, prompt, _LONGEST))
        cases.append(Case(replace(case.request, draft=page.text), case.answer))
    return cases


def _alone(reference: Reference, request: DecodeRequest) -> Case:
    """Answer a request, up to the first choice that rounding could decide."""
    (answer,) = reference.decode([request])
    close = [i for i, gap in enumerate(answer.gaps) if gap < _CLOSE]
    if close and close[0] <= len(answer.ids):
        request = replace(request, max_tokens=max(1, close[0]))
        (answer,) = reference.decode([request])
    return Case(request, answer)


def damaged(text: str, random: np.random.Generator) -> str:
    """Change a text as text layers do: omit parts, insert parts, move a part."""
    parts = [text[i : i + 12] for i in range(0, len(text), 12)]
    kept = [part for part in parts if random.random() > 0.1]
    mixed = ["".join((part, "~|~" if random.random() < 0.2 else "")) for part in kept]
    turn = int(random.integers(0, 1 + len(mixed) // 4))
    return "".join(mixed[turn:] + mixed[:turn])
