from __future__ import annotations

import pytest

from opticalrag.ingest.chunking.elements import Element
from opticalrag.ingest.chunking.flow import build_flow
from opticalrag.ingest.core.records import Block, BlockKind, Box
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import block, grid, page

Row = tuple[float, float, float, float]


def pages(*texts: str) -> list[PageMarkdown]:
    return [parse_markdown(text, index=n, label=str(n + 1)) for n, text in enumerate(texts)]


def rendered(*groups: list[Block]) -> list[PageMarkdown]:
    return [page_markdown(page(*blocks, index=n)) for n, blocks in enumerate(groups)]


def texts(elements: list[Element]) -> list[str]:
    return [element.text for element in elements]


def table(*rows: list[str], header_rows: int = 1, box: Row = (0.1, 0.1, 0.9, 0.9)) -> Block:
    return Block(BlockKind.TABLE, Box(*box), table=grid(*rows, header_rows=header_rows))


@pytest.mark.parametrize(
    ("left", "right", "whole"),
    [
        ("A paragraph that a page break cuts in its", "middle.", "in its middle."),
        ("A paragraph that a page break cuts in a wo-", "rd of it.", "in a word of it."),
        ("A list of pumps, valves, turbines,", "Danish ones too.", "turbines, Danish ones too."),
        (
            "このページの最後の段落は、次のページの最初の段落へと途切れることなく続いていき",
            "ます。",
            "続いていきます。",
        ),
    ],
)
def test_a_paragraph_continues_over_a_page_break(left: str, right: str, whole: str) -> None:
    """Its parts are one element with a fragment on each page."""
    (element,) = build_flow(pages(left, right))

    assert element.text.endswith(whole)
    assert [s.page for s in element.fragments] == [0, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("A whole sentence ends the page here.", "another begins small."),
        ("A paragraph that a page break cuts in its", "New paragraph."),
        ("Short label", "and text"),
    ],
)
def test_paragraphs_that_end_are_not_joined(left: str, right: str) -> None:
    """A full stop, a capital letter or a label ends the paragraph."""
    assert len(build_flow(pages(left, right))) == 2


def test_a_paragraph_continues_around_a_figure() -> None:
    """Figures and tables at the page break do not end the sentence."""
    first = [block("The turbine was stopped in May because its")]
    second = [block("", BlockKind.FIGURE), block("pump was replaced by another.")]
    elements = build_flow(rendered(first, second))

    assert texts(elements) == [
        "The turbine was stopped in May because its pump was replaced by another.",
        "",
    ]


def test_pages_that_do_not_follow_each_other_are_not_joined() -> None:
    """A selection of pages has gaps."""
    first, second = pages("A paragraph that a page break cuts in its", "middle.")
    apart = PageMarkdown(5, "6", second.text, second.blocks)

    assert len(build_flow([first, apart])) == 2


# -- tables --------------------------------------------------------------------------------


def test_a_table_over_pages_has_its_header_once() -> None:
    """The rows of three pages are one table without the repeated headers."""
    parts = [table(["Name", "Value"], [f"row {n}", str(n)]) for n in range(3)]
    (element,) = build_flow(rendered(*([part] for part in parts)))

    assert element.table is not None
    assert element.table.names == ("Name", "Value")
    assert [row.cells[0] for row in element.table.rows] == ["row 0", "row 1", "row 2"]
    assert [row.page for row in element.table.rows] == [0, 1, 2]


def test_a_continued_table_without_a_header_of_its_own_keeps_its_first_row() -> None:
    """A row that the engine took for a header on the next page is a body row."""
    first = table(["Name", "Value"], ["a", "1"], ["b", "2"])
    (element,) = build_flow(rendered([first], [table(["c", "3"], ["d", "4"])]))

    assert element.table is not None
    assert [row.cells for row in element.table.rows] == [
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", "4"),
    ]


def test_another_table_begins_with_other_names() -> None:
    """A row of names below columns of numbers begins another table."""
    elements = build_flow(
        rendered([table(["Name", "Value"], ["a", "1"])], [table(["Pump", "Maker"], ["x", "y"])])
    )

    assert len(elements) == 2


@pytest.mark.parametrize(
    "second",
    [
        [block("Text between."), table(["Name", "Value"], ["b", "2"])],
        [table(["Name", "Value", "Element"], ["b", "2", "m"])],
        [table(["Name", "Value"], ["b", "2"], box=(0.5, 0.1, 0.9, 0.9))],
        [block("Table 9: Others", BlockKind.CAPTION), table(["Name", "Value"], ["b", "2"])],
    ],
    ids=["text between", "more columns", "another place", "another caption"],
)
def test_tables_that_are_not_continued_stay_apart(second: list[Block]) -> None:
    """A wrong join is worse than none."""
    assert (
        sum(
            u.table is not None
            for u in build_flow(rendered([table(["Name", "Value"], ["a", "1"])], second))
        )
        == 2
    )


