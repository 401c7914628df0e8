"""Asks the questions of a set and scores what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...ingest.core.errors import QuestionError, StoreError
from ...ingest.documents.sources import location_of
from ...ingest.store.store import QdrantStore
from ...ingest.store.stored_documents import StoredDocument
from ..query import Hit
from .questions import Question, QuestionSet
from .scoring import Figures, Score, by_kind, figures, score, worst

__all__ = ["CANDIDATES", "Evaluation", "evaluate"]

CANDIDATES: Final = 50
"""Hits to ask for: several may be on one page, and ten pages are ranked."""
_NAMED: Final = 3  # documents listed in a message


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of the questions, worst first, and one error for each question without one."""

    scores: tuple[Score, ...]
    errors: tuple[QuestionError, ...] = ()

    @property
    def overall(self) -> Figures | None:
        """Means over all scored questions; None: no question could be scored."""
        return figures(self.scores) if self.scores else None

    @property
    def kinds(self) -> dict[str, Figures]:
        """Means by kind; empty if no question has a kind."""
        groups = by_kind(self.scores)
        return {} if set(groups) <= {""} else groups


def evaluate(
    asked: QuestionSet,
    store: QdrantStore,
    search: Callable[[str], Sequence[Hit]],
    on_question: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Ask all questions and score the pages found.

    Args:
        asked: the questions, from :func:`.questions.read_questions`.
        store: where the documents are.
        search: returns the hits of a question, best first; :data:`CANDIDATES` are enough.
        on_question: called after each question.

    Raises:
        StoreError: the collection does not exist, or the store failed.

    Example:
        >>> def find(text):
        ...     return search(store, embedder, sparse, Query(text, CANDIDATES))
        >>> evaluate(read_questions(Path("questions.json")), store, find).overall.hit[5]
    """
    if not store.exists():
        raise StoreError(
            f"there is no collection {store.collection!r} at {store.location}: ingest first"
        )
    documents = store.documents()
    scores: list[Score] = []
    errors = [*asked.errors]
    for question in asked.questions:
        try:
            document = _document(question, documents)
        except QuestionError as error:
            errors.append(error)
        else:
            scores.append(score(question, document, search(question.question)))
        on_question()
    errors.sort(key=lambda error: error.position)
    return Evaluation(tuple(worst(scores)), tuple(errors))


def _document(question: Question, documents: Iterable[StoredDocument]) -> str:
    """The id of the stored document that a question names by id, path or file name."""
    names = {question.document, location_of(Path(question.document))}
    found = [
        one for one in documents if names & {one.document_id, one.file_path, one.file_name} - {""}
    ]
    if not found:
        raise QuestionError.at(
            question.position, f"the document {question.document!r} is not stored: ingest it"
        )
    if len(found) > 1:
        listed = ", ".join(one.file_path or one.document_id for one in found[:_NAMED])
        raise QuestionError.at(
            question.position,
            f"{len(found)} documents are named {question.document!r}: name one of {listed}",
        )
    return found[0].document_id
