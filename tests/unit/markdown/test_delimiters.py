from __future__ import annotations

import pytest

from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.markdown.delimiters import enclosure, inner_spans, spans_that_fit

CODE, FORMULA, TEXT = BlockKind.CODE, BlockKind.FORMULA, BlockKind.TEXT


def inline(text: str) -> list[str]:
    return [text[s.left : s.right] for s in inner_spans(TEXT, text, 0, len(text))]


def test_a_fence_is_opened_again_with_its_language() -> None:
    """Every piece of a listing keeps its syntax highlighting."""
    found = enclosure(CODE, "```python\nx = 1\n```")

    assert found is not None
    assert (found.opens, found.closes) == ("```python\n", "\n```")


def test_a_fence_that_was_cut_off_is_closed() -> None:
    """A listing without a closing fence gets one."""
    found = enclosure(CODE, "~~~\nx = 1\ny = 2")

    assert found is not None
    assert found.closes == "\n~~~"
    assert found.end == len("~~~\nx = 1\ny = 2")


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("a $x + y$ b", ["$x + y$"]),
        ("it costs $5 and $6 more", []),
        ("see [the page](http://a.b/c) now", ["[the page](http://a.b/c)"]),
        ("a **bold move** here", ["**bold move**"]),
        ("`code with $dollars$` and \\(y\\)", ["`code with $dollars$`", "\\(y\\)"]),
        ("an open ` quote", []),
    ],
)
def test_inline_spans_are_found(text: str, spans: list[str]) -> None:
    """Formulas, code, links and bold text are spans; prices and single marks are not."""
    assert inline(text) == spans


def test_two_formulas_in_one_block_are_not_one() -> None:
    """A text that begins and ends with math delimiters may hold two formulas."""
    assert enclosure(FORMULA, "$$a$$ and $$b$$") is None


def test_nesting_that_would_fill_a_piece_is_left_open() -> None:
    """Only the outer levels whose delimiters fit together are completed."""
    text = "{" * 50 + "x" + "}" * 50
    spans = inner_spans(FORMULA, text, 0, len(text))

    assert len(spans_that_fit(spans, lambda marks: len(marks) <= 10)) == 5


@pytest.mark.parametrize(
    "opening", ["```py\n", "```py\r\n", '```python title="a.py"\n', "```js {1,3}\n"]
)
def test_pieces_of_code_keep_what_the_fence_says(opening: str) -> None:
    """The language and other options of a fence are not a line of code."""
    made = enclosure(BlockKind.CODE, f"{opening}a = 1\n```")

    assert made is not None
    assert made.opens == opening.rstrip() + "\n"
