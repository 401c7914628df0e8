from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from opticalrag.ingest.core.records import Block, TableGrid, TextSource
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.ingest.engines.quality.assessment import Markup
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.markdown.table_parsing import parse_html_table, parse_pipe_table

from ..builders import page

SPECIAL = re.compile(r"<\|/?(ref|det|grounding)|(ref|det|grounding)\|>|<｜")
MARK = re.compile(r"<\|/?(?:ref|det)\|>")
MARKUP = st.sampled_from(
    "<table> </table> <tr> </tr> <td> </td> <th> <thead> </thead> <br> <b> </b> <center> </center>"
    ' <td\u00a0rowspan="2"> <td\u00a0colspan=3> </t <t < > \\[ \\] \\( \\) \\\\ $$ ``` ~~~ # ###'
    " - 1. •"
    " | |---|---| [[ ]] & &amp; &lt;|ref|&gt;".replace("\u00a0", "\v").split(" ")
).map(lambda text: text.replace("\v", " "))
SPACE = st.sampled_from([" ", "\n", "\n\n", "  \n\n"])
WORD = st.integers(0, 10**6).map(lambda n: f"w{n}w")
BOX = st.lists(st.integers(-5, 1005), min_size=3, max_size=4)
LABEL = st.sampled_from(
    [
        "title",
        "sub_title",
        "text",
        "table",
        "table_caption",
        "image",
        "equation",
        "code",
        "list",
        "header",
        "seal",
        "Row",
    ]
)
DET = st.lists(BOX, max_size=2).map(str)
MARKER = st.builds("<|ref|>{}<|/ref|><|det|>{}<|/det|>".format, LABEL, DET)
LEGAL_BOX = st.tuples(
    *(st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True).map(sorted),) * 2
).map(lambda sides: [sides[0][0], sides[1][0], sides[0][1], sides[1][1]])
LEGAL_MARKER = st.builds(
    "<|ref|>{}<|/ref|><|det|>{}<|/det|>".format,
    LABEL | WORD,
    st.lists(LEGAL_BOX, min_size=1, max_size=3),
)
CELL = st.builds("{}{}</td>".format, st.sampled_from(["<td>", '<td rowspan="2">']), WORD)
NESTED = CELL.map(lambda cell: f"<td><table><tr>{cell}</tr></table></td>")
LEGAL_BLOCK = st.builds(
    "<|ref|>{}<|/ref|><|det|>{}<|/det|>\n{}\n\n".format,
    st.sampled_from(["title", "text", "table", "image", "image_caption", "equation", "list"]),
    st.lists(LEGAL_BOX, min_size=1, max_size=2),
    st.lists(WORD, max_size=4).map(" ".join)
    | st.lists(CELL | NESTED, min_size=1, max_size=4).map("<table><tr>{0[0]}</tr></table>".format),
)
TOKEN = st.sampled_from(
    ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<｜end▁of▁sentence｜>"]
)
WHOLE_MARKERS = st.lists(st.tuples(st.one_of(WORD, WORD, MARKUP, MARKER), SPACE), max_size=40)
BROKEN_MARKERS = st.lists(
    st.tuples(st.one_of(WORD, MARKUP, MARKER, TOKEN, DET, LABEL), st.one_of(SPACE, st.just(""))),
    max_size=40,
)


def joined(parts: list[tuple[str, str]]) -> str:
    return "".join(part + space for part, space in parts)


def cut_at_token(raw: str, stop: int) -> str:
    """The text up to an offset. The tokens of a marker stay whole."""
    inside = next((m for m in MARK.finditer(raw) if m.start() < stop < m.end()), None)
    return raw[: inside.start() if inside else stop]


def texts(block: Block) -> list[str]:
    return [block.text, *(cell.text for cell in (block.table.cells if block.table else ()))]


def check_grid(grid: TableGrid) -> None:
    slots = [
        (r, c)
        for cell in grid.cells
        for r in range(cell.row, cell.row + cell.row_span)
        for c in range(cell.col, cell.col + cell.col_span)
    ]
    assert len(slots) == len(set(slots))
    assert all(r < grid.rows and c < grid.cols for r, c in slots)
    assert 0 <= grid.header_rows <= grid.rows