def test_a_caption_that_says_continued_does_not_split_a_table() -> None:
    """The second caption stays a text of its own."""
    second = [
        block("Table 1 (continued)", BlockKind.CAPTION),
        table(["Name", "Value"], ["b", "2"]),
    ]
    elements = build_flow(rendered([table(["Name", "Value"], ["a", "1"])], second))

    assert [u.text for u in elements] == ["", "Table 1 (continued)"]


# -- footnotes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "note"),
    [
        ("The pump¹ was new.", "1 Made in 2020."),
        ("The pump* was new.", "* Made in 2020."),
        ("The pump [1] was new.", "[1] Made in 2020."),
        ("The pump1 was new.", "1 Made in 2020."),
        ("The pump was new 1.", "1 Made in 2020."),
    ],
)
def test_a_footnote_follows_the_block_that_refers_to_it(reference: str, note: str) -> None:
    """A note at the foot of the page is moved after its reference."""
    blocks = [block(reference), block("Other text."), block(note, BlockKind.FOOTNOTE)]

    assert texts(build_flow(rendered(blocks))) == [reference, note, "Other text."]


def test_a_footnote_without_a_unique_reference_stays_at_the_foot() -> None:
    """A guess could move it to the wrong block."""
    blocks = [block("One*."), block("Two*."), block("* Note.", BlockKind.FOOTNOTE)]

    assert texts(build_flow(rendered(blocks)))[-1] == "* Note."


# -- introductions ----------------------------------------------------------------------------


def introductions(elements: list[Element]) -> dict[int, int | None]:
    return {u.number: u.introduced_by for u in elements if u.introduced_by is not None}


def test_a_table_has_its_caption_above_or_below() -> None:
    """Also if the engine took the caption for text."""
    above = build_flow(rendered([block("Table 1: Pumps"), table(["a"], ["1"])]))
    below = build_flow(rendered([table(["a"], ["1"]), block("Pumps.", BlockKind.CAPTION)]))

    assert (introductions(above), introductions(below)) == ({1: 0}, {0: 1})


def test_a_table_takes_the_nearer_caption() -> None:
    """Between two captions, the gap on the page decides."""
    caption = block("Table 1.", BlockKind.CAPTION, box=(0.1, 0.10, 0.9, 0.12))
    other = block("Table 2.", BlockKind.CAPTION, box=(0.1, 0.31, 0.9, 0.33))
    elements = build_flow(rendered([caption, table(["a"], ["1"], box=(0.1, 0.2, 0.9, 0.3)), other]))

    assert introductions(elements) == {1: 2}


def test_list_items_have_the_sentence_that_leads_to_them() -> None:
    """All items of this list, and no others."""
    elements = build_flow(pages("Intro. We need:\n\n- a pump\n- a valve\n\nThen text.\n\n- alone"))

    assert introductions(elements) == {1: 0, 2: 0}


@pytest.mark.parametrize(
    "caption",
    ["Listing 1: A pump", "## Algorithm 2. Sorting"],
)
def test_a_listing_has_its_caption(caption: str) -> None:
    """A text or heading labelled as a listing or algorithm is the caption of code."""
    elements = build_flow(pages(f"{caption}\n\n```py\na = 1\n```"))

    assert introductions(elements) == {1: 0}
    assert elements[0].text == caption.lstrip("# ")


def test_a_heading_that_names_a_table_is_its_caption() -> None:
    """Engines take short captions for headings; they do not begin a section."""
    title = block("[표 1] 대상 질병", BlockKind.HEADING, level=1)
    elements = build_flow(rendered([title, table(["a"], ["1"]), block("Text below.")]))

    assert elements[0].kind is BlockKind.CAPTION
    assert introductions(elements) == {1: 0}
    assert elements[2].path == ()


@pytest.mark.parametrize("prose", ["Table 2 compares the pumps.", "표 2는 펌프이다."])
def test_a_sentence_about_a_table_is_not_its_caption(prose: str) -> None:
    """The caption is below."""
    elements = build_flow(rendered([block(prose), table(["a"], ["1"]), block("TABLE II: Pumps.")]))

    assert introductions(elements) == {1: 2}


