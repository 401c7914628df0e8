"""An evaluation as tables of text, and as JSON values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .evaluate import Evaluation
from .scoring import CUTOFFS, DEPTH, Figures, Found, Score

__all__ = [
    "FIGURE_COLUMNS",
    "answer_of",
    "evaluation_to_json",
    "figure_rows",
    "page_of",
    "rank_of",
    "snippet",
]

_BOX_CUTOFF: Final = 5  # the k of the tables' column of box hits
_SNIPPET: Final = 200  # characters

FIGURE_COLUMNS: Final = (
    "kind",
    "questions",
    *(f"hit@{k}" for k in CUTOFFS),
    f"MRR@{DEPTH}",
    f"nDCG@{DEPTH}",
    f"box@{_BOX_CUTOFF}",
)
"""The columns of :func:`figure_rows`."""


def figure_rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """One row of figures for each kind, and one for all questions."""
    for kind, found in evaluation.kinds.items():
        yield _figure_row(kind or "(none)", found)
    if evaluation.overall:
        yield _figure_row("all", evaluation.overall)


def _figure_row(name: str, found: Figures) -> tuple[str, ...]:
    values = (*(found.hit[k] for k in CUTOFFS), found.mrr, found.ndcg)
    box = f"{found.box_hit[_BOX_CUTOFF]:.3f} ({found.boxed})" if found.boxed else ""
    return name, str(found.questions), *(f"{value:.3f}" for value in values), box


def rank_of(one: Score) -> str:
    """The rank of the first right page, for people."""
    return str(one.rank) if one.rank else f">{DEPTH}"


def answer_of(one: Score) -> str:
    """The document and the pages that answer the question, for people."""
    return page_of(one.question.document, one.question.pages)


def page_of(document: str, pages: Sequence[int]) -> str:
    """A document and its pages, for people."""
    return f"{document}, {'pages' if len(pages) > 1 else 'page'} {', '.join(map(str, pages))}"


def snippet(one: Found) -> str:
    """The beginning of the text of a page's best hit, on one line."""
    text = " ".join(one.hit.text.split())
    return text if len(text) <= _SNIPPET else f"{text[:_SNIPPET]}…"


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values; questions are worst first."""
    return {
        "figures": _figures_to_json(evaluation.overall),
        "kinds": {kind: _figures_to_json(one) for kind, one in evaluation.kinds.items()},
        "questions": [_score_to_json(one) for one in evaluation.scores],
        "failures": [
            {"position": one.position, "code": one.code, "message": str(one)}
            for one in evaluation.errors
        ],
    }


def _figures_to_json(found: Figures | None) -> dict[str, Any] | None:
    if found is None:
        return None
    boxes = {"box_questions": found.boxed, **_by_cutoff("box", found.box_hit)}
    return {
        "questions": found.questions,
        **_by_cutoff("hit", found.hit),
        f"mrr@{DEPTH}": found.mrr,
        f"ndcg@{DEPTH}": found.ndcg,
        **(boxes if found.boxed else {}),
    }


def _by_cutoff(name: str, shares: Mapping[int, float]) -> dict[str, float]:
    return {f"{name}@{k}": share for k, share in shares.items()}


def _score_to_json(one: Score) -> dict[str, Any]:
    question = one.question
    return {
        "position": question.position,
        "question": question.question,
        "document": question.document,
        "pages": list(question.pages),
        "kind": question.kind,
        "rank": one.rank or None,
        f"ndcg@{DEPTH}": one.ndcg,
        **({} if one.box_rank is None else {"box_rank": one.box_rank or None}),
        "found": [
            {
                "file": page.hit.file_path or page.file,
                "page": page.page,
                "right": page.right,
                "score": page.hit.score,
                "text": snippet(page),
            }
            for page in one.found
        ],
    }
