from __future__ import annotations

import time
from pathlib import Path

import pytest

from opticalrag.ingest.core.records import Block, BlockKind, Box, TextSource
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import (
    parse_transcript,
    read_grounding,
)
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.markdown.tables import expand

from .....builders import page

WHOLE = Box(0, 0, 1, 1)
A = (100, 100, 500, 200)
B = (100, 300, 500, 400)


def box(x0: float, y0: float, x1: float, y1: float) -> Box:
    return Box.clipped(x0 / 999, y0 / 999, x1 / 999, y1 / 999)


def mark(label: str, *boxes: tuple[int, int, int, int]) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{[list(b) for b in boxes or (A,)]}<|/det|>\n"


def said(blocks: tuple[Block, ...]) -> list[tuple[BlockKind, str]]:
    return [(b.kind, b.text) for b in blocks]


@pytest.fixture
def outputs(data: Path) -> Path:
    folder = data / "deepseek_outputs"
    if not folder.is_dir():
        pytest.skip(f"no outputs of DeepSeek-OCR at {folder}")
    return folder


@pytest.mark.data
def test_a_real_page_with_a_table(outputs: Path) -> None:
    """A caption and a table with stacked markers get their own boxes and contents."""
    blocks = parse_transcript((outputs / "deepseek_example.md").read_text(encoding="utf-8"))

    assert [(b.kind.value, b.raw_kind, b.level) for b in blocks] == [
        ("text", "", 0),
        ("heading", "sub_title", 2),
        ("text", "text", 0),
        ("caption", "table_caption", 0),
        ("table", "table", 0),
        ("heading", "sub_title", 2),
        ("text", "text", 0),
        ("text", "text", 0),
    ]
    lead, heading, _, caption, table, *_ = blocks
    assert lead.box == WHOLE
    assert lead.text.startswith("order to compute the TED score.")
    assert heading.text == "5.1 Hyper Parameter Optimization"
    assert caption.text.startswith("Table 1. HPO performed")
    assert (caption.box, table.box) == (box(217, 342, 785, 413), box(225, 421, 777, 595))
    assert table.table is not None
    assert (table.table.rows, table.table.cols, table.table.header_rows) == (10, 8, 2)
    assert expand(table.table)[9] == ["4", "2", "HTML", "0.944", "0.903", "0.931", "0.824", "2"]


@pytest.mark.data
def test_a_real_first_page(outputs: Path) -> None:
    """A title, a figure without text, and its caption without the tag that centres it."""
    blocks = parse_transcript((outputs / "deepseek_title.md").read_text(encoding="utf-8"))
    by_label = {b.raw_kind: b for b in blocks}

    assert (blocks[0].kind, blocks[0].level) == (BlockKind.TITLE, 1)
    assert blocks[0].text.startswith("DocLayNet: A Large Human-Annotated Dataset")
    assert (by_label["image"].kind, by_label["image"].text) == (BlockKind.FIGURE, "")
    assert by_label["image"].box == box(530, 310, 905, 666)
    assert by_label["image_caption"].text.startswith("Figure 1: Four examples")
    assert by_label["image_caption"].text.endswith("categories")
    assert [b.text for b in blocks if b.kind is BlockKind.HEADING] == [
        "ABSTRACT",
        "CCS CONCEPTS",
        "KEYWORDS",
        "ACM Reference Format:",
    ]
    assert {b.source for b in blocks} == {TextSource.MODEL}


def test_text_before_the_first_marker_is_kept() -> None:
    """It has the whole page as its box and no label."""
    blocks = parse_transcript("carried over\n\n" + mark("text") + "next")

    assert said(blocks) == [(BlockKind.TEXT, "carried over"), (BlockKind.TEXT, "next")]
    assert [(b.box, b.raw_kind) for b in blocks] == [(WHOLE, ""), (box(*A), "text")]


def test_several_boxes_become_the_one_around_them() -> None:
    """A paragraph that runs over two columns keeps one block."""
    (block,) = parse_transcript(mark("text", (10, 500, 400, 900), (500, 100, 900, 300)) + "words")

    assert block.box == box(10, 100, 900, 900)


