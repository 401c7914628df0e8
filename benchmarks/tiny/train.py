"""Train the small model on drawn pages, from the beginning or from where a run stands.

    python -m benchmarks.tiny.train RUN [--steps N] [--levels A,B,C,D] [--views SIDE:SHARE,...]

RUN is a folder: its state is written there every two minutes, and taken up if it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from .batches import Batches, Plan
from .network import Losses, TrainingNetwork
from .tokens import write_tokenizer

__all__ = ["Run"]

_SAVE_SECONDS: Final = 120.0
_LOG_EVERY: Final = 20
_WARM_UP: Final = 60
_CLIP: Final = 1.0


class Run:
    """Weights, optimiser and place of a training, in one folder.

    The network computes in bfloat16, as it is shipped; the optimiser keeps float32 copies.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        write_tokenizer(folder / "tokenizer.json")
        torch.manual_seed(seed)
        network = TrainingNetwork()
        self.names = [name for name, _ in network.named_parameters()]
        self.copies = [p.detach().clone().float() for p in network.parameters()]
        self.network = network.bfloat16()
        self.optimiser = torch.optim.AdamW(
            self.copies, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self.step = 0
        if (folder / "run.json").exists():
            self._load()

    def learn(self, batch: dict[str, Tensor], rate: float) -> Losses:
        """One step."""
        losses: Losses = self.network(batch)
        losses.total.backward()
        for copy, parameter in zip(self.copies, self.network.parameters(), strict=True):
            copy.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.copies, _CLIP)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        with torch.no_grad():
            for copy, parameter in zip(self.copies, self.network.parameters(), strict=True):
                parameter.copy_(copy)
        self.step += 1
        return losses

    def save(self) -> None:
        """Write the state; a kill at any time leaves the last or the new one."""
        tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
        for name, copy in zip(self.names, self.copies, strict=True):
            tensors[f"weight.{name}"] = copy
            for key, value in self.optimiser.state.get(copy, {}).items():
                tensors[f"{key}.{name}"] = value
        target = self.folder / f"state-{self.step}.safetensors"
        save_file(tensors, target)
        record = self.folder / "run.json.new"
        record.write_text(json.dumps({"step": self.step, "state": target.name}))
        record.replace(self.folder / "run.json")
        for old in self.folder.glob("state-*.safetensors"):
            if old != target:
                old.unlink()

    def _load(self) -> None:
        record = json.loads((self.folder / "run.json").read_text())
        tensors = load_file(self.folder / record["state"])
        self.step = record["step"]
        torch.set_rng_state(tensors["random"])
        with torch.no_grad():
            for name, copy, parameter in zip(
                self.names, self.copies, self.network.parameters(), strict=True
            ):
                copy.copy_(tensors[f"weight.{name}"])
                parameter.copy_(copy)
                state = {
                    key: tensors[f"{key}.{name}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"{key}.{name}" in tensors
                }
                if state:
                    self.optimiser.state[copy] = state


def main() -> None:
    """Train."""
    options = _options()
    torch.set_num_threads(1)
    run = Run(options.run, options.seed)
    run.network.hints = options.hints
    plan = Plan(options.levels, options.tasks, dict(options.views), options.batch, options.seed)
    stop = _stopping()
    loader = DataLoader(
        Batches(options.run / "tokenizer.json", plan, run.step),
        batch_size=None,
        num_workers=1,
        prefetch_factor=8,
    )
    last = started = time.monotonic()
    seen, recent = 0, []
    for batch in _until(loader, run, options.steps):
        losses = run.learn(batch, _rate(run.step, options))
        seen += len(batch["ids"])
        recent.append([getattr(losses, name).item() for name in losses.__slots__])
        if run.step % _LOG_EVERY == 0:
            _log(options.run, run.step, recent, seen, time.monotonic() - started)
            recent.clear()
            # A thread more only helps where a core is free: threads wait for each other.
            torch.set_num_threads(2 if os.getloadavg()[0] < 2.0 else 1)
        if stop or time.monotonic() - last > _SAVE_SECONDS:
            run.save()
            last = time.monotonic()
        if stop:
            return
    run.save()


def _until(loader: Any, run: Run, steps: int) -> Iterator[dict[str, Tensor]]:
    for batch in loader:
        if run.step >= steps:
            return
        yield batch


def _rate(step: int, options: argparse.Namespace) -> float:
    """Up, level, and down to nothing over the last steps if an end is near."""
    rise = min(1.0, (step + 1) / _WARM_UP)
    fall = min(1.0, (options.steps - step) / options.fall) if options.fall else 1.0
    return float(options.rate * rise * max(fall, 0.02))


def _log(folder: Path, step: int, recent: list[list[float]], seen: int, seconds: float) -> None:
    means = torch.tensor(recent).mean(0).tolist()
    parts = {name: round(mean, 4) for name, mean in zip(Losses.__slots__, means, strict=True)}
    entry = {"step": step, **parts, "pages": seen, "seconds": round(seconds, 1)}
    entry |= {"threads": torch.get_num_threads(), "time": time.strftime("%H:%M:%S")}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _stopping() -> list[int]:
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked.append(received))
    return asked


def _shares(text: str) -> tuple[float, ...]:
    numbers = [float(part) for part in text.split(",")]
    return tuple(number / sum(numbers) for number in numbers)


def _views(text: str) -> Sequence[tuple[int, float]]:
    pairs = [part.split(":") for part in text.split(",")]
    total = sum(float(share) for _, share in pairs)
    return [(int(side), float(share) / total) for side, share in pairs]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=20_000, help="where to end")
    parser.add_argument("--fall", type=int, default=0, help="steps over which the rate falls")
    parser.add_argument("--hints", type=float, default=0.5, help="share of answers told places")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=16, help="pages a step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--levels", type=_shares, default="1,1,1,1", help="see layout.lay_out")
    parser.add_argument("--tasks", type=_shares, default="4,5,1", help="see batches.question")
    parser.add_argument("--views", type=_views, default="448:1")
    return parser.parse_args()


if __name__ == "__main__":
    main()
