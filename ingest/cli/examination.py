"""What is installed, what would be used, and the command that adds what is missing."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata, util

from ..core.errors import OpticalRagError
from ..engines.choice import resolve_engine
from ..engines.deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate
from ..indexing.dense import resolve_model

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``required`` findings must be ok for the tool to work."""

    name: str
    ok: bool
    required: bool
    detail: str
    fix: str = ""


def examine(model: str | None = None) -> list[Finding]:
    """Look at this machine without loading a model or opening a connection.

    Args:
        model: embedding model that would be used; None for the default.
    """
    return [
        Finding("python", True, True, platform.python_version()),
        _package("pymupdf", "PDF pages and their layout", required=True),
        _package("qdrant-client", "the vector store on a server", required=True),
        _package("qdrant-edge-py", "the vector store in a folder, sparse vectors", required=True),
        _package("llama-index-core", "LlamaIndex reader, parser and retriever", required=True),
        _package("sentence-transformers", "dense vectors", required=True),
        _package("rapidocr", "OCR of scanned pages", extra="ocr"),
        _embedder(model),
        _package("transformers", "DeepSeek-OCR", extra="gpu"),
        _weights(),
        _device(),
        Finding("engine", True, True, f"auto would use {resolve_engine('auto')}"),
    ]


def _package(name: str, purpose: str, *, required: bool = False, extra: str = "") -> Finding:
    fix = f"pip install 'opticalrag[{extra}]'" if extra else "pip install --upgrade opticalrag"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, False, required, f"not installed ({purpose})", fix)
    return Finding(name, True, required, f"{version} ({purpose})")


def _embedder(model: str | None) -> Finding:
    try:
        found = resolve_model(model)
    except OpticalRagError as error:
        return Finding("embedding model", False, True, str(error))
    return Finding("embedding model", True, True, f"{found.name} from {found.origin}")


def _weights() -> Finding:
    try:
        found = locate(DEFAULT_MODEL, download=False)
    except OpticalRagError:
        what = f"{DEFAULT_MODEL} is not here; only the deepseek-ocr engine needs it"
        return Finding("OCR model", False, False, what, "opticalrag models download")
    return Finding("OCR model", True, False, f"{found.name} in {found.path}")


def _device() -> Finding:
    if util.find_spec("torch") is None:
        return Finding("torch", False, True, "not installed", "pip install torch")
    import torch

    cuda = torch.cuda.is_available()
    where = torch.cuda.get_device_name(0) if cuda else f"CPU, {torch.get_num_threads()} threads"
    return Finding("torch", True, True, f"{torch.__version__} on {where}")
