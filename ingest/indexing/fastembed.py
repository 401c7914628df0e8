"""Dense vectors from the models of fastembed, which runs them on ONNX Runtime, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..core.errors import MissingExtra, ModelNotFound
from .tokenizing import valid_unicode

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PREFIX", "FastEmbedEmbedder", "knows_model"]

PREFIX: Final = "fastembed/"
"""Of recorded names. fastembed's files may be quantized: other vectors than on torch."""

_BATCH: Final = 16  # texts of similar length; larger batches are not faster on a CPU
_FALLBACK_MAX_TOKENS: Final = 512  # for a model without a limit


class FastEmbedEmbedder:
    """Embeds text with a model of fastembed, downloaded on first use. Needs its extra.

    Args:
        model: its name in fastembed, such as ``"BAAI/bge-small-en-v1.5"``.
        busy_cores: cores that other processes use; the model gets that many threads fewer.

    Raises:
        MissingExtra: the ``fastembed`` extra is not installed.
        ModelNotFound: fastembed does not have the model.
    """

    def __init__(self, model: str, *, busy_cores: int = 0) -> None:
        if not knows_model(model):
            raise ModelNotFound(
                f"fastembed has no model {model!r}: choose one of"
                " https://qdrant.github.io/fastembed/examples/Supported_Models"
            )
        self._requested = model
        self._threads = max(1, (os.cpu_count() or 1) - busy_cores)
        self.name = PREFIX + model

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(_library().TextEmbedding.get_embedding_size(self._requested))

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest input that is read in full, special tokens included."""
        truncation = self._model.model.tokenizer.truncation
        return int(truncation["max_length"]) if truncation else _FALLBACK_MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens included."""
        return len(self._tokenizer.encode_batch_fast([valid_unicode(text)])[0])

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed documents. Shape: ``[texts, dimension]``, unit length."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        if order:  # neighbours of similar length need little padding
            batch = [valid_unicode(texts[number]) for number in order]
            vectors[order] = _units(self._model.passage_embed(batch, batch_size=_BATCH))
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a query. Shape: ``[dimension]``, unit length."""
        vector: NDArray[np.float32] = _units(self._model.query_embed(valid_unicode(text)))[0]
        return vector

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        copied = Tokenizer.from_str(self._model.model.tokenizer.to_str())
        copied.no_truncation()
        copied.no_padding()
        return copied

    @cached_property
    def _model(self) -> Any:
        from platformdirs import user_cache_dir

        # fastembed would use the temporary folder, which all users can write to.
        folder = os.environ.get("FASTEMBED_CACHE_PATH") or user_cache_dir("fastembed")
        try:
            return _library().TextEmbedding(self._requested, folder, self._threads)
        except (OSError, ValueError) as error:
            raise ModelNotFound(
                f"the embedding model {self._requested!r} is not in {folder} and cannot be"
                f" downloaded ({error}): allow the download, or set FASTEMBED_CACHE_PATH"
            ) from error


def knows_model(name: str) -> bool:
    """Whether fastembed has a model.

    Raises:
        MissingExtra: fastembed is not installed.
    """
    known = _library().TextEmbedding.list_supported_models()
    return name.lower() in {model["model"].lower() for model in known}


def _library() -> Any:
    try:
        import fastembed
    except ModuleNotFoundError as error:
        raise MissingExtra("a model of fastembed", "fastembed") from error
    return fastembed


def _units(vectors: Iterable[Any]) -> NDArray[np.float32]:
    stacked = np.stack([*vectors]).astype(np.float32)
    units: NDArray[np.float32] = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    return units
