"""Scores the hits of a question: at which rank the right page and the right box are. Pure.

Pages are ranked in the order in which the hits name them. Ranks are 1-based; beyond
:data:`DEPTH` a page counts as not found.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from ...ingest.core.records import Box
from ..query import Hit
from .questions import Question

__all__ = ["CUTOFFS", "DEPTH", "Figures", "Found", "Score", "by_kind", "figures", "score", "worst"]

DEPTH: Final = 10
"""Ranks that count: the 10 of MRR@10 and nDCG@10."""
CUTOFFS: Final = (1, 3, 5, 10)
"""The k of hit@k."""
_COVERED: Final = 0.5  # least share of the answer's box that a hit's boxes cover

Page = tuple[str, int]  # id of a document, page from 1


@dataclass(frozen=True, slots=True)
class Found:
    """A page that the search found: its best hit, and whether it answers the question."""

    file: str
    page: int
    right: bool
    hit: Hit


@dataclass(frozen=True, slots=True)
class Score:
    """How well the search answered a question.

    Attributes:
        rank: of the first right page; 0: not among the first :data:`DEPTH`.
        ndcg: normalised discounted cumulative gain at :data:`DEPTH`; a right page has gain 1.
        box_rank: number of pages seen up to the first hit that covers half of an answer's box; 0:
            more than :data:`DEPTH`; None: the question gives no boxes.
        found: the first :data:`DEPTH` pages.
    """

    question: Question
    rank: int
    ndcg: float
    box_rank: int | None
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over questions, from 0 to 1.

    Attributes:
        questions: how many there are.
        hit: share with a right page among the first k, by k.
        mrr: mean of 1/rank of the first right page; 0 where it was not found.
        ndcg: mean nDCG at :data:`DEPTH`.
        boxed: how many of the questions give boxes.
        box_hit: share of these with an answer's box in a hit on the first k pages, by k.
    """

    questions: int
    hit: Mapping[int, float]
    mrr: float
    ndcg: float
    boxed: int
    box_hit: Mapping[int, float]


def score(question: Question, document: str, hits: Sequence[Hit]) -> Score:
    """Score the hits of a question, best first; ``document`` is the id of the right one."""
    wanted = {(document, page) for page in question.pages}
    best = list(_best_hits(hits).items())[:DEPTH]
    ranks = [rank for rank, (page, _) in enumerate(best, start=1) if page in wanted]
    return Score(
        question,
        ranks[0] if ranks else 0,
        _ndcg(ranks, len(wanted)),
        _box_rank(question, document, hits) if question.boxes else None,
        tuple(Found(hit.file_name or page[0], page[1], page in wanted, hit) for page, hit in best),
    )


def _best_hits(hits: Iterable[Hit]) -> dict[Page, Hit]:
    """The best hit of each page, in the order in which hits name the pages."""
    found: dict[Page, Hit] = {}
    for hit in hits:
        for page in hit.pages:
            found.setdefault((_document(hit), page), hit)
    return found


def _document(hit: Hit) -> str:
    return hit.file_id or hit.file_path or hit.file_name  # as in a list of stored documents


def _ndcg(ranks: Iterable[int], right: int) -> float:
    """Normalised discounted cumulative gain with gains of 0 and 1 (Järvelin & Kekäläinen 2002)."""
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(right, DEPTH) + 1))
    return sum(1 / math.log2(rank + 1) for rank in ranks) / best


def _box_rank(question: Question, document: str, hits: Iterable[Hit]) -> int:
    seen: set[Page] = set()
    for hit in hits:
        for page in hit.pages:
            seen.add((_document(hit), page))
            if len(seen) > DEPTH:
                return 0
            answers = [box for number, box in question.boxes if number == page]
            shown = [box for number, box in hit.boxes if number == page]
            if _document(hit) == document and any(_covers(shown, one) for one in answers):
                return len(seen)
    return 0


def _covers(boxes: Iterable[Box], answer: Box) -> bool:
    """Whether the hull of the boxes that touch an answer's box covers half of it.

    The boxes of lines leave gaps, which a box drawn around a list includes.
    """
    touching = [box for box in boxes if _overlap(box, answer) > 0]
    return bool(touching) and _overlap(reduce(Box.union, touching), answer) >= (
        _COVERED * answer.area
    )


def _overlap(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, width) * max(0.0, height)


def figures(scores: Sequence[Score]) -> Figures:
    """Average scores; there is at least one."""
    ranks = [one.rank for one in scores]
    boxes = [one.box_rank for one in scores if one.box_rank is not None]
    return Figures(
        len(scores),
        {k: _share(ranks, k) for k in CUTOFFS},
        sum(1 / rank for rank in ranks if rank) / len(scores),
        sum(one.ndcg for one in scores) / len(scores),
        len(boxes),
        {k: _share(boxes, k) for k in CUTOFFS} if boxes else {},
    )


def _share(ranks: Sequence[int], k: int) -> float:
    return sum(0 < rank <= k for rank in ranks) / len(ranks)


def by_kind(scores: Iterable[Score]) -> dict[str, Figures]:
    """Average scores by the kind of their questions, sorted by kind."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for one in scores:
        groups[one.question.kind].append(one)
    return {kind: figures(group) for kind, group in sorted(groups.items())}


def worst(scores: Iterable[Score]) -> list[Score]:
    """Sort scores: pages not found first, then late ones; ties keep the order of the set."""
    return sorted(scores, key=lambda one: (one.rank != 0, -one.rank, one.ndcg))
