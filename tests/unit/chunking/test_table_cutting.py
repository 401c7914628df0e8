from __future__ import annotations

import itertools

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.records import Block, BlockKind, Box, Chunk, TableCell, TableGrid
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import CharacterCounter, WordCounter, block, document, grid, page


def chunks_of(text: str, cap: int = 64) -> list[Chunk]:
    return chunk_pages(document(), [parse_markdown(text)], WordCounter(cap))


def test_every_piece_of_a_long_table_carries_header_caption_and_heading() -> None:
    """A table is cut between rows, and each piece is a complete table."""
    rows = "\n".join(f"| row {n} | value {n} |" for n in range(40))
    chunks = chunks_of(f"## S\n\nTable 1: Yields.\n\n| Name | Value |\n|---|---|\n{rows}")

    assert len(chunks) > 2
    assert all("| Name | Value |\n|---|---|" in c.embedded_text for c in chunks)
    assert all("Table 1: Yields." in c.embedded_text for c in chunks)
    assert all(c.heading_path == ("S",) for c in chunks)
    assert "\n".join(c.text for c in chunks).count("| row ") == 40


def test_a_wide_row_is_cut_by_columns_and_keeps_its_key() -> None:
    """Each group of columns has its names, and the first column identifies the row."""
    names = "| Turbine | " + " | ".join(f"name {n}" for n in range(60)) + " |"
    rule = "|" + "---|" * 61
    rows = [f"| T{r} | " + " | ".join(f"cell {r} {n}" for n in range(60)) + " |" for r in range(2)]
    chunks = chunks_of("\n".join([names, rule, *rows]), cap=80)

    assert len(chunks) > 3
    for chunk in chunks:
        header, _, *body = chunk.text.split("\n")
        assert header.startswith("| Turbine |")
        assert all(line.startswith("| T") for line in body)
    everything = " ".join(c.text for c in chunks)
    assert all(f"cell {r} {n} |" in everything for r in range(2) for n in range(60))


def test_the_ranges_of_a_group_of_columns_are_its_cells_only() -> None:
    """The ranges of a piece match its cells, and all ranges cover every cell once."""
    names = "| " + " | ".join(f"n{n}" for n in range(60)) + " |"
    text = names + "\n|" + "---|" * 60 + "\n| " + " | ".join(f"c{n}" for n in range(60)) + " |"
    chunks = chunks_of(text, cap=70)
    slices = [text[a:b] for c in chunks for s in c.spans for a, b in s.ranges]

    assert len(chunks) > 1
    assert " | ".join(slices).count("c") == 60
    assert " | ".join(slices).count("n") == 60


def test_a_row_longer_than_the_cap_is_cut_inside() -> None:
    """Even a huge cell cannot exceed the cap, and none of its text is lost."""
    cell = " ".join(f"w{n}" for n in range(200))
    chunks = chunks_of(f"| Name |\n|---|\n| {cell} |")

    assert all(c.tokens <= 64 for c in chunks)
    assert all("| Name |" in c.text for c in chunks)
    assert all(f"w{n}" in " ".join(c.text for c in chunks).split() for n in range(200))


def test_a_name_too_long_for_a_header_becomes_a_row() -> None:
    """A table whose first row is prose is cut like any other, and nothing is lost."""
    prose = " ".join(f"w{n}" for n in range(100))
    chunks = chunks_of(f"| {prose} | b |\n|---|---|\n| 1 | 2 |")

    assert all(c.tokens <= 64 for c in chunks)
    assert all(f"w{n}" in " ".join(c.text for c in chunks).split() for n in range(100))


def test_a_header_of_several_rows_is_repeated_as_one() -> None:
    """Names over several columns are joined with the names below them."""
    cells = [TableCell(0, 0, "Year", row_span=2), TableCell(0, 1, "Yield", col_span=2)]
    cells += [TableCell(1, 1, "wet"), TableCell(1, 2, "dry")]
    cells += [TableCell(r, c, f"{r}-{c}") for r in range(2, 30) for c in range(3)]
    table = Block(BlockKind.TABLE, Box(0, 0, 1, 1), table=TableGrid(30, 3, tuple(cells), 2))
    chunks = chunk_pages(document(), [page_markdown(page(table))], WordCounter(64))

    assert len(chunks) > 1
    assert all(c.text.startswith("| Year | Yield / wet | Yield / dry |\n") for c in chunks)


def boxed(rows: int, *, edges: bool) -> list[PageMarkdown]:
    cells = tuple(
        TableCell(r, 0, f"a{r} b c d", box=Box(0, r**2 / rows**2, 1, (r + 1) ** 2 / rows**2))
        if edges
        else TableCell(r, 0, f"a{r} b c d")
        for r in range(rows)
    )
    table = Block(BlockKind.TABLE, Box(0.0, 0.0, 1.0, 1.0), table=TableGrid(rows, 1, cells, 1))
    return [page_markdown(page(table))]


def test_the_box_of_a_table_piece_covers_its_rows_only() -> None:
    """A piece's box is narrowed to its rows and marked as interpolated."""
    chunks = chunk_pages(document(), boxed(20, edges=False), WordCounter(40))
    boxes = [c.spans[0].boxes[0] for c in chunks]

    assert len(boxes) > 1
    assert (boxes[0].y0, boxes[-1].y1) == (0.0, 1.0)
    assert all(a.y1 == b.y0 for a, b in itertools.pairwise(boxes))
    assert not any(c.spans[0].exact for c in chunks)


