from __future__ import annotations

from opticalrag.ingest.chunking.furniture import find_running_blocks
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import PageMarkdown, page_markdown

from ...builders import block, page


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
