"""Tokenizers of embedding models, which count tokens as the models do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["load_tokenizer", "valid_unicode"]


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model's folder, without its truncation and padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")
