"""The language of a text, by py3langid: no network, no pickle, the same answer every time."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

__all__ = ["detect_language"]

_LETTERS: Final = re.compile(r"[^\W\d_]+")
_LEAST: Final = 40
"""Letters below which the classifier guesses: it takes "Table 3" for Swahili."""
_SAMPLE: Final = 300
"""Letters that are looked at: more changes nothing and costs a microsecond each."""


def detect_language(text: str) -> str:
    """The ISO 639-1 code of a text's language; empty where there is too little of it."""
    words: list[str] = []
    letters = 0
    for match in _LETTERS.finditer(text):
        words.append(match[0])
        letters += len(match[0])
        if letters >= _SAMPLE:
            break
    # Scripts of syllables and words say as much with a third of the letters.
    weight = letters if any(c.isascii() for c in "".join(words[:20])) else 3 * letters
    return str(_identifier().classify(" ".join(words))[0]) if weight >= _LEAST else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)  # 0.6 s
    # Without those that have no code of two letters: to them it gives mostly what is garbled.
    identifier.set_languages([code for code in identifier.labels if len(code) == 2])
    return identifier
