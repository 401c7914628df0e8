"""Letters set apart become words by their gaps alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.spaced_letters import closed_up
from opticalrag.ingest.engines.layout.text import rows_of, running_text
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def spaced(text: str, gap: float, size: float = 10.0, between: float = 0.0) -> list[LayoutWord]:
    """Return letters that are set apart by a gap, and by a wider one at each space."""
    words, x = [], 0.0
    for char in text:
        if char == " ":
            x += between
            continue
        words.append(LayoutWord(char, (x, 0.0, x + 6.0, size), size, 0, 0))
        x += 6.0 + gap
    return words


@pytest.mark.parametrize(
    ("text", "gap", "between"),
    [
        ("ANNUAL REPORT", 4.0, 6.0),
        ("LIGHTHOUSE", 8.0, 0.0),
        ("DER NEUE TURM", 3.0, 5.0),
        ("REPORT 2031", 4.0, 6.0),
        ("FOG & RAIN", 3.0, 5.0),
        ("Annual Report", 4.0, 6.0),
        ("Introduction", 7.0, 0.0),
        ("Das Licht ist aus", 3.0, 5.0),
        ("harbour lights", 5.0, 7.0),
        ("ÉTÉ À TERRE", 4.0, 6.0),
        ("Отчёт о погоде", 4.0, 6.0),
    ],
)
def test_letters_set_apart_are_words(text: str, gap: float, between: float) -> None:
    """Wider gaps between them are spaces, also where they split the line in the source."""
    letters = spaced(text, gap, between=between)
    assert running_text(rows_of(letters)) == text
    lines, last = [], letters[0]
    for letter in letters:
        new = letter.rect[0] - last.rect[2] > gap + 1
        lines.append(replace(letter, line=lines[-1].line + new if lines else 0))
        last = letter
    assert running_text(rows_of(lines)) == text


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("LIGHT", 30.0),
        ("JRR", 3.0),
        ("ABCDEFG", 3.0),
        ("XXXXXX", 3.0),
        ("NSTRPC", 3.0),
        ("abcdef", 3.0),
        ("axbycz", 3.0),
        ("Pxyz", 3.0),
        ("AaBbDd", 3.0),
        ("20312032", 3.0),
        ("守灯人每晚", 3.0),
    ],
)
def test_other_single_letters_stay(text: str, gap: float) -> None:
    """Columns, initials, labels, marks, variables, genes and figures."""
    assert [w.glued for w in closed_up(spaced(text, gap))] == [False] * len(text)


def test_letters_that_touch_keep_their_spaces() -> None:
    """Some programs draw each letter on its own. Their gaps are rounding."""
    letters = spaced("FOG OVER", 0.01, between=5.0)
    drawn = [replace(w, glued=i not in (0, 3)) for i, w in enumerate(letters)]
    assert running_text(rows_of(drawn)) == "FOG OVER"


@given(st.lists(st.text("ABEOabeo12&x", min_size=1, max_size=3), max_size=12))
def test_no_letter_is_changed(texts: list[str]) -> None:
    """Only the spaces between them are."""
    words = [LayoutWord(t, (9 * i, 0, 9 * i + 5, 9), 9.0, 0, 0) for i, t in enumerate(texts)]
    closed = closed_up(words)
    assert [replace(w, glued=False) for w in closed] == words