def check_blocks(blocks: tuple[Block, ...]) -> None:
    for block in blocks:
        assert block.source is TextSource.MODEL
        x0, y0, x1, y1 = block.box.as_tuple()
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert not any(SPECIAL.search(text) for text in texts(block))
        assert block.table is None or not block.text
        if block.table:
            check_grid(block.table)
    page_markdown(page(*blocks))


@settings(max_examples=500, deadline=None)
@given(WHOLE_MARKERS, st.booleans())
def test_every_word_outside_markers_is_kept(parts: list[tuple[str, str]], cut: bool) -> None:
    """No word of the output is lost, whatever markup surrounds it."""
    found = read_grounding(joined(parts), truncated=cut)

    check_blocks(found.blocks)
    kept = " ".join(text for block in found.blocks for text in texts(block))
    words = [part for part, _ in parts if re.fullmatch(r"w\d+w", part)]
    # A language's name on the line of a code fence is markup.
    names = re.findall(r"(?m)^ {0,3}(?:`{3,}|~{3,})[ \t]*(w\d+w)[ \t]*(?:$|<\|)", joined(parts))
    assert set(words) - set(names) <= set(re.findall(r"w\d+w", kept))


@settings(max_examples=500, deadline=None)
@given(BROKEN_MARKERS, st.booleans())
def test_broken_markers_never_leak(parts: list[tuple[str, str]], cut: bool) -> None:
    """Special tokens in any order leave valid blocks and no trace in the text."""
    check_blocks(read_grounding(joined(parts), truncated=cut).blocks)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(LEGAL_BLOCK, SPACE), min_size=1, max_size=12).map(joined), st.data())
def test_a_cut_answer_keeps_all_of_its_text(raw: str, data: st.DataObject) -> None:
    """Also the text of the block in which the model was stopped; only markers are dropped."""
    cut = cut_at_token(raw, data.draw(st.integers(0, len(raw))))

    said = re.sub(r"<\|ref\|>.*?(?:<\|/det\|>|\Z)", " ", cut)
    said = re.sub(r"<[^<>]*(?:>|\Z)", " ", said)
    blocks = read_grounding(cut, truncated=True).blocks
    kept = " ".join(text for block in blocks for text in texts(block))
    assert sorted(re.sub(r"<\w*", " ", kept).split()) == sorted(said.split())


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text("<|/refdt>[]01, \n\\$`#-•&;｜", max_size=300), st.booleans())
@example("<|<|ref|>ref|>", False)
@example("<table><tr><td><|<b>ref|>", False)
def test_any_text_is_read(raw: str, cut: bool) -> None:
    """There is no error, and the blocks are valid."""
    check_blocks(read_grounding(raw, truncated=cut).blocks)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.one_of(WORD, MARKUP), SPACE), max_size=40).map(joined))
def test_any_table_is_read(text: str) -> None:
    """Cells never overlap or leave the grid, and every word of the HTML is in a cell."""
    grid = parse_html_table(text)
    words = set(re.findall(r"w\d+w", text))

    assert grid is not None or not words
    if grid:
        check_grid(grid)
        assert words <= {w for c in grid.cells for w in re.findall(r"w\d+w", c.text)}
    pipes = parse_pipe_table(text)
    if pipes:
        check_grid(pipes)


@settings(max_examples=300, deadline=None)
@given(BROKEN_MARKERS, st.booleans())
def test_no_more_markup_is_broken_than_was_begun(parts: list[tuple[str, str]], cut: bool) -> None:
    """For any tokens in any order."""
    markup = read_grounding(joined(parts), truncated=cut).markup

    assert 0 <= markup.broken <= markup.count


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LEGAL_MARKER | CELL | NESTED | WORD, SPACE), max_size=40), st.data())
def test_markup_as_released_is_never_broken(
    parts: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Also if the model is stopped anywhere inside it."""
    raw = joined(parts)
    whole = sum(max(part.count("<|ref|>"), part.count("<td")) for part, _ in parts)
    stop = data.draw(st.integers(0, len(raw)))

    assert read_grounding(raw).markup == Markup(whole, 0)
    assert read_grounding(cut_at_token(raw, stop), truncated=True).markup.broken == 0