def test_a_caption_about_a_suite_continues_no_table() -> None:
    """The French word for "continued" is also an English noun."""
    second = [
        block("Table 2: The test suite of pumps", BlockKind.CAPTION),
        table(["Name", "Value"], ["b", "2"]),
    ]

    assert len(build_flow(rendered([table(["Name", "Value"], ["a", "1"])], second))) == 3


def test_a_numbered_word_does_not_refer_to_a_footnote() -> None:
    """ "Page 1." has no superscript."""
    blocks = [
        block("See page 1."),
        block("At Center 1, all."),
        block("1 Note.", BlockKind.FOOTNOTE),
    ]

    assert texts(build_flow(rendered(blocks)))[-1] == "1 Note."


def test_closing_marks_of_a_heading_are_not_its_title() -> None:
    """Closing hashes of an ATX heading are dropped; a hash of the title stays."""
    paths = [u.path for u in build_flow(pages("## Part one ##\n\n### C# \n\n# ##\n\nText"))]

    assert paths[:2] == [("Part one",), ("Part one", "C#")]


def test_steps_stay_one_list_around_other_elements() -> None:
    """Paragraphs and code belong to a step if they are indented or the next number follows."""
    text = "You need:\n\n1. one\n\n   more on one\n\n2. two\n\n```\ncode\n```\n\nWait.\n\n3. three"
    elements = build_flow(pages(text))

    assert [(u.text.split("\n")[0], u.introduced_by) for u in elements] == [
        ("You need:", None),
        ("1. one", 0),
        ("more on one", 1),
        ("2. two", 0),
        ("```", 3),
        ("Wait.", 3),
        ("3. three", 0),
    ]


def test_a_nested_item_has_its_parent_item() -> None:
    """A bold sentence leads to a list, too."""
    elements = build_flow(pages("**Offices:**\n\n- North\n  - Oslo\n  - Bergen\n- South"))

    assert introductions(elements) == {1: 0, 2: 1, 3: 1, 4: 0}


def test_a_list_ends_with_a_paragraph() -> None:
    """An item after it has no introduction, unless its number continues the list."""
    elements = build_flow(pages("We need:\n\n- a pump\n\nOther text.\n\n- alone"))

    assert introductions(elements) == {1: 0}


@pytest.mark.parametrize(
    "text",
    [
        "Table 1. Pumps\n\n<html><body><table><tr><td>a</td></tr><tr><td>1</td></tr></table>"
        "</body></html>",
        '<span id="page-2-0"></span>Table 1: Pumps\n\n| a |\n|---|\n| 1 |',
        "Table: Pumps\n\n| a |\n|---|\n| 1 |",
        "| a |\n|---|\n| 1 |\n\n: Pumps {#tbl:x}",
    ],
)
def test_captions_of_other_engines_are_recognized(text: str) -> None:
    """MinerU wraps tables in tags, Marker adds anchors, pandoc has no numbers."""
    elements = build_flow(pages(text))

    assert [u.kind for u in elements if u.table is None] == [BlockKind.CAPTION]
    assert len(introductions(elements)) == 1


def test_anchors_are_not_part_of_a_heading() -> None:
    """Link targets are dropped, and empty headings are not in the path."""
    elements = build_flow(
        pages('# <span id="p1"></span>Pumps\n\n## Old ones {#old .x}\n\n##\n\nText.')
    )

    assert elements[1].path == ("Pumps", "Old ones")
    assert elements[-1].path == ("Pumps",)


def test_a_continued_table_may_have_another_right_side() -> None:
    """A table ends at the longest text of its last column, which differs from page to page."""
    first = table(["Name", "Value", "Note"], ["a", "1", "long note"], box=(0.1, 0.1, 0.77, 0.9))
    second = table(["b", "2", "note"], ["c", "3", ""], box=(0.1, 0.1, 0.71, 0.3))
    words = table(["b", "x", "note"], ["c", "y", ""], box=(0.1, 0.1, 0.71, 0.3))

    assert len(build_flow(rendered([first], [second]))) == 1
    assert len(build_flow(rendered([first], [words]))) == 2


def test_a_comment_never_enters_a_sentence() -> None:
    """A paragraph over a page break is joined around a comment."""
    first = [block("The clerk counts every ferry that leaves the"), note("Check this.")]
    second = [note("And this."), block("basin after sunset.")]

    assert texts(build_flow(rendered(first, second))) == [
        "The clerk counts every ferry that leaves the basin after sunset.",
        "> [!NOTE]\n> Check this.",
        "> [!NOTE]\n> And this.",
    ]


def note(text: str) -> Block:
    return block(text, BlockKind.COMMENT)
