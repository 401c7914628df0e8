"""Tables over page breaks, joined by the boxes of their columns."""

from __future__ import annotations

from itertools import pairwise

import pytest

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.records import Block, BlockKind, Box, Chunk, TableCell, TableGrid
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import WordCounter, block, document, page

EDGES = (0.12, 0.37, 0.62, 0.87)
NAMES = ["Vessel class", "Fee (crowns)", "Valid until"]
ROWS = [["Class A", "12.40", "June"], ["Class B", "18.90", "July"]]


def ruled(
    rows: list[list[str]],
    edges: tuple[float, ...] = EDGES,
    kind: BlockKind = BlockKind.TABLE,
    header_rows: int = 1,
    top: float = 0.1,
) -> Block:
    """A table with a box around each cell."""
    cells = tuple(
        TableCell(r, c, text, box=Box(x0, top + 0.02 * r, x1, top + 0.02 * (r + 1)))
        for r, row in enumerate(rows)
        for c, (text, (x0, x1)) in enumerate(zip(row, pairwise(edges), strict=True))
    )
    box = Box(edges[0], top, edges[-1], top + 0.02 * len(rows))
    grid = TableGrid(len(rows), len(edges) - 1, cells, header_rows)
    return Block(kind, box, table=grid)


def chunks(first: Block, second: Block, size: int = 200) -> tuple[list[Chunk], list[PageMarkdown]]:
    text = block("The clerk counts every ferry that leaves the basin.", box=(0.1, 0.05, 0.9, 0.08))
    pages = [page_markdown(page(text, first)), page_markdown(page(second, index=1))]
    return chunk_pages(document(), pages, WordCounter(size)), pages


def the_table(found: list[Chunk]) -> str:
    return "\n".join(c.text for c in found if BlockKind.TABLE in c.kinds)


@pytest.mark.parametrize("kind", [BlockKind.TABLE, BlockKind.PAGE_FOOTER])
@pytest.mark.parametrize(
    ("names", "rows", "edges"),
    [
        (NAMES, ROWS, EDGES),
        (["Art", "Preis"], [["Netz", "3,50"], ["Tau", "9,10"]], (0.2, 0.5, 0.7)),
        (["Item", "2019", "2020"], [["Fees", "14", "15"], ["Fines", "2", "0"]], EDGES),
        (["Port", "Country", "Pilot"], [["Tarn", "Norland", "Holm"]], EDGES),
    ],
)
def test_a_header_alone_at_the_end_of_a_page_names_the_columns(
    names: list[str], rows: list[list[str]], edges: tuple[float, ...], kind: BlockKind
) -> None:
    """The one row on the first page is the header of the table on the next one."""
    found, _ = chunks(ruled([names], edges, kind, top=0.9), ruled(rows, edges))

    lines = the_table(found).split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("|"))
    assert lines[start] == f"| {' | '.join(names)} |"
    assert lines[start + 2 :] == [f"| {' | '.join(row)} |" for row in rows]


def test_every_piece_of_such_a_table_has_its_names() -> None:
    """Also in later chunks; and the words of the header are cited on their own page, once."""
    body = [[f"Class {n}", f"{n}.40", "June"] for n in range(1, 20)]
    found, pages = chunks(ruled([NAMES], top=0.9), ruled(body), size=40)
    tables = [chunk for chunk in found if "Class 1" in chunk.text or "June" in chunk.text]

    assert len(tables) > 2
    assert all("| Vessel class | Fee (crowns) | Valid until |" in chunk.text for chunk in tables)
    cited = [pages[span.index].text[a:b] for c in found for span in c.spans for a, b in span.ranges]
    assert sum("Vessel class" in text for text in cited) == 1
    assert all(sum(f"Class {n} |" in text for text in cited) == 1 for n in range(1, 20))


def test_names_that_are_too_long_become_a_row() -> None:
    """No text is lost when the header of the page before does not fit above each piece."""
    names = [" ".join(f"name{n}" for n in range(30)), "Fee", "Until"]
    found, _ = chunks(ruled([names], top=0.9), ruled(ROWS), size=40)
    text = " ".join(chunk.text for chunk in found)

    assert all(f"name{n}" in text for n in range(30))
    assert "Class A" in text


def test_a_header_that_the_next_page_repeats_is_written_once() -> None:
    """The row at the end of the page and the repeated header are one header."""
    found, _ = chunks(ruled([NAMES], top=0.9), ruled([NAMES, *ROWS]))

    assert the_table(found).count("Vessel class") == 1
    assert "| Class A | 12.40 | June |" in the_table(found)


@pytest.mark.parametrize(
    ("row", "edges"),
    [
        (["Class Z", "4.10", "May"], EDGES),  # a row with a number is not a header
        (NAMES, (0.12, 0.2, 0.28, 0.87)),  # other columns
        (NAMES[:2], (0.12, 0.37, 0.87)),  # fewer columns
    ],
)
def test_other_rows_do_not_name_the_columns(row: list[str], edges: tuple[float, ...]) -> None:
    """A row of data or of another table is written once, not above each piece."""
    found, _ = chunks(ruled([row], edges, top=0.9), ruled(ROWS))
    text = "\n".join(chunk.text for chunk in found)

    assert text.count(row[0]) == 1
    assert f"| {' | '.join(row)} |\n|---|---|---|\n| Class A" not in text


@pytest.mark.parametrize("shown", [(0, 1, 2), (0, 1), (0, 2)])
@pytest.mark.parametrize("names", [NAMES, ["Port", "Country", "Pilot"]])
def test_columns_without_text_on_the_next_page_are_found_by_their_boxes(
    names: list[str], shown: tuple[int, ...]
) -> None:
    """A part with fewer columns continues the table if their boxes are columns of the first."""
    edges = (*(EDGES[c] for c in shown), EDGES[shown[-1] + 1])
    rows = [[f"r{n} c{c}" if c != 1 else str(n) for c in shown] for n in (3, 4)]
    first = ruled([names, ["r1 c0", "1", "r1 c2"], ["r2 c0", "2", "r2 c2"]], top=0.8)
    found, _ = chunks(first, ruled(rows, edges))

    (table,) = [c for c in found if "r3 c0" in c.text]
    cells = ["r3 c0", "3" if 1 in shown else "", "r3 c2" if 2 in shown else ""]
    assert f"| {' | '.join(cells)} |" in table.text
    assert "r1 c0" in table.text


def test_fewer_columns_elsewhere_are_another_table() -> None:
    """Columns whose boxes are not columns of the first table do not continue it."""
    first = ruled([NAMES, *ROWS], top=0.8)
    found, _ = chunks(first, ruled([["a", "7"], ["b", "8"]], (0.12, 0.5, 0.87)))

    assert "| a | 7 |" in found[-1].text
    assert "Class A" not in found[-1].text
