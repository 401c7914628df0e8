"""Records of a search: the query and its hits. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..ingest.core.errors import ConfigError
from ..ingest.core.flags import doubts
from ..ingest.core.records import Box
from ..ingest.core.schema import Field

if TYPE_CHECKING:
    from llama_index.core.vector_stores import MetadataFilters

__all__ = [
    "MAX_MMR_TOP_K",
    "Context",
    "ContextKind",
    "Fusion",
    "Hit",
    "Query",
    "SearchMode",
    "cap_hits",
    "hit_from_payload",
    "in_order",
    "markdown_ranges",
    "same_score",
]

SearchMode = Literal["hybrid", "dense", "sparse"]
Fusion = Literal["linear", "rrf", "dbsf"]
ContextKind = Literal["neighbours", "section", "page"]

_CHOICES = {
    "mode": get_args(SearchMode),
    "fusion": get_args(Fusion),
    "context": (None, *get_args(ContextKind)),
}
_MAXIMA = {
    "top_k": 10_000,
    "rrf_k": 1_000_000,
    "per_page": 10_000,
    "per_document": 10_000,
    "context_chars": 10_000_000,
}
_DIGITS = 6  # float32 has seven
MAX_MMR_TOP_K = 100
"""Largest ``top_k`` with ``mmr``, whose cost grows quadratically."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and how to search for its answer.

    Args:
        filters: LlamaIndex metadata filters; or a mapping from payload fields
            (:class:`opticalrag.ingest.core.schema.Field`) to the required value, or to a list
            of allowed values.
        fusion: how to merge dense and sparse hits. ``"linear"`` adds the cosine and a share of the
            BM25 score, so that a chunk that is best by far stays best. ``"rrf"`` (reciprocal rank
            fusion) adds by rank, ``"dbsf"`` (distribution-based score fusion) by score in units
            of each list's spread; both work with cosines of any range.
        rrf_k: the constant of reciprocal rank fusion; a smaller one favours the first ranks.
        weights: weights of dense and sparse hits. Linear fusion multiplies the scores by them.
            Reciprocal rank fusion divides the ranks by them, so a large weight also brings the
            first and second rank close together.
        mmr: diversity from 0 to 1 of maximal marginal relevance over the dense vectors, which
            ranks hits lower that resemble better ones. Limits ``top_k`` to
            :data:`MAX_MMR_TOP_K`. None turns it off.
        per_page: maximum number of hits that start on one page.
        per_document: maximum number of hits from one document.
        skip_flagged: skip pages whose OCR is doubtful (see :attr:`Hit.doubtful`).
        min_score: drop hits with a lower score. Scores depend on mode, fusion and embedder; those
            of reciprocal rank fusion reflect ranks only.
        context: add to each hit the chunks around it, its section or its page (see
            :attr:`Hit.context`).
        context_chars: maximum length of that context, in characters.

    Raises:
        ConfigError: an option is invalid.
    """

    text: str
    top_k: int = 5
    mode: SearchMode = "hybrid"
    filters: MetadataFilters | Mapping[str, Any] = field(default_factory=dict)
    # Chosen with benchmarks/retrieval/ranking.py, cross-validated over three sets of questions.
    fusion: Fusion = "linear"
    rrf_k: int = 20
    weights: tuple[float, float] = (1.0, 1.0)
    mmr: float | None = None
    per_page: int | None = None
    per_document: int | None = None
    skip_flagged: bool = False
    min_score: float | None = None
    context: ContextKind | None = None
    context_chars: int = 4000

    def __post_init__(self) -> None:
        """Validate all options."""
        if not self.text.strip():
            raise ConfigError("the question is empty: give the text to search for")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"invalid {name} {getattr(self, name)!r}: use {', '.join(map(repr, choices))}"
                )
        for name, maximum in _MAXIMA.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and 1 <= value <= maximum):
                raise ConfigError(
                    f"invalid {name} {value!r}: use a whole number from 1 to {maximum:,}"
                )
        self._check_mmr()
        weights: Sequence[float] = self.weights  # callers may not have been type-checked
        if len(weights) != 2 or not all(0 < weight < math.inf for weight in weights):
            raise ConfigError(
                f"invalid weights {self.weights}: use two positive numbers, for dense and sparse"
            )
        if self.fusion == "dbsf" and len(set(self.weights)) > 1:
            raise ConfigError("fusion 'dbsf' ignores weights: use 'linear', 'rrf' or equal weights")

    def _check_mmr(self) -> None:
        if self.mmr is None:
            return
        if not 0 <= self.mmr <= 1:
            raise ConfigError(f"invalid mmr {self.mmr}: use a diversity from 0 to 1")
        if self.top_k > MAX_MMR_TOP_K:
            raise ConfigError(f"invalid top_k {self.top_k}: with mmr, use at most {MAX_MMR_TOP_K}")
        if self.mode == "sparse":
            raise ConfigError("mmr compares dense vectors: use mode 'hybrid' or 'dense'")


@dataclass(frozen=True, slots=True)
class Context:
    """A hit's chunk and the chunks around it, joined in document order. ``pages`` are 1-based."""

    text: str
    chunk_ids: tuple[str, ...]
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found by a search.

    ``pages`` are 1-based. ``boxes`` are pairs of page and box; boxes are fractions of the page as
    displayed, origin top left. Compare ``score`` only between hits of the same query. ``context``
    is set if the query asks for it.
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
        """Flags that say the text of the hit's pages may be wrong or incomplete."""
        return doubts(self.flags)


