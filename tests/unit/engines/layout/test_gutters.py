"""Addresses, signatures and small tables that stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pymupdf
import pytest

from opticalrag.ingest.core.records import ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.engines.layout.beside import with_blocks_beside
from opticalrag.ingest.engines.layout.geometry import union
from opticalrag.ingest.engines.layout.gutters import blocks_beside, tables_beside
from opticalrag.ingest.engines.layout.regions import Region
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

Block = tuple[float, float, Sequence[str]]
"""Left edge, pitch and lines."""

BILL = ["Bill to", "Miller Tools Ltd", "14 Harbour Street", "Bristol BS1 4QA"]
SHIP = ["Ship to", "Carter & Sons", "Unit 7, Mill Lane", "Leeds LS9 8AL"]
BESIDE: dict[str, list[Block]] = {
    "two addresses": [(50, 14, BILL), (330, 14, SHIP)],
    "a letter's sender and recipient": [
        (60, 14, ["Anna Schmidt", "Gartenweg 3", "50667 Koeln"]),
        (380, 14, ["Office of Planning", "Second Floor", "12 Kings Road", "London SW3"]),
    ],
    "three parties under headings": [
        (50, 12, ["From:", "Northwind Traders", "Main Street", "Seattle"]),
        (220, 12, ["To:", "Blue Yonder Airlines", "Airport Road", "Denver"]),
        (400, 12, ["Remit to:", "First Bank of Ohio", "Post Box", "Columbus"]),
    ],
    "two signatures": [
        (60, 14, ["For the Seller", "Name: John Doe", "Title: Director", "Date: 1 May"]),
        (320, 14, ["For the Buyer", "Name: Mary Major", "Title: President", "Date: 3 May"]),
    ],
    "texts of different pitch": [
        (60, 14, ["A short note", "beside a text", "of larger lines", "on the left"]),
        (320, 19, ["The other text", "has fewer lines", "set further apart"]),
    ],
}
ACROSS: dict[str, list[Block]] = {
    "labels and values": [
        (50, 14, ["Name:", "Street:", "City:"]),
        (150, 14, ["John Doe", "5 Main St", "York"]),
    ],
    "labels without colons": [
        (50, 14, ["Name", "Street", "City"]),
        (150, 14, ["John Doe", "5 Main St", "York"]),
    ],
    "texts and numbers": [(50, 14, ["Apples", "Pears", "Plums"]), (200, 14, ["120", "88", "45"])],
    "chapters and pages": [
        (50, 14, ["1 Aim", "2 Method", "3 Result"]),
        (400, 14, ["Page 3", "Page 9", "Page 15"]),
    ],
    "a single text": [(50, 14, BILL)],
    "lines that start anywhere": [(50, 14, BILL), (330, 14, ["Ship", "  to", "      a", " port"])],
}


def words_of(blocks: Sequence[Block], by_row: bool = False) -> list[LayoutWord]:
    """Words 10 points high, 5 points a letter; each line in its block's turn, or row by row."""
    count = max(len(lines) for _, _, lines in blocks)
    words = []
    for b, (left, pitch, lines) in enumerate(blocks):
        for i, line in enumerate(lines):
            start = left + 5 * (len(line) - len(line.lstrip()))
            number = i * len(blocks) + b if by_row else b * count + i
            for text in line.split():
                end = start + 5 * len(text)
                rect = (start, 100 + pitch * i, end, 110 + pitch * i)
                words.append(LayoutWord(text, rect, 10.0, number, number))
                start = end + 3
    return words


@pytest.mark.parametrize("blocks", BESIDE.values(), ids=BESIDE)
def test_blocks_side_by_side_are_found(blocks: list[Block]) -> None:
    """Each starts at an edge of its own, and the source has it as a whole."""
    assert [rect[0] for rect in blocks_beside(words_of(blocks))] == [b[0] for b in blocks]


@pytest.mark.parametrize("blocks", ACROSS.values(), ids=ACROSS)
def test_rows_stay_rows(blocks: list[Block]) -> None:
    """Labels belong to their values, even if the source has all labels first."""
    assert blocks_beside(words_of(blocks)) == []


@pytest.mark.parametrize("name", ["two addresses", "three parties under headings"])
def test_lines_that_the_source_has_row_by_row_stay_rows(name: str) -> None:
    """Nothing else tells such blocks from a table of texts."""
    assert blocks_beside(words_of(BESIDE[name], by_row=True)) == []


TABLES: dict[str, list[list[Block]]] = {
    "of different pitch": [
        [(50, 15, ["North", "South", "East", "West"]), (150, 15, ["12", "8", "45", "7"])],
        [(330, 19, ["Full time", "Part time", "Total"]), (480, 19, ["31", "12", "43"])],
    ],
    "of texts": [
        [(50, 14, ["AT", "BE", "CH", "DE"]), (110, 14, ["Austria", "Belgium", "Swiss", "Germany"])],
        [(300, 18, ["Oats", "Rye", "Corn"]), (400, 18, ["dry", "wet", "old"])],
    ],
    "of which one has three columns": [
        [
            (50, 14, ["a", "b", "c", "d", "e"]),
            (100, 14, ["1", "2", "3", "4", "5"]),
            (150, 14, list("67890")),
        ],
        [(300, 19, ["Oats", "Rye", "Corn"]), (400, 19, ["dry", "wet", "old"])],
    ],
}


@pytest.mark.parametrize("tables", TABLES.values(), ids=TABLES)
def test_tables_that_share_no_rows_are_parted(tables: list[list[Block]]) -> None:
    """Their cells would fall into rows of both."""
    found = tables_beside(words_of([column for table in tables for column in table]))
    assert [rect[0] for rect in found] == [table[0][0] for table in tables]


def test_columns_of_one_table_stay_together() -> None:
    """They share its rows; a column of long texts has more lines than rows."""
    rows = [*TABLES["of different pitch"][0], (330.0, 15.0, ["new", "old", "old", "new"])]
    assert tables_beside(words_of(rows)) == []
    notes = [(50.0, 28.0, ["A", "B", "C"]), (150.0, 14.0, ["one", "two", "six", "ten", "few"])]
    assert tables_beside(words_of(notes)) == []


def test_blocks_are_read_from_the_right_in_right_to_left_text() -> None:
    """A region of another kind stays whole."""
    words = words_of(BESIDE["two addresses"])
    rect = union(w.rect for w in words)
    found = with_blocks_beside([Region("text", rect)], [words], [], rtl=True)
    assert [r.rect[0] for r in found] == [330, 50]
    formula = Region("formula", rect)
    assert with_blocks_beside([formula], [words], [], rtl=False) == [formula]


@pytest.mark.parametrize("name", ["two addresses", "three parties under headings"])
def test_an_address_is_read_as_a_whole(tmp_path: Path, name: str) -> None:
    """Whether the layout model finds a text or a table."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    for left, pitch, lines in BESIDE[name]:
        for i, line in enumerate(lines):
            page.insert_text((left, 110 + pitch * i), line, fontsize=10)
    page.insert_textbox((50, 190, 545, 300), "The goods were sent in the spring. " * 12)
    document.save(tmp_path / "letter.pdf")
    with open_document(tmp_path / "letter.pdf") as opened:
        (parsed,) = LayoutEngine().parse(opened.tasks())
    assert isinstance(parsed, ParsedPage)
    texts = [block.text for block in parsed.blocks[: len(BESIDE[name])]]
    assert texts == [" ".join(lines) for _, _, lines in BESIDE[name]]
