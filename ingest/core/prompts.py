"""The prompts DeepSeek-OCR was trained on, by name. It is no chatbot: others are a gamble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import ConfigError

__all__ = ["IMAGE_MARK", "LOCATE", "PROMPTS", "Prompt", "prompt_named"]

IMAGE_MARK: Final = "<image>"
"""Stands for the page in a prompt's text."""

LOCATE: Final = "locate:"
_LONGEST = 2000  # characters; the context of 8,192 tokens is shared with page and answer


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of a page.

    ``text`` names the page by ``<image>``. ``grounded`` prompts are answered with boxes, those
    with a ``phrase`` with the boxes of that, and ``whole`` ones with all text of the page.
    """

    name: str
    text: str
    grounded: bool = False
    whole: bool = False
    phrase: str = ""


PROMPTS: Final[Mapping[str, Prompt]] = {
    prompt.name: prompt
    for prompt in (
        Prompt("markdown", "<image>\n<|grounding|>Convert the document to markdown.", True, True),
        Prompt("ocr", "<image>\n<|grounding|>OCR this image.", True, True),
        Prompt("free_ocr", "<image>\nFree OCR.", whole=True),
        Prompt("figure", "<image>\nParse the figure."),
        Prompt("describe", "<image>\nDescribe this image in detail."),
    )
}


def prompt_named(name: str) -> Prompt:
    """The prompt a person means.

    Args:
        name: a key of :data:`PROMPTS`, ``"locate:TEXT"`` for the boxes of a phrase, or a whole
            prompt that contains ``<image>``.

    Raises:
        ConfigError: none of these, an empty phrase, or one with the model's own marks in it.
    """
    if name in PROMPTS:
        return PROMPTS[name]
    if len(name) > _LONGEST:
        raise ConfigError(f"the prompt has {len(name)} characters; at most {_LONGEST} are read")
    if any(0xD800 <= ord(character) < 0xE000 for character in name):
        raise ConfigError(f"the prompt {name!r:.200} has characters that are no text; retype it")
    if name.startswith(LOCATE):
        return _locate(name.removeprefix(LOCATE).strip())
    if name.count(IMAGE_MARK) == 1:
        return Prompt("custom", name, "<|grounding|>" in name)
    raise ConfigError(
        f"prompt is {name!r}; choose one of {', '.join(PROMPTS)}, {LOCATE}TEXT, or write a whole"
        f" prompt that names the page once as {IMAGE_MARK}"
    )


def _locate(phrase: str) -> Prompt:
    # A mark of the vocabulary would be taken for one, also in the wide bars of its own ones.
    if not phrase or "<|" in phrase or "<\uff5c" in phrase or IMAGE_MARK in phrase:
        raise ConfigError(f"nothing can be located by {phrase!r}; write plain text after {LOCATE}")
    text = f"{IMAGE_MARK}\nLocate <|ref|>{phrase}<|/ref|> in the image."
    return Prompt("locate", text, grounded=True, phrase=phrase)
