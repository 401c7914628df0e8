"""Checks the model on a GPU at full size with random weights: correctness and speed.

    make gpu-check                    writes the checkpoint first, then runs this
    python -m benchmarks.gpu.check CHECKPOINT [--device cuda] [--output FILE]

For each mode it compares bfloat16 with float32 (vision tokens and first logits) and a second decode
of the same tokens with the first one. It measures tokens per second for one page and for a batch,
and memory. If flash attention is installed, it compares its logits with those of sdpa. The exit
code is 1 if a check fails. The tests run it on a CPU with a tiny checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, Transcript, VisionTokens, float32_values
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..machine import describe, peak_memory, synchronise

# bfloat16 has 8 bits of precision: 0.4 % per step. Random attention is sharper than trained
# attention, so errors grow more than in use. A wrong layout or mask gives errors near 1.
TOLERANCE = 0.15
A4 = (1684, 1190)  # pixels at 144 dpi


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one mode. Errors are RMS relative to float32; memory is in GB."""

    mode: str
    grid: tuple[int, int]
    vision_error: float
    logits_error: float
    redecode_equal: bool
    encode_s: float
    tokens_per_s: float
    batch: int
    batch_tokens_per_s: float
    peak_gb: float

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return self.redecode_equal and max(self.vision_error, self.logits_error) < TOLERANCE


def main() -> None:
    """Run all checks and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--modes", nargs="+", default=list(MODES))
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    exact = reference(options.checkpoint, options.device, options.modes)
    model = DeepSeekOcr(options.checkpoint, device=options.device)
    rows = [
        check(model, name, exact[name], options.tokens, options.batch) for name in options.modes
    ]
    figures = {
        "machine": describe(),
        "runtime": str(model.runtime),
        "tokens": options.tokens,
        "modes": [asdict(row) for row in rows],
        "flash_attention_error": flash_error(model, options.device),
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    failed = [row.mode for row in rows if not row.ok]
    flash = figures["flash_attention_error"]
    if failed or (isinstance(flash, float) and flash > TOLERANCE):
        sys.exit(f"failed: {failed or 'flash attention'}")


def page(seed: int = 0) -> NDArray[np.uint8]:
    """Make an A4 page of noise."""
    return np.random.default_rng(seed).integers(0, 255, (*A4, 3), np.uint8)


Exact = tuple[VisionTokens, NDArray[np.float32]]


def reference(checkpoint: Path, device: str, modes: Sequence[str]) -> dict[str, Exact]:
    """Compute vision tokens and first logits of every mode in float32, then free the model."""
    model = DeepSeekOcr(checkpoint, device=device, precision="float32")
    results = {}
    for name in modes:
        (tokens,) = model.encode([page()], MODES[name])
        results[name] = (tokens, model.first_logits(DecodeRequest(tokens, PROMPTS["markdown"])))
    return results


def check(model: DeepSeekOcr, name: str, exact: Exact, tokens: int, batch: int) -> Row:
    """Measure one mode."""
    device = model.runtime.device
    model.encode([page()], MODES[name])  # warm up
    synchronise(device)
    started = time.perf_counter()
    (encoded,) = model.encode([page()], MODES[name])
    encode = time.perf_counter() - started
    request = DecodeRequest(encoded, PROMPTS["markdown"], tokens)
    (first,), alone = timed(model, [request])
    together, shared = timed(model, [request] * batch)
    (again,) = model.decode([request])
    return Row(
        mode=name,
        grid=encoded.grid,
        vision_error=error(values(encoded), values(exact[0])),
        logits_error=error(model.first_logits(request), exact[1]),
        redecode_equal=again.ids == first.ids,
        encode_s=encode,
        tokens_per_s=len(first.ids) / alone,
        batch=batch,
        batch_tokens_per_s=sum(len(t.ids) for t in together) / shared,
        peak_gb=peak_memory(device),
    )


def timed(model: DeepSeekOcr, requests: list[DecodeRequest]) -> tuple[list[Transcript], float]:
    """Decode, and return the transcripts and the seconds."""
    started = time.perf_counter()
    transcripts = model.decode(requests)
    return transcripts, time.perf_counter() - started


def values(tokens: VisionTokens) -> NDArray[np.float32]:
    """All values of a page as one vector."""
    parts = tokens.global_view, tokens.tiles
    return np.concatenate([float32_values(part).ravel() for part in parts])


def error(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """The RMS of the difference, relative to the RMS of the exact values."""
    difference = np.sqrt(np.mean((found - exact) ** 2))
    return float(difference / np.sqrt(np.mean(exact**2)))


def flash_error(model: DeepSeekOcr, device: str) -> float | str:
    """Compare logits of flash attention and sdpa, from the same tokens."""
    if not device.startswith("cuda") or util.find_spec("flash_attn") is None:
        return "flash-attn is not installed, or there is no GPU"
    (tokens,) = model.encode([page()], MODES["base"])
    request = DecodeRequest(tokens, PROMPTS["markdown"])
    found = model.first_logits(request)
    model.network.model.language_model.set_attn_implementation("sdpa")
    plain = model.first_logits(request)
    model.network.model.language_model.set_attn_implementation(model.runtime.attention)
    return error(found, plain)


if __name__ == "__main__":
    main()
