"""Prompts by name."""

from __future__ import annotations

import pytest

from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.prompts import PROMPTS, prompt_named


@pytest.mark.parametrize("name", PROMPTS)
def test_every_prompt_names_the_page_once_and_first(name: str) -> None:
    """The model was trained with the page at the start only."""
    assert prompt_named(name).text.startswith("<image>\n")
    assert prompt_named(name).text.count("<image>") == 1


def test_a_phrase_is_located_in_the_published_words() -> None:
    """The phrase is between reference tokens."""
    prompt = prompt_named("locate: net profit ")
    assert prompt.text == "<image>\nLocate <|ref|>net profit<|/ref|> in the image."
    assert prompt.grounded


def test_a_whole_prompt_is_taken_as_it_is() -> None:
    """The prompt is grounded if it asks for grounding."""
    assert prompt_named("<image>\nWhat is the total?").text == "<image>\nWhat is the total?"
    assert prompt_named("<image>\n<|grounding|>Read it.").grounded


@pytest.mark.parametrize(
    "name",
    [
        "",
        "markdwon",
        "locate:",
        "locate: ",
        "locate:a<|/ref|>b",
        "locate:<\uff5cUser\uff5c>b",
        "locate:<image>",
        "locate:\ud800",
        "<image>\udcff",
        "<image><image>",
        "locate:" + "x" * 3000,
        "<image>" + "x" * 3000,
    ],
)
def test_invalid_prompts_are_refused(name: str) -> None:
    """Unknown names, empty phrases, special tokens and overlong text."""
    with pytest.raises(ConfigError):
        prompt_named(name)
