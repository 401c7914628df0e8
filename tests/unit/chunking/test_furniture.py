from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.chunking.furniture import (
    find_running_blocks,
    note_furniture,
    write_pages,
)
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.records import BlockKind, ParsedPage
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import WordCounter, block, document, page


def left_out(*texts: str) -> set[str]:
    """Running lines of pages without boxes."""
    return names([parse_markdown(text, index=n) for n, text in enumerate(texts)])


def names(pages: list[PageMarkdown]) -> set[str]:
    return {
        pages[p].text[b.start : b.end]
        for p, index in find_running_blocks(pages)
        for b in pages[p].blocks
        if b.index == index
    }


def headed(n: int, *heads: str) -> PageMarkdown:
    """A page with lines in its top margin."""
    lines = [
        block(h, box=(0.1, 0.02 + 0.02 * i, 0.9, 0.03 + 0.02 * i)) for i, h in enumerate(heads)
    ]
    return page_markdown(page(*lines, block(f"Text {n}."), block(f"More of {n}."), index=n))


def body(n: int) -> str:
    return f"First text of {n}.\n\nSecond text of {'x' * n}."


def test_a_line_on_top_of_most_pages_is_a_running_head() -> None:
    """Shared heads are not text; left and right pages may have different ones."""
    heads = ["Annual Report", "ACME Corp."]

    assert names([headed(n, heads[n % 2]) for n in range(6)]) == set(heads)


def test_page_numbers_are_found_by_counting() -> None:
    """A number that grows with the pages is found, also between words."""
    assert left_out(*[f"{body(n)}\n\nPage {n + 7} of 20" for n in range(4)]) == {
        f"Page {n + 7} of 20" for n in range(4)
    }


def test_numbered_questions_are_text() -> None:
    """Numbered lines that look alike are not furniture."""
    assert left_out(*[f"Question {n + 1}\n\n{body(n)}" for n in range(5)]) == set()


def test_a_page_number_in_the_margin_is_found_with_its_words() -> None:
    """With boxes, footers are recognized by the margin."""

    def made(n: int) -> PageMarkdown:
        footer = block(f"Turbines for everyone {n + 1}", box=(0.1, 0.95, 0.9, 0.97))
        return page_markdown(page(block(body(n)), block("more"), footer, index=n))

    pages = [made(n) for n in range(4)]
    assert len(find_running_blocks(pages)) == 4


def test_two_pages_are_too_few() -> None:
    """A line on two pages may be text."""
    assert left_out(*[f"Same\n\n{body(n)}" for n in range(2)]) == set()


def test_pages_of_a_single_line_are_kept() -> None:
    """A slide with the same text as others keeps it."""
    assert left_out(*["Intermission"] * 5) == set()


def test_a_clause_repeated_below_its_headings_is_text() -> None:
    """Only the outermost lines of a page can be running lines."""
    clause = "This clause is for demonstration."
    pages = [
        f"## Part {'x' * n}\n\n{clause}\n\nMore of {n}.\n\nEnd of {'y' * n}." for n in range(5)
    ]

    assert left_out(*pages) == set()


def test_a_second_running_line_is_found() -> None:
    """Heads of two lines are found completely."""
    assert names([headed(n, "ACME", "Annual Report") for n in range(4)]) == {
        "ACME",
        "Annual Report",
    }


def test_repeated_lines_outside_the_margin_are_text() -> None:
    """With boxes, a running line must be in the margin."""

    def made(n: int) -> PageMarkdown:
        same = block("The same line.", box=(0.1, 0.3, 0.9, 0.4))
        return page_markdown(page(same, block(f"Text {n}"), block(f"More {n}"), index=n))

    assert find_running_blocks([made(n) for n in range(5)]) == frozenset()


def test_repeated_lines_without_boxes_are_text() -> None:
    """Every invoice repeats a heading, every test report a verdict."""
    pages = [f"## Invoice\n\n{body(n)}\n\n## Defects\n\nNone." for n in range(5)]
    results = [f"# Test case {n}\n\n{body(n)}\n\nResult: passed" for n in range(5)]

    assert left_out(*pages) == left_out(*results) == set()