@pytest.mark.parametrize(
    ("det", "expected"),
    [
        ("<|det|>[[500, 200, 100, 100]]<|/det|>", box(*A)),
        ("<|det|>[[100, 100, 500, 2000]]<|/det|>", box(100, 100, 500, 999)),
        ("<|det|>[[100, 100, 500]]<|/det|>", WHOLE),
        ("<|det|>[[100, 100, 100, 200]]<|/det|>", WHOLE),
        ("<|det|><|/det|>", WHOLE),
        ("<|det|>" + "[[" + "9" * 5000 + ", 1, 2, 3]]<|/det|>", box(2, 1, 999, 3)),
        ("<|det|>[[100, 100, 500, 200]]", box(*A)),
        ("", WHOLE),
    ],
    ids=["reversed", "range", "three", "thin", "empty", "digits", "open", "none"],
)
def test_bad_boxes_lose_no_text(det: str, expected: Box) -> None:
    """Boxes are sorted and clipped to the page. Without a valid box, the box is the whole page."""
    (block,) = parse_transcript(f"<|ref|>text<|/ref|>{det}\nthe words")

    assert (block.kind, block.text, block.box) == (BlockKind.TEXT, "the words", expected)


@pytest.mark.parametrize(
    ("label", "content", "kind", "level"),
    [
        ("title", "# Results", BlockKind.TITLE, 1),
        ("title", "Results", BlockKind.TITLE, 1),
        ("title", "## Results", BlockKind.HEADING, 1),
        ("sub_title", "## Results", BlockKind.HEADING, 1),
        ("sub_title", "#### Results ####", BlockKind.HEADING, 3),
        ("sub_title", "Results", BlockKind.HEADING, 1),
        ("text", "### Results", BlockKind.HEADING, 2),
    ],
)
def test_headings(label: str, content: str, kind: BlockKind, level: int) -> None:
    """The number of ``#`` gives the level; without any, the label does."""
    (block,) = parse_transcript(mark(label) + content)

    assert (block.kind, block.level, block.text) == (kind, level, "Results")


def test_a_numbered_heading_is_not_a_list() -> None:
    """Under a heading's label, numbers stay, and further paragraphs are text."""
    blocks = parse_transcript(mark("sub_title") + "1. Scope\nof the report\n\n2. is more")

    assert said(blocks) == [
        (BlockKind.HEADING, "1. Scope of the report"),
        (BlockKind.TEXT, "2. is more"),
    ]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("table_footnote", BlockKind.FOOTNOTE),
        ("image_caption", BlockKind.CAPTION),
        ("header", BlockKind.PAGE_HEADER),
        ("footer", BlockKind.PAGE_FOOTER),
        ("page_number", BlockKind.PAGE_FOOTER),
        ("equation", BlockKind.FORMULA),
        ("list", BlockKind.LIST_ITEM),
        ("code", BlockKind.CODE),
        ("stamp_area", BlockKind.OTHER),
    ],
)
def test_labels_name_kinds(label: str, kind: BlockKind) -> None:
    """Each known label has a kind; an unknown one is OTHER. The label itself is recorded."""
    (block,) = parse_transcript(mark(label) + "seven words")

    assert (block.kind, block.text, block.raw_kind) == (kind, "seven words", label)


def test_stacked_markers_share_content() -> None:
    """The caption, the table and the note below it each get their own box."""
    c = (100, 500, 500, 600)
    blocks = parse_transcript(
        mark("table", A)
        + mark("table_caption", B)
        + mark("table_footnote", c)
        + "Table 1 | Sizes\n\n<table><tr><td>x</td></tr></table>\n\nin mm"
    )

    assert [(b.kind, b.text, b.box) for b in blocks] == [
        (BlockKind.CAPTION, "Table 1 | Sizes", box(*B)),
        (BlockKind.TABLE, "", box(*A)),
        (BlockKind.FOOTNOTE, "in mm", box(*c)),
    ]


def test_a_figure_without_caption_does_not_take_the_next_text() -> None:
    """An empty line ends a block without content."""
    blocks = parse_transcript(mark("image", A) + "\n\n" + mark("text", B) + "words")

    assert [(b.kind, b.text, b.box) for b in blocks] == [
        (BlockKind.FIGURE, "", box(*A)),
        (BlockKind.TEXT, "words", box(*B)),
    ]


def test_content_of_a_figure_is_kept() -> None:
    """A chart that is read as a table becomes a figure and a table."""
    blocks = parse_transcript(mark("chart") + "<table><tr><td>x</td></tr></table>\n\nand words")

    assert [b.kind for b in blocks] == [BlockKind.FIGURE, BlockKind.TABLE, BlockKind.TEXT]
    assert {b.raw_kind for b in blocks} == {"chart"}


