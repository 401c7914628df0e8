"""Text to ids and back, from the released tokenizer.json, without the hub's tokenizer code."""

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
    """Ids around the page: the beginning of the sentence and text before, text after."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Tokenizer:
    """The model's tokenizer.

    Args:
        folder: holds tokenizer.json.
        special: tokens the model's code relies on, checked against the file.

    Raises:
        CheckpointMismatch: the file is no tokenizer, or gives special tokens other ids.
        MissingExtra: the tokenizers library is not installed.
    """

    def __init__(self, folder: Path, special: SpecialTokens) -> None:
        path = folder / "tokenizer.json"
        read_json(path)  # bounded, and refuses what is no JSON object
        try:
            from tokenizers import Tokenizer as Backend
        except ImportError as error:
            raise MissingExtra("DeepSeek-OCR", "gpu") from error
        try:
            self._backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises no narrower class
            raise CheckpointMismatch(f"{path} is no tokenizer: {error}") from error
        self.special = special
        for text, expected in (getattr(special, name) for name in special.__slots__):
            if (found := self._backend.token_to_id(text)) != expected:
                raise CheckpointMismatch(
                    f"{path} gives {text!r} the id {found}, and the model knows it as {expected};"
                    " use the tokenizer.json released with the weights"
                )

    def encode(self, text: str) -> list[int]:
        """Ids of a text, with nothing added."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens kept: ``<td>`` and ``<|ref|>`` are among them."""
        return self._backend.decode(list(ids), skip_special_tokens=False)

    def prompt(self, text: str) -> PromptIds:
        """Split a prompt where the page goes. Surrounding white space is dropped, as published.

        Raises:
            ConfigError: the prompt does not name the image exactly once.
        """
        before, mark, after = text.strip().partition(IMAGE)
        if not mark or IMAGE in after:
            raise ConfigError(f"a prompt needs {IMAGE} exactly once, at its start: {text!r:.120}")
        return PromptIds((self.special.bos[1], *self.encode(before)), tuple(self.encode(after)))

    @cached_property
    def numbers(self) -> dict[int, int]:
        """Ids of all tokens that are a number, with its value."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        return {i: int(t) for t, i in vocabulary.items() if t.isascii() and t.isdigit()}
