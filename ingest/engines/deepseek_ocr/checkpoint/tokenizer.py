"""The released tokenizer.json, read by the ``tokenizers`` library without code from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ....core.errors import CheckpointMismatch, ConfigError, MissingExtra
from .family import SpecialTokens
from .headers import read_json

__all__ = ["PromptIds", "Tokenizer"]

IMAGE = "<image>"


@dataclass(frozen=True, slots=True)
class PromptIds:
    """Ids of a prompt before the page, starting with begin-of-sentence, and after it."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Tokenizer:
    """The model's tokenizer.

    Args:
        folder: holds tokenizer.json.
        special: tokens that the code relies on; checked against the file.

    Raises:
        CheckpointMismatch: the file is not a tokenizer, or special tokens have other ids.
        MissingExtra: the ``tokenizers`` library is not installed.
    """

    def __init__(self, folder: Path, special: SpecialTokens) -> None:
        path = folder / "tokenizer.json"
        read_json(path)  # limits the size and refuses other content than a JSON object
        try:
            from tokenizers import Tokenizer as Backend
        except ImportError as error:
            raise MissingExtra("DeepSeek-OCR", "gpu") from error
        try:
            self._backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise CheckpointMismatch(f"invalid tokenizer {path}: {error}") from error
        self.special = special
        for text, expected in (getattr(special, name) for name in special.__slots__):
            if (found := self._backend.token_to_id(text)) != expected:
                raise CheckpointMismatch(
                    f"wrong tokenizer {path}: {text!r} has id {found}, expected {expected}; use the"
                    " tokenizer.json released with the weights"
                )

    def encode(self, text: str) -> list[int]:
        """Encode text without adding special tokens."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids, including special tokens such as ``<td>`` and ``<|ref|>``."""
        return self._backend.decode(list(ids), skip_special_tokens=False)

    def prompt(self, text: str) -> PromptIds:
        """Encode a prompt without white space around it, as in the published code.

        Raises:
            ConfigError: the prompt does not contain ``<image>`` exactly once.
        """
        before, mark, after = text.strip().partition(IMAGE)
        if not mark or IMAGE in after:
            raise ConfigError(f"invalid prompt {text!r:.120}: it needs {IMAGE} exactly once")
        return PromptIds((self.special.bos[1], *self.encode(before)), tuple(self.encode(after)))

    @cached_property
    def numbers(self) -> dict[int, int]:
        """Ids of all tokens that consist of digits, with their values."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        return {i: int(t) for t, i in vocabulary.items() if t.isascii() and t.isdigit()}
