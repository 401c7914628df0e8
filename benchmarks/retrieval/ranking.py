"""Measures ways to rank pages on three sets of questions, with one embedder.

    python -m benchmarks.retrieval.ranking --data FOLDER --cache FOLDER [--output FILE]

FOLDER holds ``filings_qa`` (annual reports that are written alike), ``pages_qa`` (documents of many
kinds) and ``pdf`` with our own questions. Parsing and embedding take a quarter of an hour on two
cores and are kept in the cache; the ways to rank are then compared in numpy, as Qdrant computes
them. "hybrid now" is :func:`search` over an embedded store. Each parameter counts only where it
was not chosen: it is chosen on two sets and reported on the third.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.payload import Prepared
from opticalrag.ingest.indexing.points import write_points
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.indexing.titles import title_of, titled
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Query

from ..machine import describe
from .prepared import CachedEmbedder, Text, llama_index_texts, our_texts
from .question_sets import MEASURES, Page, QuestionSet, measured, question_sets
from .scores import Scores, bm25, dbsf, linear, rrf, terms, unit

__all__ = ["cross_validated", "pages_in_order", "ways"]

SPARSE: Final = Bm25Encoder()
CANDIDATES: Final = 60  # chunks per question: enough for ten different pages
TITLE_WEIGHTS: Final = (0.2, 0.3, 0.4, 0.5, 0.6)
SHARES: Final = (0.03, 0.035, 0.04, 0.045, 0.05, 0.055, 0.06)
_BY_KIND: Final = ("dense", "sparse", "hybrid before", "hybrid now", "LlamaIndex default")
_CHOSEN_FROM: Final = ("rrf", "dbsf", "linear")
_WORD_OR_YEAR: Final = re.compile(r"[^\W\d_]{2,}|^(19|20)\d\d$")
Figures = dict[str, dict[str, list[float]]]
"""Means of :data:`.question_sets.MEASURES` by way and set."""


@dataclass(frozen=True)
class Corpus:
    """A question set, its texts and their vectors."""

    asked: QuestionSet
    texts: list[Text]
    vectors: Scores
    questions: Scores
    embedder: CachedEmbedder

    @property
    def words(self) -> list[str]:
        """The questions as text."""
        return [question.text for question in self.asked.questions]

    def bm25(self, texts: Sequence[str]) -> Scores:
        """BM25 scores of texts for every question."""
        return bm25(texts, self.words, SPARSE)

    def grouped(self, key: Callable[[Text], Any]) -> tuple[list[str], NDArray[np.int64]]:
        """Titled texts joined by a key, and which of them each text is in."""
        keys = list(dict.fromkeys(map(key, self.texts)))
        joined: dict[Any, list[str]] = {one: [] for one in keys}
        for text in self.texts:
            joined[key(text)].append(text.text)
        names = {key(text): title_of(text.file) for text in self.texts}
        whole = [titled("\n".join(joined[one]), names[one]) for one in keys]
        return whole, np.array([keys.index(key(text)) for text in self.texts])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--cache", type=Path, required=True, help="folder for chunks and vectors")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    embedder = CachedEmbedder(options.cache)
    figures: Figures = {}
    kinds: dict[str, Any] = {}
    sets = question_sets(options.data)
    for asked in sets:
        for name, ranked in _rankings(asked, embedder, options.cache):
            found = np.stack(
                [measured(*pair) for pair in zip(asked.questions, ranked, strict=True)]
            )
            figures.setdefault(name, {})[asked.name] = found.mean(0).round(4).tolist()
            if name in _BY_KIND:
                kinds.setdefault(name, {})[asked.name] = _by_kind(asked, found)
    report = {
        "machine": describe(),
        "questions": {asked.name: len(asked.questions) for asked in sets},
        "measures": MEASURES,
        "figures": figures,
        "chosen_on_the_other_sets": cross_validated(figures),
        "by_kind": kinds,
    }
    for name, found in figures.items():
        print(f"{name:44}", "  ".join(" ".join(f"{v:.3f}" for v in row) for row in found.values()))
    print(json.dumps(report["chosen_on_the_other_sets"], indent=2))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


def _rankings(
    asked: QuestionSet, embedder: CachedEmbedder, cache: Path
) -> Iterator[tuple[str, list[list[Page]]]]:
    """Yield every way to rank, with its ranking of pages for every question."""
    questions = embedder.embed_documents([question.text for question in asked.questions])
    for name, *cut in (
        ("LlamaIndex default", 1024, 200, False),
        ("LlamaIndex, 256 tokens, name in front", 256, 20, True),
    ):
        texts = llama_index_texts(asked, cache, *cut)
        vectors = embedder.embed_documents([text.text for text in texts])
        yield name, pages_in_order(questions @ vectors.T, texts)
    texts = our_texts(asked, cache)
    vectors = embedder.embed_documents([text.text for text in texts])
    corpus = Corpus(asked, texts, vectors, questions, embedder)
    for name, scores in ways(corpus):
        yield name, pages_in_order(scores, texts)
    yield "hybrid now", _searched(corpus)


def pages_in_order(scores: Scores, texts: Sequence[Text]) -> list[list[Page]]:
    """The first different pages of the best texts, for every question."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
    return [
        _distinct((texts[n].file, page) for n in row for page in texts[n].pages) for row in order
    ]


