"""Running text from words: line ends, scripts, clean characters."""

from __future__ import annotations

import pytest

from opticalrag.ingest.engines.layout.text import (
    clean,
    code_text,
    is_rtl,
    rows_of,
    running_text,
    vocabulary,
)
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def line(text: str, number: int, x: float = 0.0, y: float | None = None) -> list[LayoutWord]:
    """Return a line of words with letters of 5 x 10 points."""
    words = []
    top = 12.0 * number if y is None else y
    for part in text.split():
        width = 5.0 * len(part)
        words.append(LayoutWord(part, (x, top, x + width, top + 10), 10.0, number, 0))
        x += width + 5.0
    return words


def joined(*texts: str, known: frozenset[str] = frozenset()) -> str:
    words = [p for number, text in enumerate(texts) for p in line(text, number)]
    return running_text(rows_of(words), known)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["two", "lines"], "two lines"),
        (["a hyphen-", "ated word"], "a hyphenated word"),
        (["a soft\u00ad", "ened one"], "a softened one"),
        (["Jean-", "Paul"], "Jean-Paul"),
        (["a state-of-", "the-art one"], "a state-of-the-art one"),
        (["pages 10-", "12"], "pages 10-12"),
        (["a dash -", "here"], "a dash - here"),
        (["中文没有", "空格"], "中文没有空格"),
        (["한국어는", "띄어쓰기"], "한국어는 띄어쓰기"),
    ],
)
def test_line_ends(lines: list[str], expected: str) -> None:
    """Lines are joined as a reader joins them, and hyphenated words are restored."""
    assert joined(*lines) == expected


def test_compound_known_from_the_page_keeps_its_hyphen() -> None:
    """A compound with a hyphen elsewhere on the page keeps its hyphen."""
    known = vocabulary([*line("a self-contained box", 0)])
    assert joined("it is self-", "contained", known=known) == "it is self-contained"


def test_parts_of_cut_words_are_not_vocabulary() -> None:
    """A hyphenated word does not prove that its halves are words."""
    words = [*line("Ef-", 0), *line("fects of it", 1)]
    assert vocabulary(words) == {"of", "it"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\ufb03cient \ufb02ow", "efficient flow"),
        ("x² stays", "x² stays"),
        ("a\x00b\x07c\ufeff", "abc"),
        ("\uf0b7 item", "• item"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    """Ligatures are spelled out and noise is dropped. Other characters keep their form."""
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("base", "mark", "expected"),
    [("10", "6", "10⁶"), ("km", "2", "km²"), ("claim", "12", "claim 12"), ("May", "th", "Mayth")],
)
def test_superscripts(base: str, mark: str, expected: str) -> None:
    """Exponents stay exponents. Footnote marks do not become part of a word."""
    word = LayoutWord(base, (0, 0, 20, 10), 10.0, 0, 0)
    raised = LayoutWord(mark, (20, 0, 25, 6), 6.0, 0, 0, glued=True, raised=True)
    assert running_text(rows_of([word, raised])) == expected


def test_lines_side_by_side_are_one_row() -> None:
    """Lines at the same height are read from left to right, whatever their order in the file."""
    words = [*line("value", 0, x=200, y=0), *line("label", 1, x=0, y=1)]
    assert [row.text for row in rows_of(words)] == ["label value"]


def test_right_to_left_rows_read_from_the_right() -> None:
    """In right-to-left text the word on the right comes first."""
    words = [*line("שלום", 0, x=0, y=0), *line("אבא", 1, x=200, y=0)]
    assert [row.text for row in rows_of(words)] == ["אבא שלום"]
    assert is_rtl("abc שלום אבא")
    assert not is_rtl("12345")


@pytest.mark.parametrize(
    ("gap", "text"), [(0.2, "港の夜番"), (3.0, "港の夜番"), (9.0, "港 の 夜 番")]
)
def test_glyphs_of_one_line_are_joined(gap: float, text: str) -> None:
    """Each is a line of its own in some files; cells are farther apart."""
    glyphs = [
        LayoutWord(c, (x, 0.0, x + 10.0, 10.0), 10.0, i, 0)
        for i, c in enumerate("港の夜番")
        for x in [i * (10.0 + gap)]
    ]
    assert running_text(rows_of(glyphs)) == text


def test_code_keeps_lines_and_indentation() -> None:
    """The indentation is that of the page."""
    words = [*line("def f():", 0), *line("return 1", 1, x=20)]
    assert code_text(rows_of(words)) == "def f():\n    return 1"
