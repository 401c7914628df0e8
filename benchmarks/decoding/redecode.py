"""Measures the time that cached vision tokens save.

    python -m benchmarks.decoding.redecode CHECKPOINT [--modes base] [--tokens 32 1000] \
        [--output FILE]

Fresh: render, encode, decode. Cached: load, decode. Both write an answer of the same forced length.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pymupdf

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, TokenKey, VisionTokens
from opticalrag.ingest.documents.pages import SourceDocument, open_document
from opticalrag.ingest.engines.deepseek_ocr.engine import DPI, LONG_SIDE, PROFILE
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.token_cache.cache import TokenCache

from ..machine import describe, synchronise

SENTENCE = "The harbour master counted the ships that came in before the storm. "


@dataclass(frozen=True, slots=True)
class Row:
    """One mode and answer length, in seconds. ``saved`` is the share of the fresh time."""

    mode: str
    tokens: int
    draw: float
    encode: float
    load: float
    decode: float

    @property
    def fresh(self) -> float:
        """The time for a page without cached tokens."""
        return self.draw + self.encode + self.decode

    @property
    def cached(self) -> float:
        """The time for a page with cached tokens."""
        return self.load + self.decode

    @property
    def saved(self) -> float:
        """The share of the fresh time that the cache saves."""
        return 1 - self.cached / self.fresh


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--tokens", nargs="+", type=int, default=[32, 1000])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    model = DeepSeekOcr(options.checkpoint, device=options.device)
    with tempfile.TemporaryDirectory() as folder:
        path = page_of_text(Path(folder) / "page.pdf")
        with TokenCache(TokenCacheConfig(f"{folder}/tokens")) as cache, open_document(path) as page:
            rows = [
                row
                for mode in options.modes
                for row in measure(model, cache, page, mode, options.tokens)
            ]
    print(f"{'mode':10}{'tokens':>7}{'draw':>8}{'encode':>8}{'load':>8}{'decode':>9}{'saved':>7}")
    for row in rows:
        times = f"{row.draw:8.3f}{row.encode:8.2f}{row.load:8.4f}{row.decode:9.2f}"
        print(f"{row.mode:10}{row.tokens:7}{times}{row.saved:7.0%}")
    if options.output:
        figures = [
            {**asdict(r), "fresh": r.fresh, "cached": r.cached, "saved": r.saved} for r in rows
        ]
        values = {"machine": describe(), "runtime": str(model.runtime), "rows": figures}
        options.output.write_text(json.dumps(values, indent=2) + "\n")


def page_of_text(path: Path) -> Path:
    """Make a dense A4 page."""
    with pymupdf.open() as document:
        page = document.new_page(width=595, height=842)
        page.insert_textbox((50, 50, 545, 792), SENTENCE * 50, fontsize=10)
        document.save(path)
    return path


def measure(
    model: DeepSeekOcr, cache: TokenCache, page: SourceDocument, mode: str, lengths: list[int]
) -> list[Row]:
    """Measure every stage of one mode; stages before the answer are measured once."""
    image = page.render(0, dpi=DPI, long_side=LONG_SIDE)
    draw = seconds(lambda: page.render(0, dpi=DPI, long_side=LONG_SIDE), model)
    (tokens,) = model.encode([image.pixels], MODES[mode])
    encode = seconds(lambda: model.encode([image.pixels], MODES[mode]), model)
    cache.store(TokenKey.for_page(image.pixels, PROFILE, mode, model), tokens, image.ref)
    load = seconds(lambda: cache.load(image.ref.document.id, 0, mode=mode), model)
    return [
        Row(mode, length, draw, encode, load, decode_seconds(model, tokens, length))
        for length in lengths
    ]


def decode_seconds(model: DeepSeekOcr, tokens: VisionTokens, length: int) -> float:
    """Decoding time for an answer of this length, extrapolated if the answer ends early."""
    request = DecodeRequest(tokens, PROMPTS["markdown"], length)
    started = time.perf_counter()
    (answer,) = model.decode([request])
    synchronise(model.runtime.device)
    return (time.perf_counter() - started) * length / max(len(answer.ids), 1)


def seconds(action: Callable[[], object], model: DeepSeekOcr) -> float:
    """Time a call in seconds, the best of three."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        action()
        synchronise(model.runtime.device)
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
