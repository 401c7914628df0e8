"""Times one page at full size, against transformers' own generate on the same weights.

    python -m benchmarks.decoding.full_size CHECKPOINT [--mode base] [--tokens 50] [--output FILE]

CHECKPOINT is a folder with the released files, or one from benchmarks.decoding.random_checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from opticalrag.ingest.core.modes import MODES, Mode, decoder_tokens
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.encoder.preprocess import prepare
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..machine import describe, peak_memory, synchronise

A4 = (1684, 1190)  # pixels at 144 dpi


def main() -> None:
    """Measure and print, as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--mode", choices=MODES, default="base")
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    model = DeepSeekOcr(options.checkpoint, device=options.device)
    loaded = time.perf_counter() - started
    figures = {
        "machine": describe(),
        "runtime": str(model.runtime),
        "mode": options.mode,
        "tokens": options.tokens,
        "load_s": loaded,
        "loaded_gb": peak_memory(model.runtime.device),
        **measure(model, MODES[options.mode], options.tokens, options.repeat),
        "peak_gb": peak_memory(model.runtime.device),
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def measure(model: DeepSeekOcr, mode: Mode, tokens: int, repeat: int) -> dict[str, Any]:
    """Medians of our times and theirs, measured in turn."""
    pixels = np.random.default_rng(0).integers(0, 255, (*A4, 3), np.uint8)
    (encoded,) = model.encode([pixels], mode)
    request = DecodeRequest(encoded, PROMPTS["markdown"], tokens)
    actions: dict[str, Callable[[], object]] = {
        "encode_s": lambda: model.encode([pixels], mode),
        "first_token_s": lambda: model.decode([replace_budget(request, 1)]),
        "decode_s": lambda: model.decode([request]),
        "theirs_encode_s": lambda: theirs_encode(model, pixels, mode),
        "theirs_whole_s": lambda: theirs_generate(model, pixels, mode, tokens),
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeat):
        for name, action in actions.items():
            times[name].append(seconds(action, model.runtime.device))
    median = {name: float(np.median(values)) for name, values in times.items()}
    ours = median["encode_s"] + median["decode_s"]
    rest = median["decode_s"] - median["first_token_s"]
    return {
        **median,
        "decode_tokens_per_s": (tokens - 1) / rest,
        "whole_s": ours,
        "ratio_to_theirs": ours / median["theirs_whole_s"],
        "encode_ratio_to_theirs": median["encode_s"] / median["theirs_encode_s"],
        "same_tokens": same_tokens(model, request, pixels, mode),
    }


def seconds(action: Callable[[], object], device: str) -> float:
    """Time a call, in seconds."""
    synchronise(device)
    started = time.perf_counter()
    action()
    synchronise(device)
    return time.perf_counter() - started


def replace_budget(request: DecodeRequest, tokens: int) -> DecodeRequest:
    """The same request with fewer output tokens."""
    return DecodeRequest(request.tokens, request.prompt, tokens)


def same_tokens(
    model: DeepSeekOcr, request: DecodeRequest, pixels: NDArray[np.uint8], mode: Mode
) -> bool:
    """Whether both write the same tokens, as long as our rules cannot ban any."""
    count = NoRepeat().size - 1
    (ours,) = model.decode([replace_budget(request, count)])
    return theirs_generate(model, pixels, mode, count)[: len(ours.ids)] == list(ours.ids)


def theirs_encode(model: DeepSeekOcr, pixels: NDArray[np.uint8], mode: Mode) -> object:
    """Encode the same views with the library's own method."""
    with torch.inference_mode():
        return model.network.get_image_features(**views(model, pixels, mode)).pooler_output


def theirs_generate(
    model: DeepSeekOcr, pixels: NDArray[np.uint8], mode: Mode, tokens: int
) -> list[int]:
    """Decode from pixels with the library's own generate, without our rules."""
    ids = model.tokenizer.prompt(PROMPTS["markdown"].text)
    inputs = views(model, pixels, mode)
    places = decoder_tokens(mode, prepare(pixels, mode).grid)
    image = model.tokenizer.special.image[1]
    row = torch.tensor([[*ids.before, *[image] * places, *ids.after]], device=model.network.device)
    with torch.inference_mode():
        written = model.network.generate(
            input_ids=row,
            attention_mask=torch.ones_like(row),
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=1,
            **inputs,
        )
    return [int(i) for i in written[0, row.shape[1] :]]


def views(model: DeepSeekOcr, pixels: NDArray[np.uint8], mode: Mode) -> dict[str, Any]:
    """The views of a page, in the form of the library's model."""
    page = prepare(pixels, mode)
    like = model.network.model.multi_modal_projector.parameters()
    tensor = next(iter(like))

    def normalised(array: NDArray[np.uint8]) -> torch.Tensor:
        stack = (
            torch.from_numpy(array.copy()).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)
        )
        return stack.to(tensor)

    inputs: dict[str, Any] = {"pixel_values": normalised(page.global_view[None])}
    if len(page.tiles):
        inputs["pixel_values_local"] = normalised(page.tiles)
        inputs["num_local_patches"] = [len(page.tiles)]
        inputs["patches_grid"] = [list(page.grid)]
    return inputs


if __name__ == "__main__":
    main()
