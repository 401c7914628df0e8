"""An evaluation as a page, as tables and as JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from opticalrag.ingest.core.errors import QuestionError
from opticalrag.retrievers.evaluation.evaluate import Evaluation
from opticalrag.retrievers.evaluation.page import evaluation_html
from opticalrag.retrievers.evaluation.questions import Question
from opticalrag.retrievers.evaluation.scoring import score, worst
from opticalrag.retrievers.evaluation.tables import evaluation_to_json, figure_rows
from opticalrag.retrievers.query import Hit

EVIL = "<script src=http://a/>alert('x')</script>\"&"


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def evaluated(text: str, count: int = 1, kind: str = "") -> Evaluation:
    hits = [Hit("id", 0.5, text * 50, text, text, text, (1,))]
    scores = [
        score(Question(n + 1, text, text, (1 + n % 2,), (), kind), text, hits) for n in range(count)
    ]
    return Evaluation(tuple(worst(scores)), (QuestionError(text, 99),))


def test_nothing_of_a_document_or_question_becomes_markup() -> None:
    """Neither elements nor addresses, and the page's policy forbids scripts and requests."""
    text = evaluation_html(evaluated(EVIL, 2, EVIL))
    tags = Tags(text)

    assert not tags.names & {"script", "link", "img", "iframe", "a"}
    assert not tags.attributes & {"src", "href", "onclick"}
    assert "default-src &#x27;none&#x27;" in text
    assert text.count("&lt;script") > 5


def test_a_page_of_many_questions_is_bounded() -> None:
    """Further questions are counted."""
    text = evaluation_html(evaluated("a", 1003))

    assert text.count("<li") == 1000
    assert "3 more questions are not shown" in text


def test_rows_by_kind_and_of_all() -> None:
    """Kinds have rows if there are any; without scores there are no rows."""
    (row,) = figure_rows(evaluated("a", 2))
    assert row == ("all", "2", "0.500", "0.500", "0.500", "0.500", "0.500", "0.500", "")
    assert [row[0] for row in figure_rows(evaluated("a", 2, "table"))] == ["table", "all"]
    assert list(figure_rows(Evaluation(()))) == []


def test_json_has_every_question() -> None:
    """With what was found instead, and null where nothing was."""
    value = json.loads(json.dumps(evaluation_to_json(evaluated("a", 2))))

    missed, first = value["questions"]
    assert (missed["rank"], first["rank"]) == (None, 1)
    assert first["found"] == [
        {"file": "a", "page": 1, "right": True, "score": 0.5, "text": "a" * 50}
    ]
    assert value["failures"] == [{"position": 99, "code": "question", "message": "a"}]
    assert value["figures"]["hit@1"] == 0.5
    assert evaluation_to_json(Evaluation(()))["figures"] is None
