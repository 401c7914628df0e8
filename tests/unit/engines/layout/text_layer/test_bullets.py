"""Signs without a meaning at the beginning of lines are bullets; none is a minus."""

from __future__ import annotations

import pytest

from opticalrag.ingest.engines.layout.text_layer.bullets import with_bullets
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def word(text: str, x: float, row: int, line: int) -> LayoutWord:
    return LayoutWord(text, (x, 14.0 * row, x + 5.0 * len(text), 14.0 * row + 10), 10.0, line, 0)


def items(
    *texts: str, x: float = 50.0, gap: float = 12.0, sign: str = "\ufffd"
) -> list[LayoutWord]:
    """Return rows of a sign and a text, each a line of its own."""
    words = []
    for row, text in enumerate(texts):
        words.append(word(sign, x, row, 2 * row))
        words.append(word(text, x + 5 * len(sign) + gap, row, 2 * row + 1))
    return words


def texts_of(words: list[LayoutWord]) -> list[str]:
    return [w.text for w in with_bullets(words)]


@pytest.mark.parametrize("sign", ["\ufffd", "\ufffd\ufffd", "\ue123", "\x0f"])
@pytest.mark.parametrize("gap", [3.0, 12.0, 30.0])
@pytest.mark.parametrize("x", [0.0, 300.0])
def test_signs_that_are_lines_of_their_own_are_bullets(sign: str, gap: float, x: float) -> None:
    """Also in the second column of a page."""
    left = [word("left", 20.0, row, 50 + row) for row in range(2)] if x else []
    words = [*left, *items("Ropes", "Lamps", x=x, gap=gap, sign=sign)]
    assert texts_of(words)[len(left) :] == ["•", "Ropes", "•", "Lamps"]


@pytest.mark.parametrize(
    "words",
    [
        items("Ropes"),
        items("0.93", "0.82"),
        items(".5", "7"),
        items("Ropes", "Lamps", gap=0.5),
        items("Ropes", "Lamps", gap=90.0),
        [word("Yes", 20.0, 0, 8), word("\ufffd", 40.0, 0, 9), word("No", 50.0, 0, 10)] * 2,
    ],
)
def test_other_signs_stay(words: list[LayoutWord]) -> None:
    """One alone, before a number, touching its text, far from it, or between words."""
    assert with_bullets(words) == words
