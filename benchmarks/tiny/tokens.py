"""The small tokenizer: byte-level BPE in the released file format, with its own ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from opticalrag.ingest.deepseek_ocr.family import TINY_SYNTHETIC
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from .layout import lay_out
from .lexicon import WORDS
from .targets import free_ocr, markdown

__all__ = ["VOCABULARY", "train_tokenizer"]

VOCABULARY: Final = 1536
_SPECIAL: Final = TINY_SYNTHETIC.special
# In the order of their ids: those the package knows, then the rest of the released ones.
_NAMES: Final = (
    *(_SPECIAL.bos[0], _SPECIAL.eos[0], "<｜▁pad▁｜>", _SPECIAL.image[0], _SPECIAL.det[0]),
    *(_SPECIAL.cell[0], _SPECIAL.cell_end[0]),
    *("<|ref|>", "<|/ref|>", "<|/det|>", "<|grounding|>", "<tr>", "</tr>"),
)
_PAGES: Final = 1500


def train_tokenizer(path: Path) -> None:
    """Learn merges from drawn pages and write tokenizer.json."""
    backend = Tokenizer(models.BPE())
    # A word after a line's end is written with the space it has elsewhere, and read without:
    # else each word would be two tokens to learn.
    backend.normalizer = normalizers.Replace("\n", "\n ")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("\n ", "\n")])
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in _NAMES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_texts(), trainer)
    backend.save(str(path))


def _texts() -> Iterator[str]:
    for number in range(_PAGES):
        sheet = lay_out(np.random.default_rng([7, number]), 3)
        yield free_ocr(sheet).text
        yield markdown(sheet).text
        yield free_ocr(lay_out(np.random.default_rng([8, number]), 2)).text
    yield "\n".join(WORDS)
