from __future__ import annotations

import itertools

from opticalrag.ingest.chunking import chunk_pages
from opticalrag.ingest.config import ChunkingConfig
from opticalrag.ingest.markdown import render_page
from opticalrag.ingest.scanning import scan_markdown
from opticalrag.ingest.types import Block, BlockKind, Box, Chunk

from ..builders import WordCounter, block, document, grid, page


def chunks_of(text: str, cap: int = 64) -> list[Chunk]:
    return chunk_pages(document(), [scan_markdown(text)], WordCounter(cap))


def test_a_chunk_names_the_headings_it_stands_under() -> None:
    """The heading path is recorded, and repeated as context where the text lacks it."""
    chunks = chunks_of("# Report\n\n## Scope\n\n" + "word " * 100)

    assert [c.heading_path for c in chunks] == [("Report", "Scope")] * len(chunks)
    assert [c.context for c in chunks] == ["", "Report > Scope", "Report > Scope"][: len(chunks)]


def test_no_chunk_exceeds_the_cap_and_tokens_count_the_embedded_text() -> None:
    """The cap holds for context and text together."""
    counter = WordCounter(40)
    chunks = chunk_pages(
        document(), [scan_markdown("# " + "long " * 60 + "\n\n" + "word " * 500)], counter
    )

    assert all(c.tokens == counter.count_tokens(c.embedded_text) <= 40 for c in chunks)


def test_a_section_starts_a_new_chunk_unless_the_one_before_is_small() -> None:
    """Small sections of one rank share a chunk; a higher heading never joins."""
    chunks = chunks_of("# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n\n# D\n\nfour")

    assert [c.text for c in chunks] == ["# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree", "# D\n\nfour"]


def test_a_chunk_of_two_sections_is_placed_under_what_they_share() -> None:
    """The heading path of merged sections is true for all of the chunk's text."""
    (chunk,) = chunks_of("# A\n\n## B\n\ntwo\n\n## C\n\nthree")

    assert chunk.heading_path == ("A",)


def test_sections_of_two_pages_do_not_share_a_chunk() -> None:
    """A short section at the foot of a page is not merged with one of the next page."""
    pages = [scan_markdown("# A\n\none"), scan_markdown("## B\n\ntwo", index=1, label="2")]

    assert [c.pages for c in chunk_pages(document(2), pages, WordCounter())] == [(1,), (2,)]


def test_a_heading_stays_with_the_text_below_it() -> None:
    """No chunk ends with a heading whose section starts in the next one."""
    text = "# T\n\n" + "word " * 50 + "\n\n## Next\n\n" + "more " * 50
    chunks = chunks_of(text)

    assert all(not c.text.rstrip().endswith("## Next") for c in chunks)


def test_a_heading_with_nothing_under_it_is_kept() -> None:
    """Empty sections do not vanish."""
    assert chunks_of("# T\n\n" + "text " * 60 + "\n\n# Appendix")[-1].text == "# Appendix"


def test_every_piece_of_a_long_table_carries_its_header() -> None:
    """A table is cut between rows, and each later piece repeats its header rows."""
    rows = "\n".join(f"| row {n} | value {n} |" for n in range(40))
    chunks = chunks_of(f"## S\n\n| Name | Value |\n|---|---|\n{rows}")

    assert len(chunks) > 2
    assert all("| Name | Value |\n|---|---|" in c.embedded_text for c in chunks)
    assert "\n".join(c.text for c in chunks).count("| row ") == 40


def test_a_row_longer_than_the_cap_is_cut_inside() -> None:
    """Even one huge cell cannot break the cap, and none of it is lost."""
    cell = " ".join(f"w{n}" for n in range(200))
    chunks = chunks_of(f"| Name |\n|---|\n| {cell} |")

    assert all(c.tokens <= 64 for c in chunks)
    assert all(f"w{n}" in " ".join(c.text for c in chunks).split() for n in range(200))


def test_the_box_of_a_table_piece_covers_its_rows_only() -> None:
    """Boxes narrow to the rows a piece holds and say that they are interpolated."""
    table = Block(
        BlockKind.TABLE, Box(0.0, 0.0, 1.0, 1.0), table=grid(*[[f"a{n} b c d"] for n in range(20)])
    )
    chunks = chunk_pages(document(), [render_page(page(table))], WordCounter(40))
    boxes = [c.spans[0].boxes[0] for c in chunks]

    assert len(boxes) > 1
    assert boxes[0].y0 == 0.0
    assert boxes[-1].y1 == 1.0
    assert all(a.y1 <= b.y0 + 1e-6 for a, b in itertools.pairwise(boxes))
    assert not any(c.spans[0].exact for c in chunks)


def test_a_heading_at_the_foot_of_a_page_goes_with_the_text_on_the_next() -> None:
    """A chunk knows every page it stands on, with the boxes of each."""
    first = render_page(page(block("T", BlockKind.HEADING, 1)))
    second = render_page(page(block("two", box=(0, 0, 0.5, 0.5)), index=1, label="ii"))
    (chunk,) = chunk_pages(document(2), [first, second], WordCounter())

    assert chunk.pages == (1, 2)
    assert [s.label for s in chunk.spans] == ["1", "ii"]
    assert chunk.spans[1].boxes == (Box(0, 0, 0.5, 0.5),)


def test_a_caption_and_its_silent_figure_are_cited_together() -> None:
    """A figure without text lends its box to the chunk of its caption."""
    figure = block("", BlockKind.FIGURE, box=(0.2, 0.2, 0.8, 0.5))
    caption = block("Figure 1: Yield.", BlockKind.CAPTION, box=(0.2, 0.52, 0.8, 0.55))
    (chunk,) = chunk_pages(document(), [render_page(page(figure, caption))], WordCounter())

    assert chunk.text == "Figure 1: Yield."
    assert chunk.spans[0].boxes == (figure.box, caption.box)


def test_a_page_with_only_a_silent_figure_makes_no_chunk() -> None:
    """There is nothing to embed in a picture without words."""
    assert (
        chunk_pages(document(), [render_page(page(block("", BlockKind.FIGURE)))], WordCounter())
        == []
    )


def test_ids_stay_when_another_page_changes() -> None:
    """An edited page changes the ids of its own chunks only."""
    one, two = ("# A\n\n" + "word " * 60), ("# B\n\n" + "other " * 60)

    def ids(*texts: str) -> list[set[str]]:
        pages = [scan_markdown(t, index=n, label=str(n + 1)) for n, t in enumerate(texts)]
        made = chunk_pages(document(2), pages, WordCounter())
        return [{c.id for c in made if c.spans[0].index == n} for n in range(2)]

    before, after = ids(one, two), ids(one, two + " edited")
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_equal_texts_on_a_page_have_different_ids() -> None:
    """Repeated text does not collapse into one point."""
    chunks = chunks_of("# A\n\n" + "word " * 60 + "\n\n# A\n\n" + "word " * 60)

    assert len({c.id for c in chunks}) == len(chunks)


def test_the_target_makes_smaller_chunks_than_the_cap() -> None:
    """Paragraphs are packed up to the target, not up to the cap."""
    text = "\n\n".join("word " * 10 for _ in range(10))
    chunks = chunk_pages(
        document(), [scan_markdown(text)], WordCounter(200), ChunkingConfig(target_tokens=40)
    )

    assert max(c.tokens for c in chunks) <= 40
