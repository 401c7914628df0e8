"""Flags of answers about stored pages."""

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
    """The flags of an answer to a prompt."""
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
        ("free_ocr", BROKEN * 3, "eos", ()),  # the prompt does not ask for boxes
        ("free_ocr", " ", "eos", ("no_text_found",)),
        ("markdown", "", "length", ("truncated", "no_text_found")),
    ],
)
def test_answers_get_the_flags_of_pages(
    prompt: str, text: str, reason: FinishReason, found: tuple[str, ...]
) -> None:
    """The answer itself is the evidence; a page with cached tokens is not blank."""
    assert flags(prompt, text, reason) == found


@pytest.mark.parametrize(
    "label", ["Net profit", "NET  PROFIT", " net\nprofit ", "\uff4e\uff45\uff54 pro\ufb01t"]
)
def test_the_requested_phrase_is_not_flagged(label: str) -> None:
    """Case, white space and Unicode forms do not matter."""
    assert flags("locate:Net profit", f"<|ref|>{label}<|/ref|>{BOX}") == ()


@pytest.mark.parametrize("label", ["gross profit", "net", "text", ""])
def test_the_box_of_another_phrase_is_flagged(label: str) -> None:
    """Even if the requested phrase is located too."""
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
def test_an_answer_without_a_box_is_flagged_as_not_located(text: str) -> None:
    """The phrase alone locates nothing."""
    assert flags("locate:net profit", text) == (NOT_LOCATED,)


def test_a_truncated_location_gets_two_flags() -> None:
    """One for the truncation and one for the missing box."""
    cut = "<|ref|>net profit<|/ref|><|det|>[[10, 2"
    assert flags("locate:net profit", cut, "length") == ("truncated", NOT_LOCATED)
