"""Code listings: their parts, their tabs and their blank lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pymupdf
import pytest

from opticalrag.ingest.core.records import BlockKind, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.engines.layout.geometry import union
from opticalrag.ingest.engines.layout.listings import join_listings
from opticalrag.ingest.engines.layout.regions import Region
from opticalrag.ingest.engines.layout.text import code_text, rows_of
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

LISTINGS = {
    "recipes": [
        "all:\tmain.o",
        "\tcc -o all main.o",
        "",
        "main.o:\tmain.c defs.h",
        "\tcc -c main.c",
    ],
    "declarations": [
        "#include <x.h>",
        "",
        "int opts[] = {",
        '\t{ "all",\t1 },',
        "\t{ 0,\t\t0 },",
        "};",
    ],
    "assembler": [
        "loop:\tld\tr1, 0(r2)\t; load",
        "\tadd\tr1, r1\t; sum",
        "\tbne\tr4, loop",
        "\tret",
    ],
    "indentation": ["def area(w):", "\tif w < 0:", "\t\traise Odd(w)", "\treturn w\t# metres"],
}


def line(text: str, x: float, y: float, number: int, size: float = 10) -> list[LayoutWord]:
    """Words of fixed width, with descenders where letters have them."""
    words, left = [], x
    for part in text.split(" "):
        right = left + 0.6 * size * len(part)
        foot = y + size * (0.95 if set(part) & set("gjpqy,;") else 0.75)
        if part:
            words.append(LayoutWord(part, (left, y, right, foot), size, number, 0, mono=True))
        left = right + 0.6 * size
    return words


@pytest.mark.parametrize("lines", LISTINGS.values(), ids=LISTINGS)
@pytest.mark.parametrize("leading", [1.0, 1.25, 1.5])
@pytest.mark.parametrize("size", [8.0, 10.0])
def test_only_blank_lines_are_written_as_such(
    lines: Sequence[str], leading: float, size: float
) -> None:
    """Lines without descenders end higher, and their spaces seem wider."""
    shown = [text.expandtabs(8) for text in lines]
    words = [
        w for i, text in enumerate(shown) for w in line(text, 60, 100 + leading * size * i, i, size)
    ]
    assert code_text(rows_of(words)) == "\n".join(shown)


PARTS = [line("clean:", 60, 100, 0), line("rm -f all", 108, 112, 1), line("test:", 60, 136, 2)]


def joined(*parts: Sequence[LayoutWord], labels: Sequence[str] = ("text", "code", "text")) -> int:
    """Into how many regions the parts are joined."""
    regions = [
        Region(label, union(w.rect for w in words))
        for label, words in zip(labels, parts, strict=False)
    ]
    found, words = join_listings(regions, parts)
    assert [w for part in words for w in part] == [w for part in parts for w in part]
    return len(found)


def test_parts_of_a_listing_are_joined() -> None:
    """Across indentation and a blank line."""
    assert joined(*PARTS) == 1


APART = {
    "a paragraph between": [PARTS[0], [replace(w, mono=False) for w in PARTS[1]], PARTS[2]],
    "far below": [PARTS[0], line("rm", 108, 160, 1), line("test:", 60, 240, 2)],
    "in the next column": [PARTS[0], line("rm", 360, 112, 1), line("test:", 60, 136, 2)],
    "of another size": [PARTS[0], line("rm", 108, 112, 1, 7), line("test:", 60, 136, 2)],
}


@pytest.mark.parametrize("parts", APART.values(), ids=APART)
def test_other_parts_stay_apart(parts: list[list[LayoutWord]]) -> None:
    """They must follow each other in one column, in one font."""
    assert joined(*parts) == 3


def test_a_heading_of_fixed_width_is_no_part() -> None:
    """Its label says so."""
    assert joined(*PARTS, labels=("section-header", "text", "code")) == 2


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_keeps_its_tabs(tmp_path: Path, name: str) -> None:
    """Whatever regions the layout model makes of it; each tab goes to the next eighth column."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    page.insert_textbox((60, 60, 545, 140), "The members met in the spring. " * 12)
    for i, text in enumerate(LISTINGS[name]):
        for start, part in pieces(text):
            page.insert_text((60 + 6 * start, 160 + 12.5 * i), part, fontname="cour", fontsize=10)
    page.insert_textbox((60, 260, 545, 340), "The members met in the spring. " * 12)
    document.save(tmp_path / "code.pdf")
    with open_document(tmp_path / "code.pdf") as opened:
        (parsed,) = LayoutEngine().parse(opened.tasks())
    assert isinstance(parsed, ParsedPage)
    code = [block.text for block in parsed.blocks if block.kind is BlockKind.CODE]
    assert code == ["\n".join(text.expandtabs(8) for text in LISTINGS[name])]


def pieces(text: str) -> list[tuple[int, str]]:
    """The parts of a line between tabs, and the columns at which they start."""
    found, column = [], 0
    for i, part in enumerate(text.split("\t")):
        column = (column // 8 + 1) * 8 if i else 0
        if part:
            found.append((column, part))
        column += len(part)
    return found
