"""What is held against an answer about a stored page."""

from __future__ import annotations

import pytest

from opticalrag.ingest.core.prompts import prompt_named
from opticalrag.ingest.core.vision import FinishReason, Transcript
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.retrievers.answer_quality import NOT_LOCATED, OTHER_PHRASE, assess_answer

BOX = "<|det|>[[100, 200, 300, 400]]<|/det|>"
WHOLE = "<|ref|>text<|/ref|>" + BOX + "\nThe pump runs.\n\n"
BROKEN = "<|ref|>text<|/ref|><|det|>[[100, 200, 3<|/det|>\nThe pump runs.\n\n"


def flags(prompt: str, text: str, reason: FinishReason = "eos") -> tuple[str, ...]:
    """Of an answer to a prompt."""
    asked = prompt_named(prompt)
    answer = Transcript((), text, reason, asked.name, asked.text, 4, 7, 0.1)
    return assess_answer(asked, answer, read_grounding(text, truncated=reason != "eos"))


@pytest.mark.parametrize(
    ("prompt", "text", "reason", "found"),
    [
        ("markdown", WHOLE, "eos", ()),
        ("free_ocr", "The pump runs.", "eos", ()),
        ("markdown", WHOLE, "loop", ("loop",)),
        ("free_ocr", "The pump", "length", ("truncated",)),
        ("markdown", WHOLE * 12, "loop", ("drift_loop",)),
        ("markdown", BROKEN * 3, "eos", ("broken_markup",)),
        ("free_ocr", BROKEN * 3, "eos", ()),  # no boxes were asked for
        ("free_ocr", " ", "eos", ("no_text_found",)),
        ("markdown", "", "length", ("truncated", "no_text_found")),
    ],
)
def test_an_answer_is_doubted_as_a_page_is(
    prompt: str, text: str, reason: FinishReason, found: tuple[str, ...]
) -> None:
    """By what it says itself; a page that has tokens is not empty."""
    assert flags(prompt, text, reason) == found


@pytest.mark.parametrize(
    "label", ["Net profit", "NET  PROFIT", " net\nprofit ", "\uff4e\uff45\uff54 pro\ufb01t"]
)
def test_the_phrase_that_was_asked_for_is_not_doubted(label: str) -> None:
    """However it is written: case, white space, and forms of letters."""
    assert flags("locate:Net profit", f"<|ref|>{label}<|/ref|>{BOX}") == ()


@pytest.mark.parametrize("label", ["gross profit", "net", "text", ""])
def test_the_place_of_another_phrase_is_doubted(label: str) -> None:
    """Also where the right one stands beside it."""
    other = f"<|ref|>{label}<|/ref|>{BOX}"
    assert flags("locate:net profit", other) == (OTHER_PHRASE,)
    assert flags("locate:net profit", f"<|ref|>net profit<|/ref|>{BOX}{other}") == (OTHER_PHRASE,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is not on the page.",
        "<|ref|>net profit<|/ref|><|det|>[[]]<|/det|>",
        "<|ref|>net profit<|/ref|><|det|>[[300, 400, 300, 400]]<|/det|>",
        "<|ref|>net profit<|/ref|>",
    ],
)
def test_an_answer_without_a_place_says_that_nothing_was_located(text: str) -> None:
    """The phrase alone is no place."""
    assert flags("locate:net profit", text) == (NOT_LOCATED,)


def test_a_location_that_was_cut_short_is_doubted_twice() -> None:
    """Doubted for its end, and for what it lacks."""
    cut = "<|ref|>net profit<|/ref|><|det|>[[10, 2"
    assert flags("locate:net profit", cut, "length") == ("truncated", NOT_LOCATED)
