"""Estimates how many tokens a text has for a model whose tokenizer is not here. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["estimate_tokens"]

# What tokenizers do to text, counted on the high side: they keep short words of English whole and
# cut longer ones, and give digits, marks and letters of other alphabets a token each.
_TOKEN: Final = re.compile(r"[A-Za-z]{1,4}|\S")
_SPECIAL: Final = 2  # tokens around each text
# Measured on 117 excerpts of real files: 1.44 times the tokens of OpenAI's cl100k (median; lowest
# 0.70, a Korean text), and 1.47 times those of all-MiniLM-L6-v2 (lowest 0.53).


def estimate_tokens(text: str) -> int:
    """An estimate that is seldom too low, so that a chunk of this size is read in full."""
    return _SPECIAL + sum(1 for _ in _TOKEN.finditer(text))
