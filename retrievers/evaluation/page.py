"""Renders an evaluation as one HTML page. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from ...ingest.reports.markup import html_page, html_table
from .evaluate import Evaluation
from .scoring import Found, Score
from .tables import FIGURE_COLUMNS, answer_of, figure_rows, page_of, rank_of, snippet

__all__ = ["evaluation_html"]

_STYLE: Final = (
    "th{white-space:nowrap}ol{margin:0;padding-left:1.6em}.right summary{font-weight:bold}"
    "small,details p{color:#555;font-size:12px;margin:0}"
    ".first{background:#d9f0dc}.later{background:#fbf0c8}.missed{background:#f6d3cf}"
)
_LEGEND: Final = (
    "<p>hit@k: share of questions with a right page among the first k pages. MRR: mean of 1/rank of"
    " the first right page. box@k: share of questions with boxes, in brackets, whose box is in a"
    " hit on the first k pages. Right pages are bold.</p>"
)
_MAX_QUESTIONS: Final = 1000  # that a browser shows at once; further ones are counted
_SHOWN: Final = 5  # found pages for each question


def evaluation_html(evaluation: Evaluation) -> str:
    """Render an evaluation: figures by kind, then the questions, worst first."""
    return html_page("Search evaluation", _parts(evaluation), _STYLE)


def _parts(evaluation: Evaluation) -> Iterator[str]:
    yield html_table(FIGURE_COLUMNS, figure_rows(evaluation))
    yield _LEGEND
    if evaluation.errors:
        yield f"<h2>Questions left out: {len(evaluation.errors)}</h2>"
        yield html_table(("problem",), [(str(e),) for e in evaluation.errors[:_MAX_QUESTIONS]])
    more = len(evaluation.scores) - _MAX_QUESTIONS
    yield "<h2>Questions, worst first</h2>"
    columns = ("rank", "question (number, kind)", "answer", "found")
    yield f"<table><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr>"
    yield from map(_row, evaluation.scores[:_MAX_QUESTIONS])
    yield "</table>"
    if more > 0:
        yield f"<p>{more} more questions are not shown.</p>"


def _row(one: Score) -> str:
    question = one.question
    colour = "missed" if not one.rank else "first" if one.rank == 1 else "later"
    found = "".join(map(_found, one.found[:_SHOWN]))
    label = f"{question.position}{f', {question.kind}' if question.kind else ''}"
    return (
        f'<tr><td class="{colour}">{escape(rank_of(one))}</td>'
        f"<td>{escape(question.question)} <small>({escape(label)})</small></td>"
        f"<td>{escape(answer_of(one))}</td><td><ol>{found}</ol></td></tr>"
    )


def _found(page: Found) -> str:
    name = escape(page_of(page.file, (page.page,)))
    mark = ' class="right"' if page.right else ""
    text = escape(snippet(page))
    return f"<li{mark}><details><summary>{name}</summary><p>{text}</p></details></li>"
