"""The ``eval`` command: measures search on questions whose answers' pages are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..ingest.cli.console import (
    commands,
    emit_json,
    emit_table,
    exit_for,
    note,
    progress_bar,
)
from ..ingest.cli.embedding_options import EmbeddingOptions
from ..ingest.cli.options import JsonOption, StoreOptions, grouped, output_option
from .options import ModeOption, RerankerOption, SkipFlaggedOption

if TYPE_CHECKING:
    from ..ingest.core.config import StoreConfig
    from ..ingest.indexing.given import GivenEmbedder
    from .evaluation.evaluate import Evaluation
    from .evaluation.questions import QuestionSet
    from .query import Hit, Query

__all__ = ["evaluate"]

_WORST: Final = 20  # questions listed on the terminal; JSON and HTML have all


@grouped
def evaluate(
    questions: Annotated[Path, typer.Argument(help="JSON file with questions and their pages.")],
    *,
    mode: ModeOption = "hybrid",
    skip_flagged: SkipFlaggedOption = False,
    embedding: EmbeddingOptions,
    reranker: RerankerOption = None,
    store: StoreOptions,
    html: Annotated[
        Path | None, output_option(help="Write an HTML page with every question.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well search finds the pages that answer your questions.

    docs/evaluation.md describes the file of questions. The exit code is 3 if some questions are
    invalid or name documents that are not stored; the others are measured.
    """
    with commands(as_json):
        from ..ingest.system.files import check_target, replace_file
        from .evaluation.evaluate import CANDIDATES
        from .evaluation.page import evaluation_html
        from .evaluation.questions import read_questions
        from .evaluation.tables import evaluation_to_json
        from .query import Query

        asked = read_questions(questions)
        if html:
            check_target(html)
        query = Query("?", CANDIDATES, mode, skip_flagged=skip_flagged)
        evaluation = _ask(asked, store.config(), query, embedding.embedder(), reranker)
        if html:
            replace_file(html, evaluation_html(evaluation), 0o600)  # it quotes documents
        if as_json:
            emit_json(evaluation_to_json(evaluation))
        else:
            _emit_tables(evaluation)
        for error in evaluation.errors:
            note(f"left out: {error}", style="red")
    raise SystemExit(exit_for(len(evaluation.scores), len(evaluation.errors)))


def _ask(
    asked: QuestionSet,
    store: StoreConfig,
    query: Query,
    given: GivenEmbedder,
    reranker: str | None,
) -> Evaluation:
    from ..ingest.assembly import open_store
    from ..ingest.indexing.given import as_embedder
    from ..ingest.indexing.sparse import Bm25Encoder
    from .evaluation.evaluate import evaluate
    from .hybrid_search import search
    from .rerank import CrossEncoderReranker

    embedder, sparse = as_embedder(given), Bm25Encoder()
    reads = CrossEncoderReranker(reranker) if reranker else None
    with open_store(store) as opened, progress_bar("asking", "questions") as (bar, task):
        bar.update(task, total=len(asked.questions))

        def find(text: str) -> list[Hit]:
            return search(opened, embedder, sparse, replace(query, text=text), reads)

        return evaluate(asked, opened, find, lambda: bar.advance(task))


def _emit_tables(evaluation: Evaluation) -> None:
    """Write the figures and the questions whose right page is not first."""
    from .evaluation.tables import FIGURE_COLUMNS, answer_of, figure_rows, page_of, rank_of

    emit_table(FIGURE_COLUMNS, figure_rows(evaluation))
    late = [one for one in evaluation.scores if one.rank != 1]
    if late:
        rows = []
        for one in late[:_WORST]:
            first = page_of(one.found[0].file, (one.found[0].page,)) if one.found else "nothing"
            rows.append((rank_of(one), answer_of(one), first, one.question.question))
        emit_table(("rank", "answer", "found first", "question"), rows)
    if len(late) > _WORST:
        note(f"{len(late) - _WORST} more questions whose right page is not first: see --html")
