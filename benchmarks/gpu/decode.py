"""Measures how fast a GPU reads pages, at full size with random weights, in under 8 minutes.

    make gpu-decode                   writes the checkpoint first, then runs this
    python -m benchmarks.gpu.decode CHECKPOINT --output FILE [--write-tiles]

Sections:

- copy bandwidth and matrix rate of the card;
- every kernel against torch;
- the encoder;
- steps of 1 to 256 slots with and without kernels and CUDA graphs, against transformers'
  ``generate`` one by one and in static batches;
- pages per second from pixels and from cached tokens, and the time of ``generate`` one by one for
  as many ids.

FILE is written row by row, so an interrupted call keeps its rows; ``failed`` holds the reasons why
sections are incomplete. Answer lengths are forced, because random weights never end a page. The
tests run it on a CPU with a tiny checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from opticalrag.ingest.core.modes import MODES, Mode
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, VisionTokens
from opticalrag.ingest.engines.deepseek_ocr.decoder.decoder import Decoder
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import DecodePlan, SlotClass
from opticalrag.ingest.engines.deepseek_ocr.kernels.dispatch import Kernels
from opticalrag.ingest.engines.deepseek_ocr.kernels.tiles import Op, TileRow, Tiles
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..decoding.full_size import seconds
from ..decoding.one_by_one import Reference
from ..machine import describe, peak_memory
from .tune_kernels import RELEASED, SMALL, add_to_table, tune

A4: Final = (1684, 1190)  # pixels at 144 dpi
_PATCH: Final = 16  # pixels
_STEP: Final[tuple[Op, ...]] = ("attend", "experts", "rotate", "route")
_PROMPT: Final = PROMPTS["markdown"]
_FOR_PAGES: Final = 0.2  # share of the time that is reserved for the last section


@dataclass(slots=True)
class Run:
    """The state of a measurement."""

    model: DeepSeekOcr
    options: argparse.Namespace
    started: float
    figures: dict[str, Any] = field(default_factory=dict)
    tiles: list[TileRow] = field(default_factory=list)
    fastest: tuple[float, bool, bool] = (0.0, False, False)  # ids per second; kernels, graphs

    @property
    def device(self) -> str:
        """The device of the model."""
        return self.model.runtime.device

    @property
    def left(self) -> float:
        """Seconds until no further section starts."""
        return float(self.options.seconds) - (time.perf_counter() - self.started)

    def section(self, name: str, action: Callable[[Run], Iterable[Any]]) -> None:
        """Measure and write a section row by row; if it fails, note why and keep its rows."""
        print(f"{name}: {self.left:.0f} s left", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        rows = self.figures.setdefault(name, [])
        try:
            for row in action(self) if self.left > 0 else self._no_time(name):
                rows.append(row)
                self.write()
        except Exception as error:  # noqa: BLE001  there is one call: the others are worth having
            self.fail(name, f"{type(error).__name__}: {error}")
        spent = self.figures.setdefault("seconds", {})
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
        self.write()

    def fail(self, name: str, reason: str) -> None:
        """Record why a section is incomplete."""
        self.figures.setdefault("failed", {}).setdefault(name, []).append(reason[:500])

    def write(self) -> None:
        """Write the results so far."""
        self.options.output.write_text(json.dumps(self.figures, indent=2) + "\n")

    def share(self, value: float, limit: str) -> float | None:
        """The share of the card's own rate; None if that is unknown."""
        known = {key: n for row in self.figures["card"] for key, n in row.items()}
        return value / known[limit] if limit in known else None

    def kernels_of(self, used: bool, rows: dict[Op, int]) -> list[str]:
        """The kernels that a measurement uses, given the number of rows of each."""
        tiles = Tiles(self.tiles if used else ())
        return sorted(op for op, count in rows.items() if tiles.find(op, count))

    def _no_time(self, name: str) -> Iterable[Any]:
        self.fail(name, "no time was left")
        return ()


def main() -> None:
    """Run all sections."""
    started = time.perf_counter()
    options = arguments()
    model = DeepSeekOcr(options.checkpoint, device=options.device)
    with torch.inference_mode():
        # No page ends by itself: the end token never has the best score.
        model.network.lm_head.weight[model.tokenizer.special.eos[1]] = 0
    run = Run(model, options, started, {"machine": describe(), "runtime": str(model.runtime)})
    run.section("card", card)
    run.section("kernels", kernels)
    if options.write_tiles and run.tiles and run.device != "cpu":
        add_to_table(torch.cuda.get_device_name(), run.tiles)
    run.section("encoder", encoder)
    run.section("reference", reference)
    for used, graphs in variants(run):  # a failing section does not stop the others
        run.section("slots", partial(slots, used=used, graphs=graphs))
    run.section("pages", pages)
    run.figures["peak_gb"] = peak_memory(run.device)
    run.write()


def arguments() -> argparse.Namespace:
    """Parse the command line."""
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


