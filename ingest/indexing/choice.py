"""Chooses the embedder that a model's name means."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Literal

from ..core.errors import MissingExtra
from ..core.protocols import Embedder
from .model_files import is_default

__all__ = ["Runtime", "make_embedder", "runtime_of"]

Runtime = Literal["onnxruntime", "fastembed", "sentence-transformers"]


def make_embedder(model: str | Path | None = None, *, busy_cores: int = 0) -> Embedder:
    """Make the embedder of a model, which loads when it is first used.

    Args:
        model: a folder or name for sentence-transformers; ``"fastembed/NAME"`` for a model of
            fastembed; None for all-MiniLM-L6-v2.
        busy_cores: cores that other processes use and the model leaves to them.

    Raises:
        MissingExtra: the extra that runs the model is not installed.
        ModelNotFound: fastembed does not have the model.
    """
    runtime = runtime_of(model)
    if runtime == "onnxruntime":
        from .minilm import MiniLMEmbedder

        return MiniLMEmbedder(busy_cores=busy_cores)
    if runtime == "fastembed":
        from .fastembed import PREFIX, FastEmbedEmbedder

        return FastEmbedEmbedder(str(model).removeprefix(PREFIX), busy_cores=busy_cores)
    if not _is_installed("sentence_transformers"):
        raise MissingExtra(f"the embedding model {str(model)!r}", "gpu")
    from .sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(model, busy_cores=busy_cores)


def runtime_of(model: str | Path | None = None) -> Runtime:
    """Tell what runs a model.

    Without sentence-transformers, a name without prefix means fastembed's model of that name, if
    there is one. With it, the same name keeps its meaning when fastembed is installed as well.
    """
    if is_default(model):
        return "onnxruntime"
    from .fastembed import PREFIX, knows_model

    name = str(model)
    if name.startswith(PREFIX) and not Path(name).is_dir():
        return "fastembed"
    if _is_installed("sentence_transformers") or not _is_installed("fastembed"):
        return "sentence-transformers"
    return "fastembed" if knows_model(name) else "sentence-transformers"


def _is_installed(module: str) -> bool:
    return util.find_spec(module) is not None
