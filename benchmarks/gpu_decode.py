"""How fast pages are read on a GPU, at full size on random weights: one call, under 8 minutes.

    make gpu-decode                   writes the checkpoint first, then runs this
    python -m benchmarks.gpu_decode CHECKPOINT --output FILE [--write-tiles]

Sections, each written to FILE as soon as it is done, so that a call that is cut off loses only the
one it is at: the card's own copy bandwidth and matrix rate; every kernel against torch; the
encoder; steps of 1 to 256 slots with and without kernels and CUDA graphs, beside transformers'
``generate`` one by one and in static batches; pages per second from pixels and from kept tokens.
Answers are as long as they are told to be: weights that mean nothing end no page. With a tiny
checkpoint it runs on a CPU, which is how it is tested.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import util
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from opticalrag.ingest.deepseek_ocr.decoder import Decoder
from opticalrag.ingest.deepseek_ocr.kernels.choice import Kernels
from opticalrag.ingest.deepseek_ocr.kernels.tiles import TileRow, Tiles
from opticalrag.ingest.deepseek_ocr.memory import DecodePlan, SlotClass
from opticalrag.ingest.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.modes import MODES, Mode
from opticalrag.ingest.prompts import PROMPTS
from opticalrag.ingest.vision import DecodeRequest, VisionTokens
from torch.utils.flop_counter import FlopCounterMode

from .machine import describe, peak_memory, synchronise
from .one_by_one import Reference
from .tune_kernels import RELEASED, SMALL, add_to_table, tune

A4: Final = (1684, 1190)  # pixels at 144 dpi
_PROMPT: Final = PROMPTS["markdown"]


@dataclass(slots=True)
class Run:
    """A measurement under way."""

    model: DeepSeekOcr
    options: argparse.Namespace
    started: float
    figures: dict[str, Any] = field(default_factory=dict)
    tiles: list[TileRow] = field(default_factory=list)

    @property
    def device(self) -> str:
        """Where the model is."""
        return self.model.runtime.device

    @property
    def left(self) -> float:
        """Seconds until no section is begun any more."""
        return float(self.options.seconds) - (time.perf_counter() - self.started)

    def section(self, name: str, action: Callable[[Run], Any]) -> None:
        """Measure and write; what fails or has no time is written as such."""
        print(f"{name}: {self.left:.0f} s left", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        try:
            result = action(self) if self.left > 0 else "no time was left"
        except (RuntimeError, ImportError) as error:  # the others are worth having
            result = f"failed: {type(error).__name__}: {error}"[:500]
        self.figures[name] = result
        self.figures["seconds"] = {
            **self.figures.get("seconds", {}),
            name: time.perf_counter() - begun,
        }
        self.options.output.write_text(json.dumps(self.figures, indent=2) + "\n")


def main() -> None:
    """Run all sections."""
    started = time.perf_counter()
    options = arguments()
    model = DeepSeekOcr(options.checkpoint, device=options.device)
    with torch.inference_mode():
        # No page ends by itself: its score is never the best.
        model.network.lm_head.weight[model.tokenizer.special.eos[1]] = 0
    run = Run(model, options, started, {"machine": describe(), "runtime": str(model.runtime)})
    run.section("card", card)
    run.section("kernels", kernels)
    run.section("encoder", encoder)
    run.section("reference", reference)
    run.section("slots", slots)
    run.section("pages", pages)
    run.figures["peak_gb"] = peak_memory(run.device)
    options.output.write_text(json.dumps(run.figures, indent=2) + "\n")
    if options.write_tiles and run.tiles and run.device != "cpu":
        add_to_table(torch.cuda.get_device_name(), run.tiles)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=400.0, help="begin no section later")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8, 32, 64, 128, 256])
    parser.add_argument(
        "--tokens", type=int, default=128, help="of an answer whose steps are timed"
    )
    parser.add_argument("--page-tokens", type=int, default=1000, help="mean of a page's answer")
    parser.add_argument("--pages", type=int, default=512)
    parser.add_argument("--modes", nargs="+", default=["base", "small", "gundam-6"])
    parser.add_argument("--length", type=int, default=2048, help="of a slot")
    parser.add_argument("--write-tiles", action="store_true")
    return parser.parse_args()


def seconds(action: Callable[[], object], device: str) -> float:
    """How long something takes, the device included."""
    synchronise(device)
    started = time.perf_counter()
    action()
    synchronise(device)
    return time.perf_counter() - started


def card(run: Run) -> dict[str, float]:
    """What the card itself can do: bytes copied and products computed per second."""
    size = 2**31 if run.device != "cpu" else 2**20
    source = torch.zeros(size, dtype=torch.uint8, device=run.device)
    target = torch.empty_like(source)
    side = 8192 if run.device != "cpu" else 256
    factor = torch.randn(side, side, device=run.device).to(run.model.network.lm_head.weight.dtype)
    best = {"copy": float("inf"), "matmul": float("inf")}
    for _ in range(10):
        best["copy"] = min(best["copy"], seconds(lambda: target.copy_(source), run.device))
        best["matmul"] = min(best["matmul"], seconds(lambda: factor @ factor, run.device))
    return {
        "copy_gb_per_s": 2 * size / best["copy"] / 1e9,  # read and written
        "matmul_tflop_per_s": 2 * side**3 / best["matmul"] / 1e12,
    }


def kernels(run: Run) -> Any:
    """Each kernel's best tiles beside torch; later sections use them."""
    if util.find_spec("triton") is None:
        return "triton is not installed"
    if run.device == "cpu" and not _interpreted():
        return "there is no GPU, and TRITON_INTERPRET is not set"
    sizes = RELEASED if run.device != "cpu" else SMALL
    for row in tune(sizes, run.device):
        run.tiles.append(row)
        if run.left < run.options.seconds / 2:  # the rest is for what is made of them
            break
    return [asdict(row) for row in run.tiles]


