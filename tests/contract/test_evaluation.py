"""An evaluation asks a store of every engine."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from opticalrag.ingest.core.errors import StoreError
from opticalrag.ingest.core.records import Box, Point
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.retrievers.evaluation.evaluate import CANDIDATES, evaluate
from opticalrag.retrievers.evaluation.questions import QuestionSet, parse_questions
from opticalrag.retrievers.hybrid_search import search
from opticalrag.retrievers.query import Hit, Query

from .stores import DIMENSION, MODELS

BOX = (0.1, 0.1, 0.9, 0.2)
TEXTS = {
    "pump": ("the pump was exchanged", "the seal leaked", "the oil was renewed"),
    "valve": ("the valve was closed", "the bolt was lost"),
}


class Terms(Bm25Encoder):
    """Under the name that the collections of these tests record."""

    name = MODELS[1].name


def fill(store: QdrantStore, folder: str = "/docs") -> None:
    """Store the documents, one chunk with one box for each page."""
    for name, texts in TEXTS.items():
        for number, (text, sparse) in enumerate(
            zip(texts, Terms().encode_documents(texts), strict=True), start=1
        ):
            payload: dict[str, object] = {
                Field.TEXT: text,
                Field.FILE_ID: f"{folder}/{name}",
                Field.FILE_NAME: f"{name}.pdf",
                Field.FILE_PATH: f"{folder}/{name}.pdf",
                Field.PAGES: [number],
                Field.ORDINAL: number,
                Field.BOXES: [{"page": number, "box": list(BOX)}],
            }
            store.upsert([Point(str(uuid.uuid4()), payload, np.ones(DIMENSION, "f"), sparse)])


def asked(*pairs: tuple[str, str, int]) -> QuestionSet:
    return parse_questions(
        [
            {"question": text, "document": document, "pages": [page], "kind": text.split()[0]}
            for text, document, page in pairs
        ]
    )


def finder(store: QdrantStore):  # type: ignore[no-untyped-def]
    def find(text: str) -> list[Hit]:
        return search(store, MODELS[0], Terms(), Query(text, CANDIDATES, "sparse"))

    return find


def test_questions_are_scored_against_the_store(store: QdrantStore) -> None:
    """Documents are named by file, path or id; worst first; each question is announced."""
    fill(store)
    done: list[None] = []
    questions = asked(
        ("seal leaked", "pump.pdf", 2),
        ("bolt closed", "/docs/valve.pdf", 2),  # an equal hit stands before it
        ("crane", "/docs/pump", 1),
    )
    found = evaluate(questions, store, finder(store), lambda: done.append(None))

    assert [(one.question.position, one.rank > 0) for one in found.scores] == [
        (3, False),
        (2, True),
        (1, True),
    ]
    assert found.scores[2].found[0].hit.boxes == ((2, Box(*BOX)),)
    assert found.overall is not None
    assert found.overall.hit[3] == pytest.approx(2 / 3)
    assert [*found.kinds] == ["bolt", "crane", "seal"]
    assert len(done) == 3


def test_documents_that_are_not_stored_do_not_lose_the_others(store: QdrantStore) -> None:
    """Unknown and ambiguous names are errors of their questions, in the order of the set."""
    fill(store)
    fill(store, "/other")
    questions = asked(("seal", "pump.pdf", 2), ("bolt", "/docs/valve.pdf", 2), ("x", "no.pdf", 1))
    wrong = parse_questions([{}]).errors
    found = evaluate(QuestionSet(questions.questions, wrong), store, finder(store))

    assert [one.question.position for one in found.scores] == [2]
    assert [(error.position, str(error).split(":")[1].strip()) for error in found.errors] == [
        (1, "pages is missing"),
        (1, "2 documents are named 'pump.pdf'"),
        (3, "the document 'no.pdf' is not stored"),
    ]


def test_a_missing_collection_is_an_error(tmp_path: Path) -> None:
    """Not a set of questions without answers."""
    with (
        QdrantStore(tmp_path / "store", collection="none") as store,
        pytest.raises(StoreError, match="there is no collection 'none'"),
    ):
        evaluate(asked(("seal", "pump.pdf", 2)), store, finder(store))
