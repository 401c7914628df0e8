"""How fast chunks are embedded: the default embedder, and sentence-transformers on torch.

    python -m benchmarks.ingesting.embedding STORE [--texts N] [--rounds N] [--output FILE]

Embeds texts of a store with the same weights on both, once as they are and once all as long as the
model reads. The two take turns; the best round counts, because a busy machine only slows down.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from opticalrag.ingest import QdrantStore, SentenceTransformerEmbedder, make_embedder
from opticalrag.ingest.core.protocols import Embedder
from opticalrag.ingest.core.schema import Field

from ..machine import describe

_LONG = 4000  # characters; more than 256 tokens


def compare(texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Embed the texts in turns; returns texts per second, of time and of processor time."""
    embedders = {"ours": make_embedder(), "torch": SentenceTransformerEmbedder(device="cpu")}
    vectors = {name: one.embed_documents(texts[:1]) for name, one in embedders.items()}  # loads
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in embedders}
    for _ in range(rounds):
        for name, embedder in embedders.items():
            vectors[name], *spent = _timed(embedder, texts)
            seconds[name].append((spent[0], spent[1]))
    figures = {
        name: {
            "texts_per_s": round(len(texts) / min(wall for wall, _ in taken), 1),
            "texts_per_cpu_s": round(len(texts) / min(cpu for _, cpu in taken), 1),
        }
        for name, taken in seconds.items()
    }
    ours, torch = (vectors[name].astype(np.float64) for name in embedders)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(torch, axis=1)
    cosines = np.sum(ours * torch, axis=1) / norms
    return {**figures, "least_cosine": round(float(cosines.min()), 9)}


def _timed(embedder: Embedder, texts: Sequence[str]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    vectors = embedder.embed_documents(texts)
    return vectors, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with QdrantStore(options.store, create=False) as store:
        records = islice(store.scroll(None, (Field.TEXT,)), options.texts)
        texts = [str((record.payload or {})[Field.TEXT]) for record in records]
    counted = [make_embedder().count_tokens(text) for text in texts]
    figures = {
        "machine": describe(),
        "texts": len(texts),
        "tokens": {f"p{part}": np.percentile(counted, part) for part in (10, 50, 90)},
        "as_they_are": compare(texts, options.rounds),
        "256_tokens": compare([(text * 256)[:_LONG] for text in texts[:100]], options.rounds),
    }
    written = json.dumps(figures, indent=2) + "\n"
    print(written)
    if options.output:
        options.output.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
