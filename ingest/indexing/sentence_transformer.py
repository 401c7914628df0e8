"""Dense vectors from a sentence-transformers model on torch: safetensors only."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import CheckpointMismatch, MissingExtra
from ..system.progress_bars import hide_progress_bars
from .model_files import ModelSource, model_folder, read_json, resolve_model
from .prefixes import prefixes_of
from .tokenizing import load_tokenizer, valid_unicode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SentenceTransformerEmbedder"]

# Used for a model whose files state no limit; BERT's own.
_FALLBACK_MAX_TOKENS = 512


class SentenceTransformerEmbedder:
    """Embeds text with a sentence-transformers model. The model loads when it is first used.

    It needs the ``gpu`` extra, which brings torch; it runs on a CPU too.

    Args:
        model: a model name or folder; None for all-MiniLM-L6-v2.
        device: torch device; None lets sentence-transformers choose.
        batch_size: texts embedded at a time.
        busy_cores: cores that other processes use; torch starts that many threads fewer.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str | None = None,
        batch_size: int = 32,
        busy_cores: int = 0,
    ) -> None:
        self._requested = model
        self._device = device
        self._batch_size = batch_size
        self._busy_cores = busy_cores
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The model's name, the same for every origin."""
        return self._source.name

    @property
    def dimension(self) -> int:
        """Length of a vector; loads the model."""
        size = self._model.get_embedding_dimension()
        if size is None:
            raise CheckpointMismatch(
                f"the model {self.name!r} does not state its vector length: use another model"
            )
        return int(size)

    @cached_property
    def max_tokens(self) -> int:
        """Tokens of the longest input that is read in full, special tokens included."""
        config = read_json(self._folder / "sentence_bert_config.json")
        length = config.get("max_seq_length")
        if length is None:
            length = read_json(self._folder / "tokenizer_config.json").get("model_max_length")
        # Tokenizers without a limit state 1e30.
        return int(length) if length and length < 1_000_000 else _FALLBACK_MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a document, special tokens and the model's prefix included."""
        whole = self._prompt("document") + valid_unicode(text)
        return len(self._tokenizer.encode_batch_fast([whole])[0])  # no offsets: 3/4 of the time

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed documents. Shape: ``[texts, dimension]``, unit length."""
        vectors = self._encode([valid_unicode(text) for text in texts], "document")
        _release_memory()
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a query. Shape: ``[dimension]``, unit length."""
        vector: NDArray[np.float32] = self._encode([valid_unicode(text)], "query")[0]
        return vector

    def _encode(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        with self._lock:  # a tokenizer that truncates is not thread-safe
            model = self._model
            encode = model.encode_query if kind == "query" else model.encode_document
            with _fewer_threads(self._busy_cores):
                vectors = encode(
                    texts,
                    prompt=self._prompt(kind) or None,
                    batch_size=self._batch_size,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                    normalize_embeddings=True,
                )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)

    @cached_property
    def _source(self) -> ModelSource:
        return resolve_model(self._requested)

    @cached_property
    def _folder(self) -> Path:
        """The folder of the model's files, downloaded if need be."""
        with self._lock:
            return model_folder(self._source)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._folder)

    @cached_property
    def _prompts(self) -> dict[str, str]:
        config = read_json(self._folder / "config_sentence_transformers.json")
        return dict(config.get("prompts") or {})

    def _prompt(self, kind: str) -> str:
        # The names encode_document and encode_query look for, in their order.
        names = ("query",) if kind == "query" else ("document", "passage", "corpus")
        own = next((self._prompts[name] for name in names if name in self._prompts), "")
        known = prefixes_of(self.name)  # older models do not state theirs
        return own or (known.query if kind == "query" else known.document)

    @cached_property
    def _model(self) -> Any:
        with self._lock:
            return _load(self._folder, self._device)


def _release_memory() -> None:
    """Return memory that torch has freed to the system, if the C library can (glibc).

    glibc keeps freed memory between blocks in use, and batches of other lengths do not fit into
    it. Measured: after 6,000 texts of many lengths, a process held 780 MB without this call and
    340 MB with it.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl does not have it
        if trim is not None:
            trim(0)


@contextmanager
def _fewer_threads(busy: int) -> Iterator[None]:
    """Leave busy cores to other processes while the block runs; torch keeps at least one thread."""
    import torch

    # Threads that share a core with worker processes wait for each other. On two cores with two
    # workers, two threads instead of one cost 218 instead of 172 seconds of CPU for 120 pages
    # (benchmarks/ingesting/throughput.py).
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - busy))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _load(folder: Path, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the embedding model {folder.name!r}", "gpu") from error
    try:
        with hide_progress_bars():
            return SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointMismatch(
            f"{folder} does not load as a sentence-transformers model: {error}"
        ) from error
