"""Strategies for documents: all kinds of blocks, many scripts, broken pages, any tables."""

from __future__ import annotations

from hypothesis import strategies as st

from opticalrag.ingest.core.records import Block, BlockKind, Box, TableCell, TableGrid, TextSource
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ..builders import page

BOXES = st.tuples(*[st.floats(0, 1)] * 4).map(lambda t: Box.clipped(*t))
ANY_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1
)
_WORDS = st.sampled_from(
    [
        *("pump", "turbine", "yield", "the", "of", "a", "1,234", "12.5%", "co-operation", "Größe"),
        *(
            "naïve",
            "don't",
            "e.g.",
            "Fig. 3",
            "x²",
            "Zürich",
            "データを",
            "確認する。",
            "처리",
            "합니다.",
        ),
        *(
            "والمعالجة؟",
            "ภาษาไทย",
            "中文文本，测试。",
            "$5",
            "**bold**",
            "`code`",
            "\\(x^2\\)",
            "re-",
            "|",
        ),
        *("supercalifragilisticexpialidocious", "https://example.org/a/very/long/path?q=1"),
        *("#", "-", "1.", "*", "👩‍👩‍👧‍👦", "é"),
    ]
)
TEXTS = st.lists(_WORDS, min_size=1, max_size=120).map(" ".join)
_TERMS = st.sampled_from(
    [
        "x_{i}",
        "\\frac{a}{b + c}",
        "\\left( y \\right)",
        "\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}",
        "\\alpha",
        "+ 1",
        "\\\\",
        "\\text{a longer remark}",
    ]
)
FORMULAS = st.lists(_TERMS, min_size=1, max_size=40).map(" ".join)
_CODE_LINES = st.sampled_from(
    ["def f(x):", "    return x + 1", "", "# a remark", "s = '```'", "\tprint(1)", "$$ not math"]
)
CODE = st.lists(_CODE_LINES, min_size=1, max_size=40).map("\n".join)
_LABELS = ["Table 2: ", "Listing 1. ", "[표 1] ", "Figure IV ", "Table 3 shows "]
_CELLS = st.one_of(
    st.text("abc |\n&<", max_size=12),
    st.lists(_WORDS, max_size=4).map(" ".join),
    st.lists(_WORDS, min_size=20, max_size=60).map(" ".join),
)


@st.composite
def grids(draw: st.DrawFn) -> TableGrid:
    """Grids with and without spans, headers and long cells."""
    rows, cols = draw(st.integers(1, 14)), draw(st.integers(1, 6))
    cells: list[TableCell] = []
    taken: set[tuple[int, int]] = set()
    for row in range(rows):
        for col in range(cols):
            if (row, col) in taken:
                continue
            deep = draw(st.sampled_from([1, 1, 1, 1, 2]))
            wide = draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
            deep, wide = min(deep, rows - row), min(wide, cols - col)
            slots = {(r, c) for r in range(row, row + deep) for c in range(col, col + wide)}
            if slots & taken:
                deep = wide = 1
                slots = {(row, col)}
            taken |= slots
            cells.append(TableCell(row, col, draw(_CELLS), deep, wide))
    return TableGrid(rows, cols, tuple(cells), draw(st.integers(0, min(2, rows - 1))))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A block of any kind."""
    kind = draw(st.sampled_from(BlockKind))
    box, level = draw(BOXES), draw(st.integers(0, 4))
    if kind is BlockKind.TABLE:
        return Block(kind, box, table=draw(grids()))
    if kind is BlockKind.FORMULA:
        return Block(kind, box, draw(FORMULAS), source=TextSource.MODEL)
    if kind is BlockKind.CODE:
        return Block(kind, box, draw(CODE))
    text = draw(st.one_of(TEXTS, TEXTS, ANY_TEXT))
    if kind is BlockKind.FOOTNOTE:
        text = draw(st.sampled_from(["1 ", "* ", "[2] ", ""])) + text
    if kind in (BlockKind.TEXT, BlockKind.HEADING) and draw(st.booleans()):
        text = draw(st.sampled_from(_LABELS)) + text
    if kind is BlockKind.TEXT and draw(st.booleans()):
        text += draw(st.sampled_from([":", "-", ",", ".", "", " note 1."]))
    return Block(kind, box, text, level)


@st.composite
def documents(draw: st.DrawFn) -> list[PageMarkdown]:
    """Pages of one document: rendered from blocks, or parsed from Markdown."""
    pages = draw(st.lists(st.lists(blocks(), max_size=8), min_size=1, max_size=4))
    made = [page_markdown(page(*b, index=n)) for n, b in enumerate(pages)]
    if draw(st.booleans()):
        return made
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    title = draw(st.sampled_from(["", "<caption>Table 7: pumps</caption>"]))
    texts = [p.text.replace("<table>", f"<table>{title}").replace("\n", end) for p in made]
    return [
        parse_markdown(text, index=p.index, label=p.label)
        for text, p in zip(texts, made, strict=True)
    ]
