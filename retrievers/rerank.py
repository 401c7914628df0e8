"""Reranking: a cross-encoder reads the question together with each hit and scores the pair."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ..ingest.core.errors import CheckpointMismatch, ConfigError
from ..ingest.indexing.dense import model_folder, resolve_model
from ..ingest.system.progress_bars import hide_progress_bars
from .query import Hit

__all__ = ["CrossEncoderReranker", "Reranker"]


class Reranker(Protocol):
    """Orders hits anew."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def depth(self) -> int:
        """How many hits are worth reading for one question."""
        ...

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits with new scores, best first."""
        ...


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers, which loads when first used.

    Only safetensors are read and no code of a model repository is run. Threads may share it.

    Args:
        model: a folder or a name on the model hub.
        depth: how many hits are read for one question; the work grows with it.
        max_length: longest question and text together, in tokens; None: what the model reads.
        batch_size: pairs read at a time.
        device: torch device; None to choose.

    Raises:
        ConfigError: a number that cannot work.

    Example:
        >>> search(store, embedder, sparse, query, CrossEncoderReranker("models/reranker"))
    """

    def __init__(
        self,
        model: str | Path,
        *,
        depth: int = 30,
        max_length: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        numbers = {"depth": depth, "max_length": max_length, "batch_size": batch_size}
        for option, value in numbers.items():
            if value is not None and value < 1:
                raise ConfigError(f"{option} is {value}; it must be at least 1")
        self.depth = depth
        self._requested = str(model)
        self._max_length = max_length
        self._batch_size = batch_size
        self._device = device
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The model as it was asked for."""
        return self._requested

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question; comparable within one model.

        Raises:
            ModelNotFound: the model is not here and cannot be downloaded.
            CheckpointMismatch: it is no cross-encoder with one score per pair.
        """
        if not texts:
            return []
        pairs = [(question, text) for text in texts]
        with self._lock:  # tokenizers that truncate are not safe to share
            values = self._model.predict(
                pairs, batch_size=self._batch_size, show_progress_bar=False
            )
        return [float(value) for value in values]

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits with the model's scores, best first; equal ones keep their order.

        Raises:
            ModelNotFound, CheckpointMismatch: see :meth:`scores`.
        """
        scores = self.scores(question, [hit.text for hit in hits])
        scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    @cached_property
    def _model(self) -> Any:
        folder = model_folder(resolve_model(self._requested, "reranking"), "reranking")
        model = _load(folder, self._device, self._max_length)
        if model.num_labels != 1:
            raise CheckpointMismatch(
                f"{folder} gives {model.num_labels} scores for a pair; a reranker gives one"
            )
        return model


def _load(folder: Path, device: str | None, max_length: int | None) -> Any:
    from sentence_transformers import CrossEncoder

    try:
        with hide_progress_bars():
            return CrossEncoder(
                str(folder),
                device=device,
                max_length=max_length,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"{folder} does not load as a cross-encoder: {error}") from error