def test_formulas() -> None:
    """Delimiters are removed, the other words stay, and LaTeX line breaks end nothing."""
    blocks = parse_transcript(
        mark("text")
        + "so \\[ a \\coloneqq b \\\\[2pt] c \\] where \\(a\\)\n\n"
        + mark("equation")
        + "\\[ x \\eqqcolon y \\quad (1)"
    )

    assert said(blocks) == [
        (BlockKind.TEXT, "so"),
        (BlockKind.FORMULA, "a := b \\\\[2pt] c"),
        (BlockKind.TEXT, "where \\(a\\)"),
        (BlockKind.FORMULA, "x =: y \\quad (1)"),
    ]
    assert page_markdown(page(*blocks)).text.count("$$") == 4


def test_words_beside_a_formula_are_text() -> None:
    """Under the label of an equation, a paragraph without delimiters is text."""
    blocks = parse_transcript(mark("equation") + "\\[x\\]\n\nfor all of them")

    assert said(blocks) == [(BlockKind.FORMULA, "x"), (BlockKind.TEXT, "for all of them")]


def test_markdown_without_markers() -> None:
    """It is read as Markdown; the box is the whole page."""
    blocks = parse_transcript(
        "# Report\nfirst\nlines\n- a\n  - b\n• c\n\n1. x\n2. y\n\n"
        "```python\n# no heading\n\n<table>\n```\n| a | b |\n|---|---|\n| 1 | 2 |\nend"
    )

    assert [(b.kind.value, b.text, b.level) for b in blocks] == [
        ("title", "Report", 1),
        ("text", "first\nlines", 0),
        ("list_item", "a", 1),
        ("list_item", "b", 2),
        ("list_item", "c", 1),
        ("list_item", "1. x", 1),
        ("list_item", "2. y", 1),
        ("code", "# no heading\n\n<table>", 0),
        ("table", "", 0),
        ("text", "end", 0),
    ]
    assert {b.box for b in blocks} == {WHOLE}
    table = blocks[8].table
    assert table is not None
    assert expand(table) == [["a", "b"], ["1", "2"]]


def test_a_wrapped_number_is_not_a_list_item() -> None:
    """A line that begins with a number continues its paragraph."""
    assert said(parse_transcript("it was in chapter\n12. of the book")) == [
        (BlockKind.TEXT, "it was in chapter\n12. of the book")
    ]


def test_paragraphs_share_the_box() -> None:
    """Empty lines separate the paragraphs of one marker."""
    blocks = parse_transcript(mark("text") + "one  \n\ntwo")

    assert [(b.text, b.box) for b in blocks] == [("one", box(*A)), ("two", box(*A))]


def test_recognised_lines() -> None:
    """If labels are lines of the page, each is the text of a block, even if it reads ``text``."""
    blocks = parse_transcript(mark("Invoice 7", A) + mark("text", B) + mark("Total: 9 €", A))

    assert said(blocks) == [
        (BlockKind.TEXT, "Invoice 7"),
        (BlockKind.TEXT, "text"),
        (BlockKind.TEXT, "Total: 9 €"),
    ]
    assert [b.raw_kind for b in blocks] == ["", "", ""]
    assert blocks[1].box == box(*B)


def test_a_phrase_with_text_after_it_keeps_both() -> None:
    """A label that is not an identifier is text, and so is its content."""
    assert said(parse_transcript(mark("The red car") + "stands there")) == [
        (BlockKind.TEXT, "The red car"),
        (BlockKind.TEXT, "stands there"),
    ]


@pytest.mark.parametrize(
    "tail",
    [
        "<|ref|>",
        "<|ref|>sub_ti",
        "<|ref|>image<|/ref|>",
        "<|ref|>image<|/ref|><|det|>[[12, 3",
        "<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4], ",
        "<|re",
        "<|",
        "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/d",
        "<｜end▁of▁sentence｜>",
    ],
)
def test_a_cut_marker_is_dropped(tail: str) -> None:
    """Half a marker at the end leaves no trace, and no other text is lost."""
    blocks = parse_transcript(mark("text") + "words\n\n" + tail, truncated=True)

    assert said(blocks) == [(BlockKind.TEXT, "words")]


@pytest.mark.parametrize(
    "raw", ["<|ref|>text\nwords", "<|ref|>two words", "<|det|>words", "a<|/ref|>"]
)
def test_broken_markers_lose_no_text(raw: str) -> None:
    """The content of an unclosed marker is text."""
    (block,) = parse_transcript(raw)

    assert block.kind is BlockKind.TEXT
    assert block.text in raw
    assert block.text.split()[-1] in ("words", "a")


