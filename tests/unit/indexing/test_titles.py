"""The name of a document in the vectors of its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from opticalrag.ingest.indexing.titles import add_titles, title_of, titled

from ...builders import WordCounter


class Axes(WordCounter):
    """An embedder that knows one direction for each text."""

    name = "axes"
    dimension = 3
    max_tokens = 256
    directions: ClassVar = {"NIKE 2021": [1.0, 0.0, 0.0], "COSTCO 2021": [0.0, 1.0, 0.0]}

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape: ``[texts, 3]``."""
        return np.array([self.directions[text] for text in texts], np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Shape: ``[3]``."""
        vector: NDArray[np.float32] = self.embed_documents([text])[0]
        return vector


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NIKE_2021_10K.pdf", "NIKE 2021 10K"),
        ("Jahresbericht – Müller & Söhne.PDF", "Jahresbericht Müller Söhne"),
        ("2023.acl-long.386.pdf", "2023 acl long 386"),
        ("年次報告_2024.pdf", "年次報告 2024"),
        ("no extension at all", "no extension at all"),
        (".pdf", ""),
        ("", ""),
    ],
)
def test_a_title_is_the_words_of_the_file_name(name: str, title: str) -> None:
    """Extension and separators are dropped; letters of all scripts stay."""
    assert title_of(name) == title


def test_of_equal_texts_the_one_from_the_named_document_is_nearer() -> None:
    """The vectors turn towards their titles, and keep their length."""
    same = np.array([[0.0, 0.0, 1.0]] * 2, np.float32)
    nike, costco = add_titles(same, ["NIKE 2021", "COSTCO 2021"], Axes())
    question = np.array([0.6, 0.0, 0.8], np.float32)

    assert nike @ question > same[0] @ question > costco @ question
    assert np.linalg.norm([nike, costco], axis=1) == pytest.approx([1, 1])


def test_a_text_without_a_title_keeps_its_vector_and_its_words() -> None:
    """Nodes of other programs may name no file."""
    vectors = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], np.float32)

    assert (add_titles(vectors, ["", ""], Axes()) == vectors).all()
    assert add_titles(vectors, ["", "NIKE 2021"], Axes())[0] == pytest.approx(vectors[0])
    assert (titled("text", ""), titled("text", "NIKE")) == ("text", "NIKE\ntext")
