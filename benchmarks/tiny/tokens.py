"""The small tokenizer in the released file format: one token per character.

With word pieces, a small model would have to learn hundreds of them, each from letters in several
vision tokens. Letters are few, and each is in one vision token. The words of the grammar and the
prompts, which are not on the page, are one token each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import TINY_SYNTHETIC

__all__ = ["FIRST_LETTER", "VOCABULARY", "write_tokenizer"]

_SPECIAL: Final = TINY_SYNTHETIC.special
# In order of their ids: those that the package uses, then the other released ones.
_NAMES: Final = (
    *(_SPECIAL.bos[0], _SPECIAL.eos[0], "<｜▁pad▁｜>", _SPECIAL.image[0], _SPECIAL.det[0]),
    *(_SPECIAL.cell[0], _SPECIAL.cell_end[0]),
    *("<|ref|>", "<|/ref|>", "<|/det|>", "<|grounding|>", "<tr>", "</tr>"),
)
_WORDS: Final = (
    *("sub_title", "title", "text", "image_caption", "image", "table", "[[", "]]"),
    *("<table>", "</table>", "<center>", "</center>"),
    *("Free OCR.", "Convert the document to markdown.", "Locate ", " in the image."),
)
_LETTERS: Final = tuple(sorted(pre_tokenizers.ByteLevel.alphabet()))

FIRST_LETTER: Final = len(_NAMES) + _LETTERS.index("!")
"""Id of the first printable character of ASCII; the other 93 follow."""

VOCABULARY: Final = len(_NAMES) + len(_LETTERS) + len(_WORDS)


def write_tokenizer(path: Path) -> None:
    """Write tokenizer.json."""
    vocabulary = {text: number for number, text in enumerate((*_NAMES, *_LETTERS, *_WORDS))}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in _NAMES])
    backend.add_tokens([AddedToken(text, normalized=False) for text in _WORDS])
    backend.save(str(path))
