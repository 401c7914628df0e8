"""Commands about the weights of DeepSeek-OCR: models list, verify, download."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .console import commands, emit, emit_json

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="The weights of DeepSeek-OCR: where, and whether whole."
)

SourceArgument = Annotated[
    str | None, typer.Argument(help="Folder or hub id; default: the released model.")
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Commit on the hub; default: the one known to this version.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models this version runs, and where their files are."""
    with commands(as_json):
        from .weights import known_models

        models = known_models()
        if as_json:
            emit_json({"models": [asdict(model) for model in models]})
            return
        for model in models:
            emit(f"{model.repo} at {model.revision[:12]}: {model.folder or 'not here'}")


@app.command()
def verify(
    source: SourceArgument = None, revision: RevisionOption = None, as_json: JsonOption = False
) -> None:
    """Check every tensor's name, shape and place without loading the model."""
    with commands(as_json):
        from .weights import verify_model

        report = verify_model(source, revision)
        if as_json:
            emit_json(asdict(report))
            return
        emit(
            f"{report.name} in {report.folder}: {report.tensors} tensors,"
            f" {report.parameters / 1e9:.2f} billion parameters, as they should be"
        )
        emit(
            f"weights {report.weights}; {report.memory / 1e9:.1f} GB when loaded on {report.device}"
        )


@app.command()
def download(
    source: SourceArgument = None, revision: RevisionOption = None, as_json: JsonOption = False
) -> None:
    """Fetch a model's configuration, tokenizer and safetensors files from the hub; no code."""
    with commands(as_json):
        from .weights import download_model

        folder = download_model(source, revision)
        if as_json:
            emit_json({"folder": folder})
        else:
            emit(folder)
