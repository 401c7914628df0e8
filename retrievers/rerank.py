"""Reranking: a cross-encoder scores each hit together with the question."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ..ingest.core.errors import CheckpointMismatch, ConfigError, MissingExtra
from ..ingest.indexing.model_files import model_folder, resolve_model
from ..ingest.system.progress_bars import hide_progress_bars
from .query import Hit

__all__ = ["CrossEncoderReranker", "Reranker"]


class Reranker(Protocol):
    """Reorders hits."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def depth(self) -> int:
        """Number of hits to score per question."""
        ...

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits with new scores, best first."""
        ...


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder, loaded on first use.

    It loads safetensors only and never runs code from a model repository. Threads may share it.

    Args:
        model: a folder, or a name on the model hub.
        depth: number of hits to score per question; the cost grows linearly.
        max_length: maximum length of question and text together, in tokens; None for the model's
            own limit.
        batch_size: number of pairs scored at a time.
        device: torch device; None to choose automatically.

    Raises:
        ConfigError: a number is below 1.

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
                raise ConfigError(f"invalid {option} {value}: use at least 1")
        self.name = str(model)
        self.depth = depth
        self._max_length = max_length
        self._batch_size = batch_size
        self._device = device
        self._lock = threading.RLock()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Score how well each text answers the question; comparable within one model.

        Raises:
            MissingExtra: the ``gpu`` extra is not installed.
            ModelNotFound: the model is not on this machine and cannot be downloaded.
            CheckpointMismatch: the model is not a cross-encoder with one score per pair.
        """
        if not texts:
            return []
        pairs = [(question, text) for text in texts]
        with self._lock:  # truncating tokenizers are not thread-safe
            values = self._model.predict(
                pairs, batch_size=self._batch_size, show_progress_bar=False
            )
        return [*map(float, values)]

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits with the model's scores, best first; ties keep their order.

        Raises:
            MissingExtra, ModelNotFound, CheckpointMismatch: see :meth:`scores`.
        """
        scores = self.scores(question, [hit.text for hit in hits])
        scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder
        except ModuleNotFoundError as error:
            raise MissingExtra("reranking", "gpu") from error

        folder = model_folder(resolve_model(self.name, "reranking"), "reranking")
        try:
            with hide_progress_bars():
                model = CrossEncoder(
                    str(folder),
                    device=self._device,
                    max_length=self._max_length,
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True},
                )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointMismatch(f"cannot load {folder} as a cross-encoder: {error}") from error
        if model.num_labels != 1:
            raise CheckpointMismatch(
                f"the model in {folder} gives {model.num_labels} scores per pair: use a reranker,"
                " which gives one"
            )
        return model
