"""The ``doctor`` command: what is installed, what would be used, how to get what is missing."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata, util

from ..core.errors import OpticalRagError
from .console import Exit, commands, emit, emit_json
from .options import JsonOption, ModelOption

__all__ = ["Finding", "doctor", "examine"]


def doctor(model: ModelOption = None, as_json: JsonOption = False) -> None:
    """Show what is installed, what would be used, and how to get what is missing."""
    with commands(as_json):
        findings = examine(model)
        ready = all(finding.ok or not finding.required for finding in findings)
        if as_json:
            emit_json({"ready": ready, "findings": [asdict(one) for one in findings]})
        else:
            for finding in findings:
                mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
                emit(f"{mark} {finding.name}: {finding.detail}")
                if finding.fix:
                    emit(f"        {finding.fix}")
    raise SystemExit(Exit.OK if ready else Exit.FAILED)


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part. Nothing works unless all ``required`` parts are ``ok``."""

    name: str
    ok: bool
    required: bool
    detail: str
    fix: str = ""


def examine(model: str | None = None) -> list[Finding]:
    """Examine this machine without loading a model or opening a connection."""
    from ..engines.choice import resolve_engine

    return [
        Finding("python", True, True, platform.python_version()),
        _package("pymupdf", "PDF pages and their layout", required=True),
        _package("qdrant-client", "the vector store on a server", required=True),
        _package("qdrant-edge-py", "the vector store in a folder, sparse vectors", required=True),
        _package("llama-index-core", "LlamaIndex reader, parser and retriever", required=True),
        _package("onnxruntime", "the default embedding model, layout and OCR", required=True),
        _package("rapidocr", "OCR of scanned pages", extra="ocr"),
        _embedder(model),
        _package("fastembed", "other embedding models", extra="fastembed"),
        _package("sentence-transformers", "other embedding models, rerankers", extra="gpu"),
        _package("transformers", "DeepSeek-OCR", extra="gpu"),
        _package("torch", "what the gpu extra runs on", extra="gpu"),
        _weights(),
        _gpu(),
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
    from ..indexing.choice import runtime_of
    from ..indexing.model_files import resolve_model

    try:
        runtime = runtime_of(model)
        if runtime == "fastembed":
            return Finding("embedding model", True, True, f"{model} on fastembed")
        found = resolve_model(model)
    except OpticalRagError as error:
        return Finding("embedding model", False, True, str(error))
    detail = f"{found.name} from {found.origin}, on {runtime}"
    return Finding("embedding model", True, True, detail)


def _weights() -> Finding:
    from ..engines.deepseek_ocr.checkpoint.locate import DEFAULT_MODEL, locate

    try:
        found = locate(DEFAULT_MODEL, download=False)
    except OpticalRagError:
        detail = f"{DEFAULT_MODEL} is not downloaded; only the deepseek-ocr engine needs it"
        return Finding("OCR model", False, False, detail, "opticalrag models download")
    return Finding("OCR model", True, False, f"{found.name} in {found.path}")


def _gpu() -> Finding:
    from ..system.cuda import has_cuda_driver

    if not has_cuda_driver():
        detail = "there is no CUDA driver; only the deepseek-ocr engine needs a GPU"
        return Finding("GPU", False, False, detail)
    if util.find_spec("torch") is None:
        fix = "pip install 'opticalrag[gpu]'"
        return Finding("GPU", False, False, "there is a CUDA driver, but torch is missing", fix)
    import torch

    if not torch.cuda.is_available():
        fix = "install a torch that is built for your CUDA driver (https://pytorch.org)"
        return Finding("GPU", False, False, f"torch {torch.__version__} finds no GPU", fix)
    return Finding("GPU", True, False, torch.cuda.get_device_name(0))
