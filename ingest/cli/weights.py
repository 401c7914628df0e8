"""What the ``models`` commands do: find, check and fetch the weights of DeepSeek-OCR."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..core.errors import EngineError
from ..engines.deepseek_ocr.checkpoint.checkpoint import open_checkpoint
from ..engines.deepseek_ocr.checkpoint.family import PUBLISHED
from ..engines.deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate
from ..engines.deepseek_ocr.checkpoint.tokenizer import Tokenizer
from ..engines.deepseek_ocr.checkpoint.weights import weight_bytes
from ..engines.deepseek_ocr.device.runtime import plan_runtime, probe_machine

__all__ = ["KnownModel", "ModelReport", "download_model", "known_models", "verify_model"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model this version runs. ``folder`` is empty if its files are not on this machine."""

    name: str
    repo: str
    revision: str
    folder: str


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model whose files are whole. ``memory`` is what its weights take, in bytes."""

    name: str
    folder: str
    weights: str
    tensors: int
    parameters: int
    memory: int
    device: str


def known_models() -> list[KnownModel]:
    """All published models this version runs."""
    return [KnownModel(f.name, f.repo, f.revision, _folder(f.repo)) for f in PUBLISHED]


def _folder(repo: str) -> str:
    try:
        return str(locate(repo, download=False).path)
    except EngineError:
        return ""


def verify_model(source: str | None = None, revision: str | None = None) -> ModelReport:
    """Check a model's files without loading it; nothing is downloaded.

    Raises:
        ModelNotFound: files that are not there.
        CheckpointMismatch: files that are not this model; the message names the differences.
    """
    folder = locate(source or DEFAULT_MODEL, revision, download=False)
    checkpoint = open_checkpoint(folder.path)
    Tokenizer(checkpoint.folder, checkpoint.shape.family.special)
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


def download_model(source: str | None = None, revision: str | None = None) -> str:
    """Fetch a model's files, resuming what was begun, and check them.

    Returns:
        The folder they are in.

    Raises:
        ModelNotFound: no connection, or nothing under this name.
        CheckpointMismatch: what came is not this model.
    """
    return str(open_checkpoint(source or DEFAULT_MODEL, revision).folder)