def _interpreted() -> bool:
    import triton

    return bool(triton.knobs.runtime.interpret)


def encoder(run: Run) -> list[dict[str, Any]]:
    """Views per second by side and number, with the bias in parts and by the kernel."""
    tower = run.model.network.model.vision_tower
    rows = []
    for side, most in ((640, 32), (1024, 16), (1280, 8), (512, 48)):
        like = run.model.network.model.multi_modal_projector.parameters()
        view = torch.randn(1, 3, side, side).to(next(iter(like)))
        attend_by(tower, Kernels())
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            tower(view)
        for name, used in (("plain", Kernels()), ("kernels", Kernels(Tiles(run.tiles)))):
            attend_by(tower, used)
            for count in (1, most) if run.device != "cpu" else (1,):
                stack = view.expand(count, -1, -1, -1).contiguous()
                took = encode_seconds(tower, stack, run.device)
                rows.append(
                    {
                        "side": side,
                        "views": count,
                        "way": name,
                        "views_per_s": count / took,
                        "tflop_per_s": count * counter.get_total_flops() / took / 1e12,
                        "share_of_matmul": count
                        * counter.get_total_flops()
                        / took
                        / 1e12
                        / run.figures["card"]["matmul_tflop_per_s"],
                    }
                )
    return rows


def attend_by(tower: Any, used: Kernels) -> None:
    """Let the layers ask other kernels."""
    for layer in tower.sam_encoder.layers:
        layer.attn.kernels = used


def encode_seconds(tower: Any, stack: torch.Tensor, device: str) -> float:
    """The best of three, after one that sets things up."""
    with torch.inference_mode():
        tower(stack)
        return min(seconds(lambda: tower(stack), device) for _ in range(3))


def noise(seed: int = 0) -> NDArray[np.uint8]:
    """An A4 page of nothing."""
    return np.random.default_rng(seed).integers(0, 255, (*A4, 3), np.uint8)


def requests_of(tokens: VisionTokens, lengths: Sequence[int]) -> list[DecodeRequest]:
    """The same page, told how much to write each time."""
    return [DecodeRequest(tokens, _PROMPT, length, length) for length in lengths]


def never(ids: Sequence[int]) -> bool:
    """Random weights go round in circles; here they may."""
    return False


