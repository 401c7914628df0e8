from __future__ import annotations

import json

import pytest

from opticalrag.ingest.core.records import Block, BlockKind, Box, TextSource
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import block, grid, page


def test_every_block_is_found_at_its_offsets() -> None:
    """A block's span is exactly its Markdown on the page."""
    made = page_markdown(
        page(
            block("Report", BlockKind.TITLE, 1),
            block("Scope", BlockKind.HEADING, 1),
            block("Plain words."),
            block("• first", BlockKind.LIST_ITEM, 1),
            block("x = 1\n  y = 2", BlockKind.CODE),
        )
    )

    assert [made.text[b.start : b.end] for b in made.blocks] == [
        "# Report",
        "## Scope",
        "Plain words.",
        "- first",
        "```\nx = 1\n  y = 2\n```",
    ]


def test_blocks_that_are_left_out_are_listed() -> None:
    """A page keeps its headers and footers, unless they are left out by their index."""
    parsed = page(block("Annual Report", BlockKind.PAGE_HEADER), block("Body."))

    assert page_markdown(parsed).text == "Annual Report\n\nBody."
    moved = page_markdown(parsed, {0})
    assert (moved.text, moved.furniture) == ("Body.", ("Annual Report",))
    assert [span.index for span in moved.blocks] == [1]


def test_a_table_block_knows_its_header() -> None:
    """A table's span has the number of header rows."""
    table = Block(BlockKind.TABLE, Box(0, 0, 1, 1), table=grid(["k", "v"], ["a", "1"]))
    made = page_markdown(page(block("Before."), table))
    span = made.blocks[1]

    assert made.text[span.start : span.end] == "| k | v |\n|---|---|\n| a | 1 |"
    assert span.header_rows == 1


@pytest.mark.parametrize("text", ["# not a heading", "> no quote", "| no table", "```no fence"])
def test_plain_text_that_looks_like_markdown_is_escaped(text: str) -> None:
    """Text never becomes structure that the page does not have."""
    assert page_markdown(page(block(text))).text == f"\\{text}"


def test_numbered_items_keep_their_number_and_nested_items_are_indented() -> None:
    """A list item keeps its enumerator or gets a dash, indented by level."""
    made = page_markdown(
        page(block("2. two", BlockKind.LIST_ITEM, 1), block("◦ inner", BlockKind.LIST_ITEM, 2))
    )

    assert made.text == "2. two\n  - inner"


def test_latex_of_a_model_is_fenced_and_unicode_of_a_text_layer_is_not() -> None:
    """Only formulas that are known to be LaTeX get dollar signs."""
    latex = Block(BlockKind.FORMULA, Box(0, 0, 1, 1), "E=mc^2", source=TextSource.MODEL)
    plain = Block(BlockKind.FORMULA, Box(0, 0, 1, 1), "E = mc²")

    assert page_markdown(page(latex, plain)).text == "$$\nE=mc^2\n$$\n\nE = mc²"


def test_code_that_holds_fences_gets_a_longer_one() -> None:
    """A code block cannot be closed from inside."""
    assert page_markdown(page(block("```", BlockKind.CODE))).text == "````\n```\n````"


def test_a_figure_without_text_has_an_empty_span() -> None:
    """The span has the figure's box, for the caption's chunk to cite."""
    made = page_markdown(page(block("Before."), block("", BlockKind.FIGURE)))

    assert (made.blocks[1].start, made.blocks[1].end) == (7, 7)
    assert made.blocks[1].box is not None


def test_the_layout_survives_a_trip_through_json() -> None:
    """A page is equal after its layout was stored as metadata."""
    table = Block(BlockKind.TABLE, Box(0, 0, 1, 1), table=grid(["k"], ["a"]))
    made = page_markdown(page(block("T", BlockKind.TITLE, 1), table))

    again = PageMarkdown.from_layout(made.text, json.loads(json.dumps(made.layout())))

    assert again == made


def test_a_layout_of_another_text_is_refused() -> None:
    """Offsets outside the text raise an error instead of slicing wrongly."""
    made = page_markdown(page(block("A long paragraph.")))

    with pytest.raises(ValueError, match="offsets lie outside"):
        PageMarkdown.from_layout("short", made.layout())


@pytest.mark.parametrize("text", ["Check March.", "# No heading", "- one\n- two", "> quoted"])
def test_a_comment_is_marked_and_read_again(text: str) -> None:
    """A comment is a note of its own, and stays one when its Markdown is parsed."""
    made = page_markdown(page(block("Text."), block(text, BlockKind.COMMENT), block("More.")))
    again = parse_markdown(made.text)

    assert f"> [!NOTE]\n> {' '.join(text.split())}" in made.text
    assert [b.kind for b in again.blocks] == [BlockKind.TEXT, BlockKind.COMMENT, BlockKind.TEXT]
    assert [(b.start, b.end) for b in again.blocks] == [(b.start, b.end) for b in made.blocks]