def card(run: Run) -> Iterator[dict[str, float]]:
    """Measure the card's own rates: bytes copied and operations per second."""
    size = 2**31 if run.device != "cpu" else 2**20
    source = torch.zeros(size, dtype=torch.uint8, device=run.device)
    target = torch.empty_like(source)
    side = 8192 if run.device != "cpu" else 256
    factor = torch.randn(side, side, device=run.device).to(run.model.network.lm_head.weight.dtype)
    best = {"copy": float("inf"), "matmul": float("inf")}
    for _ in range(10):
        best["copy"] = min(best["copy"], seconds(lambda: target.copy_(source), run.device))
    yield {"copy_gb_per_s": 2 * size / best["copy"] / 1e9}  # one read and one write
    for _ in range(10):
        best["matmul"] = min(best["matmul"], seconds(lambda: factor @ factor, run.device))
    yield {"matmul_tflop_per_s": 2 * side**3 / best["matmul"] / 1e12}


def kernels(run: Run) -> Iterator[dict[str, Any]]:
    """Tune each kernel and compare it with torch; later sections use the tiles."""
    if util.find_spec("triton") is None:
        run.fail("kernels", "triton is not installed")
        return
    if run.device == "cpu" and not _interpreted():
        run.fail("kernels", "there is no GPU, and TRITON_INTERPRET is not set")
        return
    sizes = RELEASED if run.device != "cpu" else SMALL
    for row in tune(sizes, run.device):
        run.tiles.append(row)
        yield asdict(row)
        if run.left < run.options.seconds / 2:  # leaves time for the sections that use the tiles
            run.fail("kernels", f"no time was left after {row.op} {row.up_to}")
            return


def _interpreted() -> bool:
    import triton

    return bool(triton.knobs.runtime.interpret)


