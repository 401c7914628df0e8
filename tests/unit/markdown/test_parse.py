from __future__ import annotations

import pytest

from opticalrag.ingest.markdown.parse import parse_markdown


def located(text: str) -> list[tuple[str, str]]:
    return [(b.kind.value, text[b.start : b.end]) for b in parse_markdown(text).blocks]


def test_every_block_of_plain_markdown_is_located() -> None:
    """Headings, lists, code, tables and text are distinguished."""
    text = (
        "# T\ntext under it\n\n## S\n\n- item\n- other\n  goes on\n\n```py\na\n\nb\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n$$\nx\n\ny\n$$\n\n![alt](pic.png)\n\n[^1]: A note.\n"
    )

    assert located(text) == [
        ("title", "# T"),
        ("text", "text under it"),
        ("heading", "## S"),
        ("list_item", "- item"),
        ("list_item", "- other\n  goes on"),
        ("code", "```py\na\n\nb\n```"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("formula", "$$\nx\n\ny\n$$"),
        ("figure", "![alt](pic.png)"),
        ("footnote", "[^1]: A note."),
    ]


def test_underlined_headings_have_their_level() -> None:
    """A line of = or - below a text makes it a Setext heading."""
    blocks = parse_markdown("Title\n=====\n\nPart\n----\n\ntext").blocks

    assert [(b.kind.value, b.level) for b in blocks] == [("title", 1), ("heading", 1), ("text", 0)]


@pytest.mark.parametrize(
    "table",
    [
        "<table><tr><td>a</td></tr><tr><td>1</td></tr></table>",
        '<table border="1">\n<tr><td>a</td>\n\n</tr>\n<tr><td>1</td></tr>\n</table>',
        "<TABLE><tr><td>a</td></tr><tr><td>1",
    ],
)
def test_html_tables_are_tables_with_attributes_empty_lines_or_no_end(table: str) -> None:
    """Tables that LlamaIndex's element parser misses are found."""
    assert ("table", table) in located(f"Before.\n\n{table}")


def test_a_table_inside_a_paragraph_is_taken_out_of_it() -> None:
    """Text before and after a table on the same lines stays text."""
    table = "<table><tr><td>a</td></tr><tr><td>1</td></tr></table>"

    assert located(f"See {table} and so on.") == [
        ("text", "See"),
        ("table", table),
        ("text", "and so on."),
    ]


def test_pipes_right_under_a_text_are_a_table() -> None:
    """A table needs no empty line above it."""
    assert [kind for kind, _ in located("Text\n| a | b |\n|---|---|\n| 1 | 2 |")] == [
        "text",
        "table",
    ]


def test_a_formula_that_is_never_closed_ends_with_its_paragraph() -> None:
    """One missing delimiter does not swallow the page."""
    assert located("$$ x + y\n\nText goes on.")[-1] == ("text", "Text goes on.")


def test_inline_code_at_the_start_of_a_line_opens_no_fence() -> None:
    """A fence's line has no further backticks; otherwise the rest of the page would be code."""
    assert located("```make install``` sets up all.\n\n# Next")[-1] == ("title", "# Next")


def test_the_caption_of_an_html_table_is_not_a_row() -> None:
    """A caption inside a table is its own block and names no column."""
    rows = "<tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"

    assert located(f"<table><caption>Table 1: Sizes</caption>{rows}") == [
        ("caption", "Table 1: Sizes"),
        ("table", rows),
    ]


def test_hundreds_of_tables_on_one_line_are_as_many_tables() -> None:
    """Consecutive tables do not recurse."""
    table = "<table><tr><td>a</td></tr><tr><td>1</td></tr></table>"

    assert located(table * 1500 + " end") == [("table", table)] * 1500 + [("text", "end")]


def test_a_table_inside_a_table_ends_with_the_outer_one() -> None:
    """The first closing tag closes the inner table."""
    inner = "<table><tr><td>i</td></tr></table>"
    table = f"<table>\n<tr><td>\n{inner}\n</td></tr>\n<tr><td>2</td></tr>\n</table>"

    assert located(f"{table}\nBehind.") == [("table", table), ("text", "Behind.")]


def test_prose_after_a_table_that_was_cut_off_is_text() -> None:
    """A table without an end tag stops at its last tag and does not swallow the next table."""
    cut = "<table>\n<tr><td>a</td></tr>\n\n<tr><td>1</td>"
    whole = "<table><tr><td>b</td></tr><tr><td>2</td></tr></table>"

    assert located(f"{cut}\n\nProse behind it.\n\n# H\n\n{whole}") == [
        ("table", cut),
        ("text", "Prose behind it."),
        ("title", "# H"),
        ("table", whole),
    ]


def test_a_fence_is_closed_by_a_longer_one() -> None:
    """CommonMark lets the closing fence be longer than the opening one."""
    code = "```py\na = 1\n`````"

    assert located(f"{code}\n\ntext") == [("code", code), ("text", "text")]


@pytest.mark.parametrize(
    "text",
    [
        "Use the `<table>` tag, and `<tr>` for rows.",
        "A `<table><tr><td>x</td></tr></table>` in code.",
        "- List<table> is a type",
    ],
)
def test_a_table_tag_in_prose_is_text(text: str) -> None:
    """Inline code and type names stay text."""
    assert [body for _, body in located(text)] == [text]


@pytest.mark.parametrize(
    "text",
    [
        "\\[see the annex\n\n# Second\n\nText.\n\nDone \\[x\\]",
        "$$PATH is a variable.\n\n# Second\n\nEnds with $$",
        "$$a$$ and $$b$$ are terms",
        "\\[1\\] Smith, J. A study.",
    ],
)
def test_text_that_begins_like_a_formula_is_text(text: str) -> None:
    """Escaped brackets and shell variables do not swallow a heading."""
    kinds = [kind for kind, _ in located(text)]

    assert "formula" not in kinds
    assert ("title" in kinds) == ("# Second" in text)


def test_a_formula_may_have_a_number() -> None:
    """An equation number may follow the closing delimiter."""
    assert located("$$ a = b $$ (3)\n\ntext")[0] == ("formula", "$$ a = b $$ (3)")


def test_comments_and_front_matter_hold_no_headings() -> None:
    """They are kept as text and do not begin a section."""
    text = "---\n# note\ntitle: X\n---\n<!--\n# hidden\n| a |\n|---|\n-->\n# Shown"

    assert [kind for kind, _ in located(text)] == ["other", "other", "title"]


def test_a_byte_order_mark_hides_no_heading() -> None:
    """Files from Windows may begin with one."""
    assert located("\ufeff# Title\n\ntext") == [("title", "# Title"), ("text", "text")]


def test_a_footnote_may_have_paragraphs() -> None:
    """Indented paragraphs belong to the footnote."""
    assert located("[^1]: One.\n\n    Two.\n\nText.") == [
        ("footnote", "[^1]: One.\n\n    Two."),
        ("text", "Text."),
    ]


def test_a_heading_below_a_table_is_not_a_row() -> None:
    """Even if it contains a bar."""
    kinds = [kind for kind, _ in located("| a |\n|---|\n| 1 |\n# Head | Bar")]

    assert kinds == ["table", "title"]


def test_embedded_pictures_are_not_text() -> None:
    """Only the name of a picture encoded in the Markdown is kept."""
    assert located("![Pump](data:image/png;base64,AAAA)") == [("figure", "![Pump]")]