def hit_from_payload(point_id: str, score: float, payload: Mapping[str, Any]) -> Hit:
    """Make a hit from a stored point. Fields that are missing or of another type stay empty."""
    return Hit(
        id=point_id,
        score=score,
        text=str(payload.get(Field.TEXT) or ""),
        file_name=str(payload.get(Field.FILE_NAME) or ""),
        file_path=str(payload.get(Field.FILE_PATH) or ""),
        file_id=str(payload.get(Field.FILE_ID) or ""),
        pages=tuple(n for n in _list_field(payload, Field.PAGES) if type(n) is int and n > 0),
        page_labels=tuple(map(str, _list_field(payload, Field.PAGE_LABELS))),
        boxes=tuple(_boxes(_list_field(payload, Field.BOXES))),
        heading_path=tuple(map(str, _list_field(payload, Field.HEADING_PATH))),
        kind=str(payload.get(Field.KIND) or ""),
        flags=tuple(map(str, _list_field(payload, Field.FLAGS))),
        payload=payload,
    )


def _list_field(payload: Mapping[str, Any], name: str) -> list[Any]:
    value = payload.get(name)
    return value if isinstance(value, list) else []


def _boxes(stored: Sequence[Any]) -> Iterator[tuple[int, Box]]:
    for item in stored:
        with suppress(TypeError, KeyError, ValueError):
            yield int(item["page"]), Box.clipped(*item["box"])


def markdown_ranges(payload: Mapping[str, Any]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Read the ranges [start, end) in the Markdown of each page (1-based) from a payload."""
    found: dict[int, tuple[tuple[int, int], ...]] = {}
    for span in _list_field(payload, Field.SPANS):
        with suppress(TypeError, KeyError, ValueError):
            found[int(span["page"])] = tuple((int(a), int(b)) for a, b in span["ranges"])
    return found


def in_order(hits: Iterable[Hit]) -> list[Hit]:
    """Sort hits by score; equal ones by document and by their place in it.

    Engines return equal scores in any order, which may differ from run to run.
    """
    return sorted(hits, key=_position)


def _position(hit: Hit) -> tuple[float, str, int, str]:
    ordinal = hit.payload.get(Field.ORDINAL)
    document = hit.file_path or hit.file_id or hit.file_name
    return -same_score(hit.score), document, ordinal if isinstance(ordinal, int) else 0, hit.id


def same_score(score: float) -> float:
    """A score without the digits in which engines and batches of an embedder differ."""
    return round(score, _DIGITS)


def cap_hits(hits: Sequence[Hit], query: Query) -> list[Hit]:
    """Drop hits beyond ``per_page`` and ``per_document``; keep the order."""
    kept: list[Hit] = []
    counts: Counter[Hashable] = Counter()
    for hit in hits:
        document = hit.file_id or hit.file_path or hit.file_name or hit.id
        page = (document, hit.pages[0] if hit.pages else 0)
        caps = ((page, query.per_page), (document, query.per_document))
        if all(cap is None or counts[key] < cap for key, cap in caps):
            counts.update((page, document))
            kept.append(hit)
    return kept
