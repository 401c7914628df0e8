"""Trains the small model on drawn pages, from the beginning or from the state of a run.

    python -m benchmarks.tiny.train RUN [--steps N] [--rate R]

RUN is a folder. The state is written there every two minutes and resumed from there.
:mod:`.schedule` holds the training data of each step.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from .batches import Batches
from .network import Losses, TrainingNetwork
from .schedule import PHASES, RATE, STEPS, Phase, phase_at, rate_at
from .tokens import write_tokenizer

__all__ = ["Run", "train"]

_SAVE_SECONDS: Final = 120.0
_LOG_EVERY: Final = 20
_CLIP: Final = 1.0
_SEED: Final = 1


class Run:
    """Weights, optimiser and step of a training run, stored in one folder.

    The network computes in bfloat16, as shipped; the optimiser holds float32 copies. A resumed run
    continues bit for bit as if it had not stopped, given the same number of threads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        write_tokenizer(folder / "tokenizer.json")
        torch.manual_seed(_SEED)
        network = TrainingNetwork()
        self.names = [name for name, _ in network.named_parameters()]
        self.copies = [p.detach().clone().float() for p in network.parameters()]
        self.network = network.bfloat16()
        self.optimiser = torch.optim.AdamW(
            self.copies, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self.step = 0
        if (folder / "run.json").exists():
            self._load()

    def learn(self, batch: dict[str, Tensor], rate: float, hints: float) -> Losses:
        """Train one step."""
        # Random numbers depend on the step only, and not on where the run was resumed.
        torch.manual_seed(self.step)
        self.network.hints = hints
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
        """Write the state atomically: a kill leaves the old or the new one."""
        tensors: dict[str, Tensor] = {}
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
    """Train the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS, help="where to end")
    parser.add_argument("--rate", type=float, default=RATE, help="how far a step goes at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(Run(options.run), options.steps, rate=options.rate, stop=_stopping())


def train(
    run: Run,
    steps: int,
    *,
    rate: float = RATE,
    phases: Sequence[Phase] = PHASES,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Continue a run up to a step, or until ``stop`` returns true, and save it."""
    batches = Batches(run.folder / "tokenizer.json", run.step, phases)
    loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=8)
    last = started = time.monotonic()
    seen, recent = 0, []
    for step, batch in zip(range(run.step, steps), loader, strict=False):
        losses = run.learn(batch, rate_at(step, steps, rate), phase_at(step, phases).hints)
        seen += len(batch["pixels"])
        recent.append([getattr(losses, name).item() for name in losses.__slots__])
        if run.step % _LOG_EVERY == 0:
            _log(run.folder, run.step, recent, seen, time.monotonic() - started)
            recent.clear()
            # Another thread only helps if a core is free, because threads wait for each other.
            torch.set_num_threads(2 if os.getloadavg()[0] < 2.0 else 1)
        if stop():
            break
        if time.monotonic() - last > _SAVE_SECONDS:
            run.save()
            last = time.monotonic()
    run.save()


def _log(folder: Path, step: int, recent: list[list[float]], seen: int, seconds: float) -> None:
    means = torch.tensor(recent).mean(0).tolist()
    parts = {name: round(mean, 4) for name, mean in zip(Losses.__slots__, means, strict=True)}
    entry = {"step": step, **parts, "pages": seen, "seconds": round(seconds, 1)}
    entry |= {"threads": torch.get_num_threads(), "time": time.strftime("%H:%M:%S")}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _stopping() -> Callable[[], bool]:
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked.append(received))
    return lambda: bool(asked)


if __name__ == "__main__":
    main()
