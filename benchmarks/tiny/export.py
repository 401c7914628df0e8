"""Exports a training run as a checkpoint in the released file layout.

python -m benchmarks.tiny.export RUN FOLDER
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file

from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import read_shape
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.manifest import tensor_shapes

from ..decoding.random_checkpoint import SHARD
from .network import TrainingNetwork
from .shape import CONFIG

__all__ = ["export"]


def export(run: Path, folder: Path) -> Path:
    """Write config.json, tokenizer.json and the weights in bfloat16, without the teachers."""
    record = json.loads((run / "run.json").read_text())
    kept = load_file(run / record["state"])
    network = TrainingNetwork()
    prefix = "weight."
    network.load_state_dict(
        {name.removeprefix(prefix): t for name, t in kept.items() if name.startswith(prefix)},
        strict=True,
    )
    with TemporaryDirectory() as named:
        # The library writes the released names.
        network.model.bfloat16().save_pretrained(named)
        tensors = load_file(Path(named) / "model.safetensors")
    for name, shape in tensor_shapes(read_shape(CONFIG)).items():
        if name not in tensors:  # part of the released file, but unused
            tensors[name] = torch.zeros(shape, dtype=torch.bfloat16)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / SHARD)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    shutil.copyfile(run / "tokenizer.json", folder / "tokenizer.json")
    return folder


def main() -> None:
    """Export the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    export(options.run, options.folder)


if __name__ == "__main__":
    main()