def _distinct(pages: Iterator[Page]) -> list[Page]:
    return list(dict.fromkeys(pages))[:10]


def ways(corpus: Corpus) -> Iterator[tuple[str, Scores]]:
    """Yield the scores of every way to rank, by name."""
    texts = [text.text for text in corpus.texts]
    titles = [title_of(text.file) for text in corpus.texts]
    plain, dense = corpus.bm25(texts), corpus.questions @ corpus.vectors.T
    named = corpus.bm25([titled(*pair) for pair in zip(texts, titles, strict=True)])
    yield "dense", dense
    yield "sparse", plain
    yield "hybrid before", rrf([dense, plain], 2)
    yield "sparse, titled", named
    yield from _coarser(corpus, named)
    for k in (5, 20, 60):
        yield f"rrf k={k}, no titles", rrf([dense, plain], k)
    yield "dbsf, no titles", dbsf([dense, plain])
    root = np.sqrt(terms(corpus.words, SPARSE))
    for share in SHARES:
        yield f"linear share={share}, no titles", linear(dense, plain, share / root)
    yield from _other_directions(corpus, named, root)
    for weight in TITLE_WEIGHTS:
        turned = _turned(corpus, titles, weight)
        yield f"dense, title={weight}", turned
        for name, scores in _fusions(turned, named, root):
            yield f"{name}, title={weight}", scores
    turned = _turned(corpus, titles, 0.4)
    for share in SHARES:
        yield f"linear share={share}, title=0.4 in dense only", linear(turned, plain, share / root)


def _fusions(dense: Scores, sparse: Scores, root: Scores) -> Iterator[tuple[str, Scores]]:
    for k in (2, 20, 60):
        yield f"rrf k={k}", rrf([dense, sparse], k)
    for less in (1.0, 0.7, 0.5):
        yield f"dbsf weight={less}", dbsf([dense, sparse], (1.0, less))
    for share in (0.01, 0.015, 0.02):
        yield f"linear share={share} at any length", linear(dense, sparse, share)
    for share in SHARES:
        yield f"linear share={share}", linear(dense, sparse, share / root)


def _coarser(corpus: Corpus, named: Scores) -> Iterator[tuple[str, Scores]]:
    """Words of whole pages and documents, alone or beside those of chunks."""
    whole, page_of = corpus.grouped(lambda text: (text.file, text.pages[0]))
    pages = corpus.bm25(whole)[:, page_of]
    yield "sparse over pages", pages
    yield "sparse over pages + chunks", pages + named
    whole, file_of = corpus.grouped(lambda text: text.file)
    files = corpus.bm25(whole)[:, file_of]
    for weight in (0.3, 1.0):
        yield f"sparse + {weight} of the document's", named + weight * files


