"""Scores of every text for every question, and ways to fuse them. Shape: [questions, texts]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.indexing.sparse import Bm25Encoder

__all__ = ["bm25", "dbsf", "linear", "ranks", "rrf", "terms", "unit"]

CANDIDATES = 100  # of each ranking, as the search fuses

Scores = NDArray[np.float32]


def bm25(texts: Sequence[str], questions: Sequence[str], encoder: Bm25Encoder) -> Scores:
    """Score as Qdrant does: the dot product of the encoder's weights, times the terms' IDF."""
    columns: dict[int, dict[int, float]] = {}
    for row, (indices, values) in enumerate(encoder.encode_documents(texts)):
        for index, value in zip(indices, values, strict=True):
            columns.setdefault(index, {})[row] = value
    scores = np.zeros((len(questions), len(texts)), np.float32)
    for number, question in enumerate(questions):
        for index, value in zip(*encoder.encode_query(question), strict=True):
            found = columns.get(index, {})
            idf = np.log((len(texts) - len(found) + 0.5) / (len(found) + 0.5) + 1)
            scores[number, list(found)] += value * idf * np.array(list(found.values()), np.float32)
    return scores


def terms(questions: Sequence[str], encoder: Bm25Encoder) -> Scores:
    """The number of terms of each question, as a column."""
    counts = [max(len(encoder.encode_query(question)[0]), 1) for question in questions]
    return np.array(counts, np.float32)[:, None]


def unit(vectors: Scores) -> Scores:
    """Vectors of length one; those of nothing stay nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def ranks(scores: Scores) -> NDArray[np.int64]:
    """The 1-based rank of each text for each question; equal scores in the order of the texts."""
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return found


def rrf(scores: Sequence[Scores], k: int, weights: Sequence[float] = (1.0, 1.0)) -> Scores:
    """Reciprocal rank fusion, as Qdrant computes it."""
    fused = np.zeros_like(scores[0])
    for one, weight in zip(scores, weights, strict=True):
        rank = ranks(one)
        listed = (rank <= CANDIDATES) & (one != 0)
        fused += np.where(listed, 1 / (k - 1 + rank / weight), 0).astype(np.float32)
    return fused


def dbsf(scores: Sequence[Scores], weights: Sequence[float] = (1.0, 1.0)) -> Scores:
    """Distribution-based score fusion, as Qdrant computes it (there without weights)."""
    fused = np.zeros_like(scores[0])
    for one, weight in zip(scores, weights, strict=True):
        listed = (ranks(one) <= CANDIDATES) & (one != 0)
        for row, chosen in enumerate(listed):
            values = one[row, chosen]
            spread = 3 * values.std(ddof=1) if len(values) > 1 else 0.0
            low = values.mean() - spread if spread else 0.0
            normal = (values - low) / (2 * spread) if spread else np.full_like(values, 0.5)
            fused[row, chosen] += weight * normal
    return fused


def linear(dense: Scores, sparse: Scores, share: float | Scores) -> Scores:
    """The sum of dense scores and a share of the sparse ones, for the candidates of either."""
    listed = (ranks(dense) <= CANDIDATES) | ((ranks(sparse) <= CANDIDATES) & (sparse > 0))
    return np.where(listed, dense + share * sparse, -np.inf).astype(np.float32)