def labelled(n: int, head: str = "", foot: str = "", label: str | None = None) -> ParsedPage:
    """A page whose edges an engine took for a header and a footer."""
    edges = [
        block(head, BlockKind.PAGE_HEADER, box=(0.1, 0.03, 0.9, 0.06)),
        block(body(n), box=(0.1, 0.2, 0.9, 0.8)),
        block(foot, BlockKind.PAGE_FOOTER, box=(0.1, 0.94, 0.9, 0.97)),
    ]
    return page(*edges, index=n, label=label)


def gone(*pages: ParsedPage) -> list[str]:
    """What is left out of the text of a document."""
    return [text for one in write_pages(pages, "metadata") for text in one.furniture]


@pytest.mark.parametrize(
    ("head", "foot"),
    [
        ("Invoice 2031-447", "Pay by 30 June to account 77-1234 of Tarn Bank."),
        ("Chapter 3", "Total for the year: 48,200 crowns"),
        ("10", "2"),
    ],
)
@pytest.mark.parametrize("others", [0, 1, 5])
def test_the_label_of_an_engine_alone_leaves_nothing_out(head: str, foot: str, others: int) -> None:
    """A header or footer that stands on one page only is text."""
    pages = [
        labelled(0, head, foot),
        *(page(block(body(n)), index=n) for n in range(1, others + 1)),
    ]

    assert gone(*pages) == []
    chunks = chunk_pages(document(), write_pages(pages, "metadata"), WordCounter(64))
    text = "\n".join(chunk.text for chunk in chunks)
    assert head in text
    assert foot in text


@pytest.mark.parametrize("heads", [("ACME",), ("ACME", "Annual Report")])
def test_labelled_heads_of_three_pages_are_left_out(heads: tuple[str, ...]) -> None:
    """Three pages of a long document are enough if the engine labelled the line."""
    pages = [labelled(n, heads[n % len(heads)]) for n in range(3 * len(heads))]
    pages += [labelled(n) for n in range(len(pages), 20)]

    assert gone(*pages) == [heads[n % len(heads)] for n in range(3 * len(heads))]


@pytest.mark.parametrize(
    ("foot", "label", "is_number"),
    [
        ("Page 3 of 4", None, True),
        ("- 3 -", None, True),
        ("3 / 4", None, True),
        ("iv", "iv", True),
        ("17", "17", True),
        ("Page 7 of 9", None, False),
        ("3 crowns", None, False),
        ("mild", "mild", False),
    ],
)
def test_a_lone_page_is_without_its_number(foot: str, label: str | None, is_number: bool) -> None:
    """Of a short document only the number of the page itself is left out."""
    assert gone(labelled(2, foot=foot, label=label)) == ([foot] if is_number else [])


def test_the_same_head_on_both_pages_of_a_letter_is_text() -> None:
    """Two pages are too few: the name or number in the head may stand nowhere else."""
    assert gone(*(labelled(n, "File 12-B, Tarn County") for n in range(2))) == []


def test_numbers_of_front_matter_and_text_are_found() -> None:
    """Pages that count from different numbers, also in Roman numerals, are two groups."""
    feet = ["ii", "iii", "iv", "v", "1", "2", "3", "4"]

    assert gone(*(labelled(n, foot=foot) for n, foot in enumerate(feet))) == feet


def test_a_labelled_head_confirms_the_same_line_that_was_not_labelled() -> None:
    """The engine need not label a running head on every page."""
    parsed = [labelled(n, "ACME") for n in range(8)]
    plain = block("ACME", box=(0.1, 0.03, 0.9, 0.06))
    parsed += [page(plain, block(body(n)), block("more"), index=n) for n in (8, 9)]

    assert gone(*parsed) == ["ACME"] * 10


def test_labelled_lines_in_mid_page_are_text() -> None:
    """A raised exponent or a heading with text above it is not at the edge."""
    middle = [
        page(
            block(body(n), box=(0.1, 0.21, 0.9, 0.28)),
            block("2", BlockKind.PAGE_HEADER, box=(0.5, 0.3, 0.52, 0.31)),
            block("more", box=(0.1, 0.32, 0.9, 0.4)),
            index=n,
        )
        for n in range(5)
    ]

    assert gone(*middle) == []