def step_seconds(decode: Callable[[int], object], tokens: int, device: str) -> float:
    """Seconds of one step: what a longer answer takes more, so that starting does not count."""
    decode(4)
    short = seconds(lambda: decode(tokens // 4), device)
    long = seconds(lambda: decode(tokens), device)
    return (long - short) / (tokens - tokens // 4)


def reference(run: Run) -> list[dict[str, Any]]:
    """Transformers' generate with the published rule, one by one and in batches."""
    (tokens,) = run.model.encode([noise()], MODES[run.options.modes[0]])
    theirs = Reference(run.model, is_loop=never)
    rows = []
    for batch in (1, *(n for n in run.options.slots if 8 <= n <= 64)):
        took = step_seconds(
            lambda n, batch=batch: theirs.decode(requests_of(tokens, [n] * batch)),  # type: ignore[misc]
            min(64, run.options.tokens),
            run.device,
        )
        rows.append({"batch": batch, "step_ms": took * 1e3, "tokens_per_s": batch / took})
    return rows


def slots(run: Run) -> list[dict[str, Any]]:
    """Steps of our decoder, and what share of the copy bandwidth they reach."""
    (tokens,) = run.model.encode([noise()], MODES[run.options.modes[0]])
    rows = []
    for used, graphs in variants(run):
        for count in run.options.slots:
            if run.left < 0:
                return rows
            plan = DecodePlan(
                (SlotClass(count, run.options.length),),
                lag=0 if run.device == "cpu" else 2,
                graphs=graphs,
            )
            decoder = decoder_with(run, used)
            took = step_seconds(
                lambda n, d=decoder, p=plan, c=count: d.decode(requests_of(tokens, [n] * c), p),  # type: ignore[misc]
                run.options.tokens,
                run.device,
            )
            read = step_bytes(run, count, tokens.decoder_count + run.options.tokens * 5 // 8)
            rows.append(
                {
                    "slots": count,
                    "kernels": used,
                    "graphs": graphs,
                    "step_ms": took * 1e3,
                    "tokens_per_s": count / took,
                    "gb_per_s": read / took / 1e9,
                    "share_of_copy": read / took / 1e9 / run.figures["card"]["copy_gb_per_s"],
                }
            )
    return rows


def variants(run: Run) -> list[tuple[bool, bool]]:
    """Kernels or not, graphs or not: the fastest first, because time may end."""
    if run.device == "cpu":
        return [(False, False)] if not run.tiles else [(True, False), (False, False)]
    return [(True, True), (False, True), (True, False), (False, False)]


def decoder_with(run: Run, used: bool) -> Decoder:
    """A decoder with the kernels just tuned, or with torch alone."""
    chosen = Kernels(Tiles(run.tiles) if used else None)
    model = run.model
    model.network.set_experts_implementation("grouped_mm")
    chosen.install(model.network)
    return Decoder(model.network, model.tokenizer, model.weights, is_loop=never, kernels=chosen)


def step_bytes(run: Run, rows: int, keys: int) -> float:
    """Bytes a step has to read: weights, those of experts that are expected to be hit, and keys."""
    text = run.model.network.model.language_model
    config = run.model.network.config.text_config
    per_expert = total = 0
    for layer in text.layers:
        total += sum(p.numel() for p in layer.parameters())
        if hasattr(layer.mlp, "experts"):
            held = sum(p.numel() for p in layer.mlp.experts.parameters())
            total -= held
            per_expert += held // config.num_experts
    total += run.model.network.lm_head.weight.numel()
    missed = (1 - config.num_experts_per_tok / config.num_experts) ** rows
    experts = per_expert * config.num_experts * (1 - missed)
    cached = rows * keys * 2 * config.hidden_size * config.num_hidden_layers
    return float(total + experts + cached) * run.model.runtime.decoder_bytes


def pages(run: Run) -> list[dict[str, Any]]:
    """Pages per second in the fastest way: from kept tokens, and from pixels one after the other.

    Lengths are lognormal around the mean, as those of real pages about are.
    """
    random = np.random.default_rng(0)
    used, graphs = variants(run)[0]
    rows = []
    for name in run.options.modes:
        (tokens,) = run.model.encode([noise()], MODES[name])
        plan = DecodePlan(
            (SlotClass(max(run.options.slots), run.options.length),),
            lag=0 if run.device == "cpu" else 2,
            graphs=graphs,
        )
        decoder = decoder_with(run, used)
        room = run.options.length - decoder.length(requests_of(tokens, [1])[0]) - plan.guesses
        mean = min(run.options.page_tokens, room // 2)
        drawn = random.lognormal(np.log(mean) - 0.18, 0.6, run.options.pages)
        lengths = [int(n) for n in np.clip(drawn, 1, room)]
        decoder.decode(requests_of(tokens, lengths[:2]), plan)
        decode = seconds(
            lambda d=decoder, t=tokens, n=lengths, p=plan: d.decode(requests_of(t, n), p),  # type: ignore[misc]
            run.device,
        )
        rows.append(page_row(run, MODES[name], lengths, decode, decoder))
        if run.left < 0:
            break
    return rows


def page_row(
    run: Run, mode: Mode, lengths: Sequence[int], decode: float, decoder: Decoder
) -> dict[str, Any]:
    """Figures of a mode."""
    count = 16 if run.device != "cpu" else 1
    batch = [noise(seed) for seed in range(count)]
    run.model.encode(batch, mode)
    encode = seconds(lambda: run.model.encode(batch, mode), run.device) / count
    per_page = decode / len(lengths)
    return {
        "mode": mode.name,
        "pages": len(lengths),
        "mean_tokens": float(np.mean(lengths)),
        "tokens_per_s": sum(lengths) / decode,
        "wasted_share": 1 - decoder.tally.useful / max(1, decoder.tally.rows),
        "encode_ms": encode * 1e3,  # preparing the picture included, on one core
        "pages_per_s_from_tokens": 1 / per_page,
        "pages_per_s_from_pixels": 1 / (per_page + encode),
    }


if __name__ == "__main__":
    main()
