"""Question sets: what is accepted, and what a wrong question costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.errors import ConfigError, QuestionError
from opticalrag.ingest.core.records import Box
from opticalrag.retrievers.evaluation.questions import Question, parse_questions, read_questions

from ....conftest import SAMPLE

RIGHT = {"question": "Which pump?", "document": "a.pdf", "pages": [2]}


def test_a_question_with_all_fields() -> None:
    """Every field arrives as it was written."""
    box = {"page": 2, "box": [0, 0.1, 1, 0.5]}
    asked = parse_questions([{**RIGHT, "pages": [2, 5, 2], "boxes": [box], "kind": "table"}])

    right = Question(1, "Which pump?", "a.pdf", (2, 5), ((2, Box(0.0, 0.1, 1.0, 0.5)),), "table")
    assert asked.questions == (right,)
    assert asked.errors == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("Which pump?", r"question 2: it is 'Which pump\?'"),
        ({**RIGHT, "question": " "}, "question is ' '"),
        ({"document": "a.pdf", "pages": [1]}, "question is missing"),
        ({**RIGHT, "document": 7}, "document is 7"),
        ({**RIGHT, "page": 3}, "unknown field 'page'"),
        ({**RIGHT, "pages": []}, r"pages is \[\]"),
        ({**RIGHT, "pages": [0]}, r"pages is \[0\]"),
        ({**RIGHT, "pages": [True]}, r"pages is \[True\]"),
        ({**RIGHT, "pages": 3}, "pages is 3"),
        ({**RIGHT, "kind": None}, "kind is missing"),
        ({**RIGHT, "boxes": {}}, "boxes is {}"),
        ({**RIGHT, "boxes": [[0, 0, 1, 1]]}, "a box is"),
        ({**RIGHT, "boxes": [{"page": 3, "box": [0, 0, 1, 1]}]}, "on page 3"),
        ({**RIGHT, "boxes": [{"page": 2, "box": [0, 0, 1]}]}, "a box is"),
        ({**RIGHT, "boxes": [{"page": 2, "box": [0, 0, 612, 792]}]}, "fractions from 0 to 1"),
        ({**RIGHT, "boxes": [{"page": 2, "box": [0, 0, float("nan"), 1]}]}, "fractions"),
        ({**RIGHT, "boxes": [{"page": 2, "box": [0.5, 0, 0.5, 1]}]}, "is empty"),
    ],
)
def test_a_wrong_question_is_named_and_the_others_stay(wrong: object, message: str) -> None:
    """The error says which question it is, counted from 1, and what is wrong."""
    asked = parse_questions([RIGHT, wrong, RIGHT])

    assert [one.position for one in asked.questions] == [1, 3]
    (error,) = asked.errors
    assert error.position == 2
    with pytest.raises(QuestionError, match=message):
        raise error


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["question", "document", "pages", "boxes", "kind", "page", "box"]),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_no_entry_breaks_the_reader(entry: object) -> None:
    """Whatever JSON holds, it becomes a question or an error."""
    asked = parse_questions([entry])

    assert len(asked.questions) + len(asked.errors) == 1


@pytest.mark.parametrize(
    "content",
    ["", "[", "[1]", "{}", '{"questions": []}', '{"questions": {}}', "[" * 100_000, "\xff\xfe"],
)
def test_a_file_that_is_not_a_question_set_is_refused(content: str, tmp_path: Path) -> None:
    """With an error that names the file."""
    file = tmp_path / "set.json"
    file.write_bytes(content.encode("latin-1"))

    with pytest.raises(ConfigError, match=r"set\.json"):
        read_questions(file)


def test_a_deep_value_is_an_error_of_its_question() -> None:
    """A message shows the beginning of a value, however deep or long it is."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    (error,) = parse_questions([{**RIGHT, "pages": deep}]).errors

    assert len(str(error)) < 300


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Before it is parsed."""
    file = tmp_path / "set.json"
    file.write_bytes(b" " * (16 * 1024**2 + 1))

    with pytest.raises(ConfigError, match="split the question set"):
        read_questions(file)


def test_the_sample_questions_are_valid() -> None:
    """The documented example has no wrong question and names the sample report."""
    asked = read_questions(SAMPLE.with_name("questions.json"))

    assert not asked.errors
    assert {one.document for one in asked.questions} == {SAMPLE.name}
    assert max(page for one in asked.questions for page in one.pages) <= 7
    assert json.loads(SAMPLE.with_name("questions.json").read_text("utf-8"))["about"]
