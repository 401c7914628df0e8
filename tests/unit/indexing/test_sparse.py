from __future__ import annotations

import pytest

from opticalrag.ingest.indexing.sparse import Bm25Encoder


def shared(question: str, text: str) -> int:
    encoder = Bm25Encoder()
    indices, _ = encoder.encode_query(question)
    found, _ = encoder.encode_documents([text])[0]
    return len(set(indices) & set(found))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("replaced pumps", "The pump was replaced"),
        ("350", "It ran for 350 hours"),
        ("12.5 %", "a loss of 12.5 %"),
        ("SQL0913N", "Error SQL0913N was logged"),
        ("보험금 지급", "코로나 보험금 지급문제 및 개선과제 보험금"),
        ("天気", "大阪の天気は良い"),
        ("支付", "保险金支付问题"),
        ("الإنتاجية", "تحسين الإنتاجية وحل المشكلات"),
        ("GRÖSSE größe", "Die Größe"),
    ],
)
def test_a_word_of_the_question_is_found_in_the_text(question: str, text: str) -> None:
    """Stems, numbers, identifiers and unspaced scripts match."""
    assert shared(question, text) >= 1


def test_a_term_weighs_by_its_frequency_in_the_text() -> None:
    """In a query all terms weigh the same."""
    encoder = Bm25Encoder()
    _, values = encoder.encode_documents(["pump pump pump valve"])[0]
    _, asked = encoder.encode_query("pump valve 2024")

    assert max(values) > min(values)
    assert asked == [1.0] * 3


def test_empty_and_broken_texts_can_be_encoded() -> None:
    """Texts without words do not raise."""
    encoder = Bm25Encoder()

    assert encoder.encode_query("") == ([], [])
    assert encoder.encode_documents(["\ud800"]) is not None