def _other_directions(corpus: Corpus, named: Scores, root: Scores) -> Iterator[tuple[str, Scores]]:
    """Dense vectors turned to something else than the file's name."""
    vectors, texts = corpus.vectors, corpus.texts
    _, page_of = corpus.grouped(lambda text: (text.file, text.pages[0]))
    sums = np.zeros((page_of.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, page_of, vectors)
    same = np.array([a.file == b.file for a, b in pairwise(texts)])[:, None]
    around = np.zeros_like(vectors)
    around[1:] += vectors[:-1] * same
    around[:-1] += vectors[1:] * same
    first = {text.file: text.headings[0] for text in reversed(texts) if text.headings}
    headings = [first.get(text.file, "") for text in texts]
    turned = {
        "page 0.3": corpus.questions @ unit(vectors + 0.3 * unit(sums)[page_of]).T,
        "neighbours 0.2": corpus.questions @ unit(vectors + 0.2 * around).T,
        "first heading 0.4": _turned(corpus, headings, 0.4),
    }
    rows = corpus.embedder.embed_documents([_without_numbers(text.text) for text in texts])
    titles = [title_of(text.file) for text in texts]
    for name, other in (
        ("tables without numbers", rows),
        ("tables also without numbers", unit(vectors + rows)),
    ):
        turned[f"{name}, title=0.4"] = _turned(replace(corpus, vectors=other), titles, 0.4)
    for name, scores in turned.items():
        yield f"dense, {name}", scores
        yield f"linear share=0.045, {name}", linear(scores, named, 0.045 / root)


def _without_numbers(text: str) -> str:
    """The rows of tables reduced to their words and years."""
    lines = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        kept = ", ".join(cell for cell in cells if _WORD_OR_YEAR.search(cell))
        lines.append(kept if line.startswith("|") else line)
    return "\n".join(filter(None, lines)) or text


def _turned(corpus: Corpus, titles: Sequence[str], weight: float) -> Scores:
    names = sorted(set(titles) - {""})
    found = dict(zip(names, corpus.embedder.embed_documents(names), strict=True))
    nothing = np.zeros(corpus.vectors.shape[1], np.float32)
    added = np.stack([found.get(title, nothing) for title in titles])
    return corpus.questions @ unit(corpus.vectors + np.float32(weight) * added).T


def _searched(corpus: Corpus) -> list[list[Page]]:
    """The pages that the search finds in an embedded store of the texts."""
    prepared = [
        Prepared(
            str(uuid.uuid5(uuid.NAMESPACE_OID, f"{corpus.asked.name}:{number}")),
            text.text,
            {
                Field.TEXT: text.text,
                Field.FILE_NAME: text.file,
                Field.PAGES: list(text.pages),
                Field.ORDINAL: number,
            },
        )
        for number, text in enumerate(corpus.texts)
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder, QdrantStore(Path(folder) / "store") as store:
        store.ensure(corpus.embedder, SPARSE)
        write_points(prepared, store, corpus.embedder, SPARSE)
        for question in corpus.words:
            hits = search(store, corpus.embedder, SPARSE, Query(question, CANDIDATES))
            found.append(_distinct((hit.file_name, page) for hit in hits for page in hit.pages))
    return found


def cross_validated(figures: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """For each set, the way that is best on the other sets by the mean of all measures."""
    fusions = {name: found for name, found in figures.items() if name.startswith(_CHOSEN_FROM)}
    chosen: dict[str, Any] = {}
    for left in next(iter(figures.values())):

        def others(name: str, left: str = left) -> float:
            return float(np.mean([row for key, row in fusions[name].items() if key != left]))

        best = max(fusions, key=others)
        chosen[left] = {"way": best, "figures": fusions[best][left]}
    return chosen


def _by_kind(asked: QuestionSet, found: NDArray[np.float64]) -> dict[str, Any]:
    kinds = sorted({kind for question in asked.questions for kind in question.kinds})
    rows = {kind: found[[kind in question.kinds for question in asked.questions]] for kind in kinds}
    return {
        kind: {"n": len(row), "mean": row.mean(0).round(4).tolist()} for kind, row in rows.items()
    }


if __name__ == "__main__":
    main()
