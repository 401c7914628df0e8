"""The prompts DeepSeek-OCR was trained on, by name. Answers to other prompts are unreliable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import ConfigError

__all__ = ["IMAGE_MARK", "LOCATE", "PROMPTS", "Prompt", "prompt_named"]

IMAGE_MARK: Final = "<image>"
"""Stands for the page in a prompt's text."""

LOCATE: Final = "locate:"
"""Prefix of a prompt's name that asks for the boxes of the text after it."""
_LONGEST = 2000  # characters; page, prompt and answer share a context of 8,192 tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt about one page.

    ``text`` contains ``<image>`` in the page's position. The answer to a ``grounded`` prompt
    has boxes (of the ``phrase`` if there is one), to a ``whole`` prompt all text of the page.
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
    """Find or make a prompt.

    Args:
        name: a key of :data:`PROMPTS`, ``"locate:TEXT"`` for the boxes of a phrase, or the full
            text of a prompt that contains ``<image>`` once.

    Raises:
        ConfigError: the name is none of these or too long, or the phrase is empty or has special
            tokens.
    """
    if name in PROMPTS:
        return PROMPTS[name]
    if len(name) > _LONGEST:
        raise ConfigError(f"the prompt has {len(name)} characters: use at most {_LONGEST}")
    if any(0xD800 <= ord(character) < 0xE000 for character in name):
        raise ConfigError(f"the prompt {name!r:.200} has invalid characters: type it again")
    if name.startswith(LOCATE):
        return _locate(name.removeprefix(LOCATE).strip())
    if name.count(IMAGE_MARK) == 1:
        return Prompt("custom", name, "<|grounding|>" in name)
    raise ConfigError(
        f"unknown prompt {name!r}: choose one of {', '.join(PROMPTS)}, {LOCATE}TEXT, or write a"
        f" full prompt that contains {IMAGE_MARK} once"
    )


def _locate(phrase: str) -> Prompt:
    # The tokenizer would read these as special tokens; some have full-width bars.
    if not phrase or "<|" in phrase or "<\uff5c" in phrase or IMAGE_MARK in phrase:
        raise ConfigError(f"cannot locate {phrase!r}: write plain text after {LOCATE}")
    text = f"{IMAGE_MARK}\nLocate <|ref|>{phrase}<|/ref|> in the image."
    return Prompt("locate", text, grounded=True, phrase=phrase)
