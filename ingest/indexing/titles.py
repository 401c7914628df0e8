"""Gives the vectors of a chunk the name of its document.

Documents of one kind are written alike: the chunks of twenty annual reports differ less in their
words than in the company. A question names the company, a chunk seldom does, the file name does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ..core.protocols import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add_titles", "title_of", "titled"]

# Chosen with benchmarks/retrieval/ranking.py: 0.3 to 0.6 differ by a question or two. Less does not
# find the document, more finds the document and the wrong page.
_TITLE_WEIGHT: Final = 0.4

_EXTENSION: Final = re.compile(r"\.[^.\s]{1,8}$")
_WORD: Final = re.compile(r"[^\W_]+")


def title_of(file_name: str) -> str:
    """The words of a file name: ``"NIKE_2021_10K.pdf"`` gives ``"NIKE 2021 10K"``."""
    return " ".join(_WORD.findall(_EXTENSION.sub("", file_name)))


def titled(text: str, title: str) -> str:
    """A text below its title, for lexical vectors."""
    return f"{title}\n{text}" if title else text


def add_titles(
    vectors: NDArray[np.float32], titles: Sequence[str], embedder: Embedder
) -> NDArray[np.float32]:
    """Turn the vectors of texts towards those of their titles.

    A title in front of the text would cost tokens of every chunk, and weigh less the longer the
    chunk is. Shape: ``[texts, dimension]``, unit length, as given and as returned. A text whose
    title is empty keeps its vector.
    """
    names = sorted({title for title in titles if title})
    if not names:
        return vectors
    found = dict(zip(names, embedder.embed_documents(names), strict=True))
    nothing = np.zeros(vectors.shape[1], np.float32)
    mixed = vectors + np.float32(_TITLE_WEIGHT) * np.stack([found.get(t, nothing) for t in titles])
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
