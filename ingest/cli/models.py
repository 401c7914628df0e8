"""The ``models`` commands: list, verify and download the weights of DeepSeek-OCR."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Annotated

import typer

from ..core.errors import EngineError
from ..engines.deepseek_ocr.checkpoint.checkpoint import open_checkpoint
from ..engines.deepseek_ocr.checkpoint.family import PUBLISHED
from ..engines.deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate
from ..engines.deepseek_ocr.checkpoint.tokenizer import Tokenizer
from ..engines.deepseek_ocr.checkpoint.weights import weight_bytes
from ..engines.deepseek_ocr.device.runtime import plan_runtime, probe_machine
from .console import commands, emit, emit_json
from .options import JsonOption

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Find, check and download the DeepSeek-OCR weights.")

SourceArgument = Annotated[
    str | None, typer.Argument(help="Folder or hub id; default: the published model.")
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Commit on the hub; default: the one that this version knows.")
]


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model with complete files. ``memory`` is the size of its loaded weights in bytes."""

    name: str
    folder: str
    weights: str
    tensors: int
    parameters: int
    memory: int
    device: str


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models that this version runs, and the folders of their files."""
    with commands(as_json):
        models = [
            {"name": f.name, "repo": f.repo, "revision": f.revision, "folder": _folder(f.repo)}
            for f in PUBLISHED
        ]
        if as_json:
            emit_json({"models": models})
            return
        for f in models:
            emit(f"{f['repo']} at {f['revision'][:12]}: {f['folder'] or 'not downloaded'}")


def _folder(repo: str) -> str:
    """The folder of a model's files; empty if they are not on this machine."""
    try:
        return str(locate(repo, download=False).path)
    except EngineError:
        return ""


@app.command("verify")
def verify_model(
    source: SourceArgument = None, revision: RevisionOption = None, as_json: JsonOption = False
) -> None:
    """Check the name, shape and offset of every tensor without loading the model."""
    with commands(as_json):
        report = _check_files(source or DEFAULT_MODEL, revision)
        if as_json:
            emit_json(asdict(report))
            return
        emit(
            f"{report.name} in {report.folder}: all {report.tensors} tensors are correct,"
            f" {report.parameters / 1e9:.2f} billion parameters"
        )
        emit(
            f"weights {report.weights}; {report.memory / 1e9:.1f} GB when loaded on {report.device}"
        )


def _check_files(source: str, revision: str | None) -> ModelReport:
    folder = locate(source, revision, download=False)
    checkpoint = open_checkpoint(folder.path)
    Tokenizer(checkpoint.folder, checkpoint.shape.family.special)  # raises if its files are wrong
    runtime = plan_runtime(probe_machine())
    return ModelReport(
        name=folder.name,
        folder=str(folder.path),
        weights=checkpoint.fingerprint,
        tensors=len(checkpoint.tensors),
        parameters=sum(prod(tensor.shape) for tensor in checkpoint.tensors.values()),
        memory=weight_bytes(checkpoint.shape, runtime),
        device=runtime.device,
    )


@app.command()
def download(
    source: SourceArgument = None, revision: RevisionOption = None, as_json: JsonOption = False
) -> None:
    """Download a model's configuration, tokenizer and weights from the hub, but no code.

    An interrupted download is resumed. The files are checked at the end.
    """
    with commands(as_json):
        folder = str(open_checkpoint(source or DEFAULT_MODEL, revision).folder)
        if as_json:
            emit_json({"folder": folder})
        else:
            emit(folder)
