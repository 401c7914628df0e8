"""A question and what it finds, as records. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..ingest.core.errors import ConfigError
from ..ingest.core.flags import doubts
from ..ingest.core.records import Box
from ..ingest.core.schema import Field

if TYPE_CHECKING:
    from llama_index.core.vector_stores import MetadataFilters

__all__ = [
    "MOST_DIVERSE",
    "Context",
    "ContextKind",
    "Fusion",
    "Hit",
    "Query",
    "SearchMode",
    "at_most_per_place",
    "hit_from_payload",
    "ranges_of",
]

SearchMode = Literal["hybrid", "dense", "sparse"]
Fusion = Literal["rrf", "dbsf"]
ContextKind = Literal["neighbours", "section", "page"]

_CHOICES = {
    "mode": ("hybrid", "dense", "sparse"),
    "fusion": ("rrf", "dbsf"),
    "context": (None, "neighbours", "section", "page"),
}
_MOST = {
    "top_k": 10_000,
    "rrf_k": 1_000_000,
    "per_page": 10_000,
    "per_document": 10_000,
    "context_chars": 10_000_000,
}
MOST_DIVERSE = 100
"""Hits that can be chosen by diversity: the work grows with their square."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question and how to look for its answer.

    Args:
        text: the question.
        top_k: how many hits are wanted.
        mode: which vectors are used.
        filters: LlamaIndex's metadata filters; or payload fields
            (:class:`opticalrag.ingest.core.schema.Field`) with the value they must have, or a
            list of values of which one must match.
        fusion: how hybrid hits are ranked: ``"rrf"`` by their ranks, ``"dbsf"`` by their scores.
        rrf_k: the constant of reciprocal rank fusion; the smaller, the more the first ranks count.
        weights: of dense and sparse in reciprocal rank fusion: a rank counts as rank / weight,
            so that a large weight also makes first and second nearly equal.
        mmr: diversity from 0 to 1: hits that resemble better ones give way (maximal marginal
            relevance over the dense vectors), for ``top_k`` up to :data:`MOST_DIVERSE`; None for
            none.
        per_page: most hits that start on one page; None for any number.
        per_document: most hits of one document.
        skip_flagged: leave out pages whose OCR is doubtful (see :attr:`Hit.doubtful`).
        min_score: the lowest score of a hit. What scores mean depends on mode and fusion; those
            of reciprocal rank fusion are ranks.
        context: what each hit is given beside its text: the chunks around it, its section or
            its page; see :attr:`Hit.context`.
        context_chars: the longest such text, in characters.

    Raises:
        ConfigError: no store can answer this.
    """

    text: str
    top_k: int = 5
    mode: SearchMode = "hybrid"
    filters: MetadataFilters | Mapping[str, Any] = field(default_factory=dict)
    # Chosen by benchmarks/retrieval/fusion.py on half of the questions (62); on the other half
    # (64) its hit@1, 3, 5 are 0.859, 0.969, 0.984; dense alone has 0.766, 0.875, 0.906, sparse
    # alone 0.766, 0.906, 0.938. Larger k, unequal weights and dbsf are within a question or two
    # of it.
    fusion: Fusion = "rrf"
    rrf_k: int = 2
    weights: tuple[float, float] = (1.0, 1.0)
    mmr: float | None = None
    per_page: int | None = None
    per_document: int | None = None
    skip_flagged: bool = False
    min_score: float | None = None
    context: ContextKind | None = None
    context_chars: int = 4000

    def __post_init__(self) -> None:
        """Refuse what no store can answer."""
        if not self.text.strip():
            raise ConfigError("the question is empty: say what to look for")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; choose {' or '.join(map(str, choices))}"
                )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and 1 <= value <= most):
                raise ConfigError(f"{name} is {value!r}; give a whole number from 1 to {most:,}")
        self._check_weights()
        self._check_mmr()

    def _check_weights(self) -> None:
        weights: Sequence[float] = self.weights  # callers may not have been type-checked
        if len(weights) != 2 or not all(0 < weight < math.inf for weight in weights):
            raise ConfigError(
                f"weights are {self.weights}; give two positive numbers, for dense and sparse ranks"
            )
        if self.fusion == "dbsf" and len(set(self.weights)) > 1:
            raise ConfigError("fusion 'dbsf' knows no weights; choose 'rrf' or leave them equal")

    def _check_mmr(self) -> None:
        if self.mmr is None:
            return
        if not 0 <= self.mmr <= 1:
            raise ConfigError(f"mmr is {self.mmr}; diversity is a number from 0 to 1")
        if self.top_k > MOST_DIVERSE:
            raise ConfigError(f"top_k is {self.top_k}; with mmr it is {MOST_DIVERSE} at most")
        if self.mode == "sparse":
            raise ConfigError("mmr compares dense vectors; choose mode 'hybrid' or 'dense'")


@dataclass(frozen=True, slots=True)
class Context:
    """What stands around a hit: text of whole chunks in their order, the hit's among them.

    ``pages`` are 1-based.
    """

    text: str
    chunk_ids: tuple[str, ...]
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found.

    ``pages`` are 1-based; ``boxes`` are (page, box) with boxes in fractions of the page as
    displayed, origin top left. ``score`` is comparable within one result only. ``context`` is
    there if it was asked for.
    """

    id: str
    score: float
    text: str
    file_name: str = ""
    file_path: str = ""
    file_id: str = ""
    pages: tuple[int, ...] = ()
    page_labels: tuple[str, ...] = ()
    boxes: tuple[tuple[int, Box], ...] = ()
    heading_path: tuple[str, ...] = ()
    kind: str = ""
    flags: tuple[str, ...] = ()
    context: Context | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Flags that say the text of its pages may be wrong or incomplete."""
        return doubts(self.flags)


def hit_from_payload(point_id: str, score: float, payload: Mapping[str, Any]) -> Hit:
    """Make a hit of a stored point; fields that others wrote otherwise, or not, stay empty."""
    return Hit(
        id=point_id,
        score=score,
        text=str(payload.get(Field.TEXT) or ""),
        file_name=str(payload.get(Field.FILE_NAME) or ""),
        file_path=str(payload.get(Field.FILE_PATH) or ""),
        file_id=str(payload.get(Field.FILE_ID) or ""),
        pages=tuple(n for n in _listed(payload, Field.PAGES) if type(n) is int and n > 0),
        page_labels=tuple(map(str, _listed(payload, Field.PAGE_LABELS))),
        boxes=tuple(_boxes(_listed(payload, Field.BOXES))),
        heading_path=tuple(map(str, _listed(payload, Field.HEADING_PATH))),
        kind=str(payload.get(Field.KIND) or ""),
        flags=tuple(map(str, _listed(payload, Field.FLAGS))),
        payload=payload,
    )


def _listed(payload: Mapping[str, Any], name: str) -> list[Any]:
    value = payload.get(name)
    return value if isinstance(value, list) else []


def _boxes(stored: Sequence[Any]) -> Iterator[tuple[int, Box]]:
    for item in stored:
        with suppress(TypeError, KeyError, ValueError):
            yield int(item["page"]), Box.clipped(*item["box"])


def ranges_of(payload: Mapping[str, Any]) -> dict[int, tuple[tuple[int, int], ...]]:
    """By 1-based page: [start, end) in its Markdown, as far as a payload says so."""
    found: dict[int, tuple[tuple[int, int], ...]] = {}
    for span in _listed(payload, Field.SPANS):
        with suppress(TypeError, KeyError, ValueError):
            found[int(span["page"])] = tuple((int(a), int(b)) for a, b in span["ranges"])
    return found


def at_most_per_place(hits: Sequence[Hit], query: Query) -> list[Hit]:
    """Hits in their order, without those that a page or document has too many of before them."""
    kept: list[Hit] = []
    pages: dict[tuple[str, int], int] = {}
    documents: dict[str, int] = {}
    for hit in hits:
        document = hit.file_id or hit.file_path or hit.file_name or hit.id
        page = (document, hit.pages[0] if hit.pages else 0)
        full = _full(pages.get(page, 0), query.per_page) or _full(
            documents.get(document, 0), query.per_document
        )
        if full:
            continue
        pages[page] = pages.get(page, 0) + 1
        documents[document] = documents.get(document, 0) + 1
        kept.append(hit)
    return kept


def _full(taken: int, most: int | None) -> bool:
    return most is not None and taken >= most