@pytest.mark.parametrize("bottom", [0.3, 0.6])
def test_the_number_below_a_short_page_is_found(bottom: float) -> None:
    """A page number in mid page counts if the text ends above it."""
    pages = [
        page(
            block(body(n), box=(0.1, 0.2, 0.9, bottom)),
            block(str(n + 3), BlockKind.PAGE_FOOTER, box=(0.5, bottom + 0.1, 0.52, bottom + 0.11)),
            index=n,
        )
        for n in range(4)
    ]

    assert gone(*pages) == ["3", "4", "5", "6"]


@pytest.mark.parametrize("number", ["2031-44{}", "NR44{}", "4{}.50"])
@pytest.mark.parametrize("words", ["Invoice {}", "Invoice {} of Tarn Bank"])
def test_numbers_of_a_batch_of_invoices_are_text(words: str, number: str) -> None:
    """A number that grows with the pages is not theirs if it is part of another one."""
    heads = [words.format(number.format(n + 1)) for n in range(5)]

    assert gone(*(labelled(n, head) for n, head in enumerate(heads))) == []


def test_the_only_lines_of_pages_are_kept() -> None:
    """Pictures with a name below them keep it."""
    pages = [page(block("Annex A", BlockKind.PAGE_FOOTER), index=n) for n in range(4)]

    assert gone(*pages) == []


def test_what_is_left_out_is_noted() -> None:
    """Chunks lack a running head; the notes of their pages list it, and the text has it."""
    pages = write_pages([labelled(n, "ACME", f"Page {n + 1}") for n in range(3)], "keep")
    noted = note_furniture(pages)

    assert [one.furniture for one in noted] == [("ACME", f"Page {n}") for n in (1, 2, 3)]
    assert [one.text for one in noted] == [one.text for one in pages]
    dropped = chunk_pages(document(), pages, WordCounter(64))
    kept = chunk_pages(document(), pages, WordCounter(64), ChunkingConfig(furniture="keep"))
    assert not any("ACME" in chunk.text for chunk in dropped)
    assert sum("ACME" in chunk.text for chunk in kept) == 3


def test_an_edge_line_shares_the_chunk_of_its_page() -> None:
    """A header shares the chunk of the block after it, a footer that of the block before it."""
    heading = block("Rates", BlockKind.HEADING, 1, box=(0.1, 0.1, 0.9, 0.15))
    one = labelled(0, "Invoice 2031-447", "Pay by 30 June.")
    pages = write_pages([page(one.blocks[0], heading, *one.blocks[1:])], "metadata")

    assert len(chunk_pages(document(), pages, WordCounter(64))) == 1


def test_a_paragraph_is_joined_around_the_edges_of_pages() -> None:
    """Edge lines that are text do not interrupt a sentence over a page break."""
    left = [
        block("The clerk counts every ferry that leaves the", box=(0.1, 0.2, 0.9, 0.8)),
        block("Paid on 3 May", BlockKind.PAGE_FOOTER, box=(0.1, 0.94, 0.9, 0.97)),
    ]
    right = [
        block("Invoice 2031-447", BlockKind.PAGE_HEADER, box=(0.1, 0.03, 0.9, 0.06)),
        block("basin after sunset.", box=(0.1, 0.2, 0.9, 0.8)),
    ]
    pages = write_pages([page(*left), page(*right, index=1)], "metadata")

    text = "\n".join(chunk.text for chunk in chunk_pages(document(), pages, WordCounter(64)))
    assert "leaves the basin after sunset." in text
    assert "Invoice 2031-447" in text


@given(st.lists(st.text("aB1 -/iv.", min_size=1, max_size=12), min_size=1, max_size=9))
def test_text_is_kept_or_listed(feet: list[str]) -> None:
    """Every word of a page is in its text or in its furniture."""
    parsed = [labelled(n, foot=foot) for n, foot in enumerate(feet)]
    for one, foot in zip(write_pages(parsed, "drop"), feet, strict=True):
        shown = "\n".join((one.text, *one.furniture))
        assert all(word in shown for word in foot.split())
