"""Evaluates the small model: held-out pages at every budget, lossy tokens, failures.

    python -m benchmarks.tiny.evaluate CHECKPOINT [--pages 200] [--output FILE] [--curve FILE.svg]

It rewrites the table in CHECKPOINT's README.md and leaves its prose.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from opticalrag.ingest.core.modes import Mode
from opticalrag.ingest.core.prompts import PROMPTS, prompt_named
from opticalrag.ingest.core.records import Box
from opticalrag.ingest.core.vision import DecodeRequest, TokenKey, Transcript, VisionTokens
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.token_cache.codecs import CODECS
from opticalrag.ingest.token_cache.file import decode_tokens, encode_tokens

from ..machine import describe
from .card import with_table
from .curve import draw_curve
from .gate import gate
from .held_out import Page, held_out
from .layout import SIDE
from .marks import box_overlap, plain, precision, truth_boxes
from .targets import locate

__all__ = ["budget", "budgets", "lossy"]

_Item = TypeVar("_Item")
_TOGETHER: Final = 16
_BOUND: Final = 400  # tokens of an answer; the longest correct one has about 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--curve", type=Path)
    options = parser.parse_args()
    model = DeepSeekOcr(options.checkpoint, device="cpu")
    pages = list(held_out(options.pages))
    widest = max(model.modes.values(), key=lambda mode: mode.base_size)
    figures: dict[str, Any] = {
        "machine": describe(),
        "runtime": str(model.runtime),
        "weights": model.weights,
        "pages": len(pages),
        "characters_a_page": float(np.mean([len(page.text) for page in pages])),
    }
    _write(options.output, figures)
    parts = (
        ("budgets", lambda: budgets(model, pages)),
        ("seconds", lambda: seconds(model, pages[1], widest)),
        ("locate", lambda: places(model, pages[:50], widest)),
        ("lossy", lambda: lossy(model, pages[:32], widest)),
        ("gate", lambda: gate(model)),
    )
    for name, part in parts:
        figures[name] = part()
        _write(options.output, figures)
        print(name, json.dumps(figures[name], indent=1))
    card = options.checkpoint / "README.md"
    if card.exists():
        card.write_text(with_table(card.read_text(), figures["budgets"]))
    if options.curve:
        options.curve.write_text(draw_curve(figures["budgets"]))


def budgets(model: DeepSeekOcr, pages: Sequence[Page]) -> list[dict[str, Any]]:
    """Measure each budget, the largest first."""
    modes = sorted(model.modes.values(), key=lambda mode: -mode.base_size)
    return [budget(model, pages, mode) for mode in modes]


def budget(model: DeepSeekOcr, pages: Sequence[Page], mode: Mode) -> dict[str, Any]:
    """Precision and compression at one budget: the means, and the values of every page."""
    text_tokens = [model.count_text_tokens(page.text) for page in pages]
    tokens = encoded(model, pages, mode)
    free = answers(model, tokens, "free_ocr")
    grounded = answers(model, tokens, "markdown")
    read = [precision(a.text, p.text) for a, p in zip(free, pages, strict=True)]
    blocks = [
        precision(plain(a.text), plain(p.markdown)) for a, p in zip(grounded, pages, strict=True)
    ]
    boxes = [
        box_overlap(a.text, truth_boxes(p.sheet)) for a, p in zip(grounded, pages, strict=True)
    ]
    count = tokens[0].count
    compression = [n / count for n in text_tokens]
    return {
        "mode": mode.name,
        "side": mode.base_size,
        "pages": len(pages),
        "vision_tokens": count,
        "compression": float(np.mean(compression)),
        "free_ocr": float(np.mean(read)),
        "markdown": float(np.mean(blocks)),
        "box_iou": float(np.mean(boxes)),
        "ended": float(np.mean([a.finish_reason == "eos" for a in (*free, *grounded)])),
        "by_page": [[round(c, 3), round(p, 4)] for c, p in zip(compression, read, strict=True)],
    }


def places(model: DeepSeekOcr, pages: Sequence[Page], mode: Mode) -> dict[str, float]:
    """The overlap (IoU) of the boxes that the locate prompt finds for phrases."""
    overlaps = []
    for page, tokens in zip(pages, encoded(model, pages, mode), strict=True):
        lines = [line for part in page.sheet.parts for line in part.lines]
        phrase, target = locate(lines[0], slice(0, 2))
        prompt = prompt_named(f"locate:{phrase}")
        (answer,) = model.decode([DecodeRequest(tokens, prompt, 60)])
        (truth,) = _boxes(target.text)
        overlaps.append(box_overlap(answer.text, [truth]))
    return {
        "phrases": len(overlaps),
        "box_iou": float(np.mean(overlaps)),
        "iou_over_half": float(np.mean([o > 0.5 for o in overlaps])),
    }


def _boxes(transcript: str) -> list[Box]:
    return [block.box for block in read_grounding(transcript).blocks]


def lossy(model: DeepSeekOcr, pages: Sequence[Page], mode: Mode) -> list[dict[str, Any]]:
    """Precision and share of equal answers for each codec of the token cache."""
    tokens = encoded(model, pages, mode)
    fresh = answers(model, tokens, "free_ocr")
    rows = []
    for codec in CODECS:
        files = [encode_tokens(_key(t), t, codec) for t in tokens]
        kept = answers(model, [decode_tokens(file) for file in files], "free_ocr")
        read = [precision(a.text, p.text) for a, p in zip(kept, pages, strict=True)]
        rows.append(
            {
                "codec": codec,
                "bytes_a_page": float(np.mean([len(file) for file in files])),
                "free_ocr": float(np.mean(read)),
                "same_answers": float(
                    np.mean([a.ids == b.ids for a, b in zip(fresh, kept, strict=True)])
                ),
            }
        )
    return rows


def _key(tokens: VisionTokens) -> TokenKey:
    return TokenKey("0" * 64, "144dpi", tokens.mode, tokens.weights, tokens.preprocessing)


def seconds(model: DeepSeekOcr, page: Page, mode: Mode) -> dict[str, float]:
    """Wall-clock time of one page alone: medians of three runs."""
    encode, decode = [], []
    for _ in range(3):
        started = time.perf_counter()
        (tokens,) = model.encode([page.pixels], mode)
        between = time.perf_counter()
        (answer,) = model.decode([DecodeRequest(tokens, PROMPTS["markdown"], _BOUND)])
        encode.append(between - started)
        decode.append(time.perf_counter() - between)
    return {
        "encode": float(np.median(encode)),
        "decode": float(np.median(decode)),
        "output_tokens": len(answer.ids),
        "characters": len(page.text),
        "page_points": SIDE,
    }


def encoded(model: DeepSeekOcr, pages: Sequence[Page], mode: Mode) -> list[VisionTokens]:
    """Encode all pages."""
    return [t for some in _some(pages) for t in model.encode([p.pixels for p in some], mode)]


def answers(model: DeepSeekOcr, tokens: Sequence[VisionTokens], prompt: str) -> list[Transcript]:
    """Decode all pages."""
    asked = [DecodeRequest(one, PROMPTS[prompt], _BOUND) for one in tokens]
    return [answer for some in _some(asked) for answer in model.decode(some)]


def _some(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    yield from (items[i : i + _TOGETHER] for i in range(0, len(items), _TOGETHER))


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
