from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.records import Block, BlockKind
from opticalrag.ingest.engines.deepseek_ocr.grounding.dialects import as_written, split_pages
from opticalrag.ingest.engines.deepseek_ocr.grounding.markers import KINDS
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import parse_transcript

SPLIT = "<--- Page Split --->"
ANSWER = (
    "<|ref|>title<|/ref|><|det|>[[100, 50, 900, 80]]<|/det|>\n# Harbour rules\n\n"
    "<|ref|>text<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\nThe clerk counts ferries."
)
BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def without_tokens(text: str) -> str:
    for token in ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"):
        text = text.replace(token, "")
    return text


@pytest.mark.parametrize(
    "written",
    [
        BEGIN + ANSWER,
        f"{BEGIN}\n{ANSWER}{END}",
        f"```\n{ANSWER}\n```",
        f"```markdown\n{ANSWER}\n```\n",
        f"{BEGIN}~~~~ md\n{ANSWER}\n~~~~{END}",
        ANSWER.replace("<|", "<| ").replace("|>", " |>"),
        ANSWER.replace("<|/ref|><|det|>", "<| /ref|> <|det |>"),
        without_tokens(ANSWER),
        f"```\n{without_tokens(ANSWER)}\n```",
        BEGIN + without_tokens(ANSWER).replace("[[", " [["),
        ANSWER.replace("\n", "\r\n"),
    ],
)
def test_every_dialect_is_the_same_answer(written: str) -> None:
    """Kinds, boxes and texts do not depend on what a server made of the tokens."""
    assert parse_transcript(written) == parse_transcript(ANSWER)
    assert [block.kind for block in parse_transcript(written)] == [BlockKind.TITLE, BlockKind.TEXT]


def test_lines_of_a_page_are_read_without_their_tokens() -> None:
    """The answer to ``OCR this image.`` has a box behind every line."""
    lines = "Tarn Harbour [1][[10, 20, 500, 60]]\nFee: 12.40[[10, 70, 300, 90], [310, 70, 400, 90]]"
    blocks = parse_transcript(lines)

    assert [block.text for block in blocks] == ["Tarn Harbour [1]", "Fee: 12.40"]
    assert [round(block.box.x1, 1) for block in blocks] == [0.5, 0.4]


@pytest.mark.parametrize(
    "text",
    [
        "The matrix is [[1, 2, 3, 4]].\n\nAnother paragraph.",
        "```python\nprint(1)\n```\n\nText.\n\n```\nmore\n```",
        "A text[[1, 2, 3, 4]] in a line.",
        "subtitle[[100, 50, 900]]",
    ],
)
def test_other_markdown_stays_as_it_is(text: str) -> None:
    """Nested lists of numbers and code are not markers."""
    assert as_written(text) == text


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        (f"one\n\n{SPLIT}\ntwo\n\n{SPLIT}\n", ["one", "two"]),
        (f"{SPLIT}\none\n{SPLIT}\ntwo", ["one", "two"]),
        (f"one\n{SPLIT}\n{SPLIT}\nthree\n{SPLIT}", ["one", "", "three"]),
        (f"\n{SPLIT}\ntwo\n{SPLIT}\n", ["", "two"]),
        ("no split", ["no split"]),
        (f"It writes {SPLIT} after a page.", [f"It writes {SPLIT} after a page."]),
    ],
)
def test_pages_are_split_at_the_lines_of_the_script(text: str, pages: list[str]) -> None:
    """An empty page keeps its number; the line may stand after or before each page."""
    assert [page.strip() for page in split_pages(text)] == pages


_LABELS = st.sampled_from(sorted(KINDS))
_NUMBERS = st.lists(st.integers(0, 999), min_size=4, max_size=4)


@given(st.lists(st.tuples(_LABELS, _NUMBERS, st.text("ab .\n", max_size=20)), max_size=5))
def test_markers_survive_without_their_tokens(parts: list[tuple[str, list[int], str]]) -> None:
    """Dropping the special tokens changes no block."""
    whole = "\n\n".join(
        f"<|ref|>{label}<|/ref|><|det|>[{box}]<|/det|>\nx {text}" for label, box, text in parts
    )

    def shown(blocks: tuple[Block, ...]) -> list[tuple[object, ...]]:
        return [(block.kind, block.box, block.text) for block in blocks]

    assert shown(parse_transcript(without_tokens(whole))) == shown(parse_transcript(whole))
