"""Detects the language of a text with py3langid: offline, deterministic and without pickle."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

__all__ = ["detect_language"]

_LETTERS: Final = re.compile(r"[^\W\d_]+")
_LEAST: Final = 40
"""Letters. With fewer, the classifier guesses: it takes "Table 3" for Swahili."""
_SAMPLE: Final = 300
"""Letters to examine. More change nothing and cost a microsecond each."""


def detect_language(text: str) -> str:
    """The ISO 639-1 code of a text's language; empty if the text is too short."""
    words: list[str] = []
    letters = 0
    for match in _LETTERS.finditer(text):
        words.append(match[0])
        letters += len(match[0])
        if letters >= _SAMPLE:
            break
    # Syllabic and logographic scripts need a third of the letters.
    weight = letters if any(c.isascii() for c in "".join(words[:20])) else 3 * letters
    return str(_identifier().classify(" ".join(words))[0]) if weight >= _LEAST else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)  # 0.6 s
    # Languages without a two-letter code attract mostly garbled text.
    identifier.set_languages([code for code in identifier.labels if len(code) == 2])
    return identifier