def test_a_truncated_table_is_recovered() -> None:
    """The rows before the end are kept, and so is the unfinished cell."""
    (block,) = parse_transcript(
        mark("table") + "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>tw", truncated=True
    )

    assert block.table is not None
    assert expand(block.table) == [["a", "b"], ["1", "tw"]]


def test_text_after_an_unclosed_table_is_text() -> None:
    """A table ends with the paragraph of its last tag."""
    blocks = parse_transcript(mark("table") + "<table><tr><td>a</td></tr>\n\nA paragraph.")

    assert said(blocks) == [(BlockKind.TABLE, ""), (BlockKind.TEXT, "A paragraph.")]


def test_a_table_after_an_unclosed_table() -> None:
    """After an empty line, a table is not nested in the one before it."""
    blocks = parse_transcript("<table><tr><td>a\n\n<table><tr><td>b</td></tr></table>")

    assert [expand(b.table) for b in blocks if b.table] == [[["a"]], [["b"]]]


def test_a_table_too_large_for_a_grid_is_text() -> None:
    """The words are kept."""
    (block,) = parse_transcript("<table><tr>" + "<td>a" * 3000 + "<tr><td>b" * 3000)

    assert block.kind is BlockKind.TEXT
    assert block.text.split() == ["a"] * 3000 + ["b"] * 3000


def test_a_drift_loop_is_cut() -> None:
    """A loop that moves down the page is kept once. Its incomplete last block counts too."""
    junk = [
        mark("text", (520, 133 + 7 * i, 750, 142 + 7 * i)) + "<pre> <pre>\n\n" for i in range(90)
    ]
    found = read_grounding(mark("text") + "real\n\n" + "".join(junk)[:-8], truncated=True)

    assert said(found.blocks) == [(BlockKind.TEXT, "real"), (BlockKind.TEXT, "<pre> <pre>")]
    assert found.drifted == 89


def test_an_empty_drift_loop_is_cut_and_uneven_icons_are_not() -> None:
    """Without content, only blocks at even steps are a loop."""
    even = "".join(mark("image", (10 * i, 5, 10 * i + 8, 20)) + "\n\n" for i in range(9))
    icons = "".join(mark("image", (10 * i * i, 5, 10 * i * i + 8, 20)) + "\n\n" for i in range(9))

    assert (len(parse_transcript(even)), read_grounding(even).drifted) == (1, 8)
    assert (len(parse_transcript(icons)), read_grounding(icons).drifted) == (9, 0)


def test_five_equal_blocks_are_not_a_loop() -> None:
    """Pages have short repetitions."""
    assert read_grounding((mark("text") + "Yes\n\n") * 5).drifted == 0
    assert read_grounding((mark("text") + "Yes\n\n") * 6).drifted == 5
    assert read_grounding("Yes\n\n" * 5).drifted == 0
    assert read_grounding("Yes\n\n" * 6).drifted == 5


def test_a_column_of_equal_lines_is_a_loop_only_if_they_overlap() -> None:
    """Recognised lines below one another are kept. Overlapping ones are a loop."""
    column = "".join(mark("0.0", (10, 30 * i, 50, 30 * i + 20)) for i in range(9))
    loop = "".join(mark("0.0", (10, 7 * i, 50, 7 * i + 20)) for i in range(9))

    assert (len(parse_transcript(column)), read_grounding(column).drifted) == (9, 0)
    assert (len(parse_transcript(loop)), read_grounding(loop).drifted) == (1, 8)


@pytest.mark.parametrize(
    "raw", ["", " \n", "<｜end▁of▁sentence｜>", mark("text"), "\\[\\]", "```\n```"]
)
def test_an_empty_answer_has_no_blocks(raw: str) -> None:
    """So have answers of white space, special tokens and empty marks."""
    assert parse_transcript(raw) == ()


@pytest.mark.parametrize("before", ["", "<table>", mark("title")], ids=["free", "table", "title"])
@pytest.mark.parametrize(
    "part",
    [
        *("<|ref|>", "<|ref|>a<|/ref|><|det|>[[1,2,3,4]]<|/det|>", "<|", "["),
        *("<table>", "\n\n<table>", "<tr><td>", "</table ", "<b ="),
        *("\\[", "\\[\n\n", "$$\n", "```\n", " \n", "|a\n|-\n", "-  a\n", "# "),
    ],
)
def test_time_is_linear(before: str, part: str) -> None:
    """200,000 hostile characters are read in seconds."""
    start = time.process_time()
    parse_transcript(before + part * (200_000 // len(part)), truncated=True)

    assert time.process_time() - start < 5