def test_the_box_of_a_table_piece_is_exact_where_its_cells_have_boxes() -> None:
    """Rows of different heights have exact boxes."""
    chunks = chunk_pages(document(), boxed(20, edges=True), WordCounter(40))
    first = chunks[0]
    rows = first.text.count("\n")  # the rule stands for the header

    assert all(c.spans[0].exact for c in chunks)
    assert first.spans[0].boxes[0].y1 == round(rows**2 / 400, 5)


def test_pieces_of_a_table_over_pages_have_their_pages() -> None:
    """A piece with rows of two pages has the boxes of both and one header."""
    parts = [
        page_markdown(
            page(
                Block(
                    BlockKind.TABLE,
                    Box(0.1, 0.1, 0.9, 0.9),
                    table=grid(["Name", "Value"], *[[f"p{n} r{r}", str(r)] for r in range(12)]),
                ),
                index=n,
            )
        )
        for n in range(3)
    ]
    chunks = chunk_pages(document(3), parts, WordCounter(90))

    assert {p for c in chunks for p in c.pages} == {1, 2, 3}
    assert {(1, 2), (2, 3)} & {c.pages for c in chunks}
    assert all(c.text.startswith("| Name | Value |\n") for c in chunks)
    for chunk in chunks:
        for span in chunk.spans:
            assert f"p{span.index} r" in chunk.text
            assert span.boxes


def test_a_table_of_one_character_cells_meets_the_smallest_cap() -> None:
    """Pipes and rules are counted, too."""
    rows = "\n".join("| " + " | ".join("abcdefgh") + " |" for _ in range(8))
    counter = CharacterCounter(40)
    chunks = chunk_pages(document(), [parse_markdown(f"# A long title\n\n{rows}")], counter)

    assert all(c.tokens <= 40 for c in chunks)


def test_a_small_table_stays_whole_with_its_caption() -> None:
    """A table that fits is not cut, and the caption is not repeated."""
    text = "Table 1: Pumps.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    (chunk,) = chunks_of(text)

    assert (chunk.text, chunk.context) == (text, "")


def test_a_figure_and_its_caption_stay_together_up_to_the_cap() -> None:
    """The target size does not separate a caption from its figure."""
    figure = block("word " * 30, BlockKind.FIGURE)
    caption = block("Figure 1: " + "what " * 20, BlockKind.CAPTION)
    (chunk,) = chunk_pages(document(), [page_markdown(page(figure, caption))], WordCounter(64))

    assert set(chunk.kinds) == {BlockKind.FIGURE, BlockKind.CAPTION}


def test_a_name_stays_with_its_cell_where_pipes_do_not_fit() -> None:
    """The smallest caps have no room for pipes, but no text is lost."""
    text = "# pump\n\n# 0000000000\n\n| pump |\n|---|\n| pump pump |"
    chunks = chunk_pages(document(), [parse_markdown(text)], CharacterCounter(40))

    assert chunks[-1].text == "pump: pump pump"


def test_the_repeated_header_of_a_table_cut_by_columns_is_cited() -> None:
    """On every page, a column's name belongs to its column's piece, even if cells are empty."""
    names = " | ".join(f"name {n}" for n in range(30))
    text = f"| {names} |\n|{'---|' * 30}\n|{' |' * 30}\n| " + " | ".join("x" * 30) + " |"
    pages = [parse_markdown(text, index=n, label=str(n + 1)) for n in range(2)]
    chunks = chunk_pages(document(2), pages, WordCounter(60))

    assert len(chunks) > 4
    for index in range(2):
        ranges = [r for c in chunks for s in c.spans if s.index == index for r in s.ranges]
        assert " ".join(text[a:b] for a, b in ranges).count("name") == 30


def wide(rows: list[list[str]], names: list[str], cap: int) -> list[Chunk]:
    lines = ["| " + " | ".join(row) + " |" for row in [names, ["---"] * len(names), *rows]]
    return chunks_of("\n".join(lines), cap)


def test_key_columns_do_not_stand_alone() -> None:
    """A piece with only key columns has no content."""
    values = [
        [f"T{r}", *(" ".join(["long", "cell", str(c)] * 8) for c in range(4))] for r in (1, 2)
    ]
    chunks = wide(values, ["Turbine", *(f"n{c}" for c in range(4))], cap=60)

    assert len(chunks) > 3
    assert all("long" in c.text and c.text.startswith("| Turbine |") for c in chunks)
    assert all(sum(f"| T{r} |" in c.text for r in (1, 2)) == 1 for c in chunks)


def test_the_columns_that_identify_rows_are_repeated() -> None:
    """If the first column has a value twice, the second column belongs to the key."""
    values = [
        [layers, kind, *(f"v{n}" for n in range(60))]
        for layers in "46"
        for kind in ("OTSL", "HTML")
    ]
    chunks = wide(values, ["layers", "kind", *(f"n{n}" for n in range(60))], cap=120)

    assert len(chunks) > 2
    assert all(c.text.startswith("| layers | kind |") for c in chunks)


def test_the_parts_of_a_cut_cell_repeat_their_key() -> None:
    """The key is cited with the first part."""
    text = f"| T1 | {' '.join(f'w{n}' for n in range(150))} |"
    (first, *others) = chunks_of(f"| Turbine | Note |\n|---|---|\n{text}")

    assert all("| T1 |" in c.text for c in (first, *others))
    assert [c.spans[0].ranges[0][0] < 45 for c in (first, *others)] == [
        True,
        *(False for _ in others),
    ]