def encoder(run: Run) -> Iterator[dict[str, Any]]:
    """Views per second by side and batch size, with the bias in parts and with the kernel."""
    tower = run.model.network.model.vision_tower
    for side, most in ((1024, 16), (640, 32), (1280, 8), (512, 48)):
        like = run.model.network.model.multi_modal_projector.parameters()
        view = torch.randn(1, 3, side, side).to(next(iter(like)))
        attend_by(tower, Kernels())
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            tower(view)
        for used in (False, True) if run.tiles else (False,):
            attend_by(tower, Kernels(Tiles(run.tiles) if used else None))
            for count in (1, most) if run.device != "cpu" else (1,):
                stack = view.expand(count, -1, -1, -1).contiguous()
                took = encode_seconds(tower, stack, run.device)
                rate = count * counter.get_total_flops() / took / 1e12
                yield {
                    "side": side,
                    "views": count,
                    "kernels": run.kernels_of(used, {"relative": (side // _PATCH) ** 2}),
                    "views_per_s": count / took,
                    "tflop_per_s": rate,
                    "share_of_matmul": run.share(rate, "matmul_tflop_per_s"),
                }


def attend_by(tower: Any, used: Kernels) -> None:
    """Make the layers use other kernels."""
    for layer in tower.sam_encoder.layers:
        layer.attn.kernels = used


def encode_seconds(tower: Any, stack: torch.Tensor, device: str) -> float:
    """The best of three timed calls, after a warm-up."""
    with torch.inference_mode():
        tower(stack)
        return min(seconds(lambda: tower(stack), device) for _ in range(3))


def noise(seed: int = 0) -> NDArray[np.uint8]:
    """Make an A4 page of noise."""
    return np.random.default_rng(seed).integers(0, 255, (*A4, 3), np.uint8)


def requests_of(tokens: VisionTokens, lengths: Sequence[int]) -> list[DecodeRequest]:
    """Requests for the same page with forced answer lengths."""
    return [DecodeRequest(tokens, _PROMPT, length, length) for length in lengths]


def never(ids: Sequence[int]) -> bool:
    """Turn off the loop detector: random weights repeat themselves."""
    return False


def step_seconds(decode: Callable[[int], object], tokens: int, device: str) -> float:
    """Seconds of one step, from the difference of two answer lengths, without the start-up time."""
    decode(4)
    short = seconds(lambda: decode(tokens // 4), device)
    long = seconds(lambda: decode(tokens), device)
    return (long - short) / (tokens - tokens // 4)


def reference(run: Run) -> Iterator[dict[str, Any]]:
    """Time transformers' generate with the published rule, one by one and in batches."""
    (tokens,) = run.model.encode([noise()], MODES[run.options.modes[0]])
    theirs = Reference(run.model, is_loop=never)
    for batch in (1, *(n for n in run.options.slots if 8 <= n <= 64)):
        took = step_seconds(
            lambda n, batch=batch: theirs.decode(requests_of(tokens, [n] * batch)),  # type: ignore[misc]
            min(64, run.options.tokens),
            run.device,
        )
        yield {"batch": batch, "step_ms": took * 1e3, "tokens_per_s": batch / took}


def slots(run: Run, used: bool, graphs: bool) -> Iterator[dict[str, Any]]:
    """Time the steps of our decoder and compute their share of the copy bandwidth."""
    (tokens,) = run.model.encode([noise()], MODES[run.options.modes[0]])
    for count in run.options.slots:
        if run.left < _FOR_PAGES * run.options.seconds:
            run.fail("slots", f"no time was left for {count}: kernels {used}, graphs {graphs}")
            return
        plan = plan_of(run, count, graphs)
        decoder = decoder_with(run, used)
        took = step_seconds(
            lambda n, d=decoder, p=plan, c=count: d.decode(requests_of(tokens, [n] * c), p),  # type: ignore[misc]
            run.options.tokens,
            run.device,
        )
        run.fastest = max(run.fastest, (count / took, used, graphs))
        read = step_bytes(run, count, tokens.decoder_count + run.options.tokens * 5 // 8)
        yield {
            "slots": count,
            "rows_a_step": decoder.tally.rows / decoder.tally.steps,  # fewer where memory ran out
            "kernels": run.kernels_of(used, dict.fromkeys(_STEP, count)),
            "graphs": graphs,
            "step_ms": took * 1e3,
            "tokens_per_s": count / took,
            "gb_per_s": read / took / 1e9,
            "share_of_copy": run.share(read / took / 1e9, "copy_gb_per_s"),
        }


def plan_of(run: Run, count: int, graphs: bool) -> DecodePlan:
    """A plan of slots of one length, without guesses."""
    size = SlotClass(count, run.options.length)
    return DecodePlan((size,), lag=0 if run.device == "cpu" else 2, graphs=graphs)


def variants(run: Run) -> list[tuple[bool, bool]]:
    """Combinations of kernels and graphs, the likely fastest first, because time may run out."""
    with_graphs = (True, False) if run.device != "cpu" else (False,)
    with_kernels = (True, False) if run.tiles else (False,)
    return [(used, graphs) for graphs in with_graphs for used in with_kernels]


def decoder_with(run: Run, used: bool) -> Decoder:
    """Make a decoder with the tuned kernels, or with torch alone."""
    chosen = Kernels(Tiles(run.tiles) if used else None)
    model = run.model
    model.network.set_experts_implementation("grouped_mm")
    chosen.install(model.network)
    return Decoder(model.network, model.tokenizer, model.weights, is_loop=never, kernels=chosen)


def step_bytes(run: Run, rows: int, keys: int) -> float:
    """Bytes that a step reads: weights (of the experts expected to be chosen) and keys."""
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


def pages(run: Run) -> Iterator[dict[str, Any]]:
    """Measure pages per second in the fastest way, from cached tokens and from pixels in turn.

    Lengths are lognormal around the mean, like those of real pages.
    """
    random = np.random.default_rng(0)
    _, used, graphs = run.fastest
    step = dict.fromkeys(_STEP, max(run.options.slots))
    for name in run.options.modes:
        (tokens,) = run.model.encode([noise()], MODES[name])
        plan = plan_of(run, max(run.options.slots), graphs)
        decoder = decoder_with(run, used)
        prompt = decoder.prompt_length(requests_of(tokens, [1])[0])
        room = run.options.length - prompt - plan.guesses
        mean = min(run.options.page_tokens, room // 2)
        drawn = random.lognormal(np.log(mean) - 0.18, 0.6, affordable(run, mean))
        lengths = [int(n) for n in np.clip(drawn, 1, room)]
        decoder.decode(requests_of(tokens, lengths[:2]), plan)
        decode = seconds(
            lambda d=decoder, t=tokens, n=lengths, p=plan: d.decode(requests_of(t, n), p),  # type: ignore[misc]
            run.device,
        )
        row = page_row(run, MODES[name], lengths, decode, decoder)
        yield {**row, "kernels": run.kernels_of(used, step), "graphs": graphs}
        if run.left < 0:
            run.fail("pages", f"no time was left after {name}")
            return


def affordable(run: Run, mean: float) -> int:
    """The number of pages: as requested, or as many as the fastest way decodes in its time."""
    part = run.left / len(run.options.modes)
    return min(run.options.pages, max(max(run.options.slots), int(part * run.fastest[0] / mean)))


def page_row(
    run: Run, mode: Mode, lengths: Sequence[int], decode: float, decoder: Decoder
) -> dict[str, Any]:
    """Measure one mode."""
    count = 16 if run.device != "cpu" else 1
    batch = [noise(seed) for seed in range(count)]
    run.model.encode(batch, mode)
    encode = seconds(lambda: run.model.encode(batch, mode), run.device) / count
    per_page = decode / len(lengths)
    alone = [row["step_ms"] / 1e3 * float(np.mean(lengths)) for row in run.figures["reference"]]
    return {
        "mode": mode.name,
        "pages": len(lengths),
        "mean_tokens": float(np.mean(lengths)),
        "tokens_per_s": sum(lengths) / decode,
        "wasted_share": 1 - decoder.tally.useful / max(1, decoder.tally.rows),
        "encode_ms": encode * 1e3,  # including image preparation on one core
        "pages_per_s_from_tokens": 1 / per_page,
        "pages_per_s_from_pixels": 1 / (per_page + encode),
        # Estimated from the time of a step.
        "pages_per_s_one_by_one": 1 / (alone[0] + encode) if alone else None,
    }


if __name__ == "__main__":
    main()
