from __future__ import annotations

import pytest

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.records import BlockKind, Box, Chunk
from opticalrag.ingest.markdown.parse import parse_markdown
from opticalrag.ingest.markdown.render import page_markdown

from ...builders import WordCounter, block, document, page


def chunks_of(text: str, cap: int = 64) -> list[Chunk]:
    return chunk_pages(document(), [parse_markdown(text)], WordCounter(cap))


def test_a_chunk_has_the_headings_above_it() -> None:
    """The heading path is recorded, and repeated as context if the text lacks it."""
    chunks = chunks_of("# Report\n\n## Scope\n\n" + "word " * 100)

    assert [c.heading_path for c in chunks] == [("Report", "Scope")] * len(chunks)
    assert [c.context for c in chunks] == ["", "Report > Scope", "Report > Scope"][: len(chunks)]


def test_no_chunk_exceeds_the_cap_and_tokens_count_the_embedded_text() -> None:
    """The cap applies to context and text together."""
    counter = WordCounter(40)
    chunks = chunk_pages(
        document(), [parse_markdown("# " + "long " * 60 + "\n\n" + "word " * 500)], counter
    )

    assert all(c.tokens == counter.count_tokens(c.embedded_text) <= 40 for c in chunks)


def test_a_section_starts_a_new_chunk_unless_the_one_before_is_small() -> None:
    """Small sections of one rank share a chunk; a higher heading never joins."""
    chunks = chunks_of("# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n\n# D\n\nfour")

    assert [c.text for c in chunks] == ["# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree", "# D\n\nfour"]


def test_a_chunk_of_two_sections_has_their_common_path() -> None:
    """The heading path of merged sections applies to all of the chunk's text."""
    (chunk,) = chunks_of("# A\n\n## B\n\ntwo\n\n## C\n\nthree")

    assert chunk.heading_path == ("A",)


def test_sections_of_two_pages_do_not_share_a_chunk() -> None:
    """A short section at the foot of a page is not merged with one of the next page."""
    pages = [parse_markdown("# A\n\none"), parse_markdown("## B\n\ntwo", index=1, label="2")]

    assert [c.pages for c in chunk_pages(document(2), pages, WordCounter())] == [(1,), (2,)]


def test_a_heading_stays_with_the_text_below_it() -> None:
    """No chunk ends with a heading whose section starts in the next one."""
    text = "# T\n\n" + "word " * 50 + "\n\n## Next\n\n" + "more " * 50
    chunks = chunks_of(text)

    assert all(not c.text.rstrip().endswith("## Next") for c in chunks)


def test_a_heading_with_nothing_under_it_is_kept() -> None:
    """Empty sections do not vanish."""
    assert chunks_of("# T\n\n" + "text " * 60 + "\n\n# Appendix")[-1].text == "# Appendix"


def test_a_heading_at_the_foot_of_a_page_goes_with_the_text_on_the_next() -> None:
    """The chunk has the spans and boxes of both pages."""
    first = page_markdown(page(block("T", BlockKind.HEADING, 1)))
    second = page_markdown(page(block("two", box=(0, 0, 0.5, 0.5)), index=1, label="ii"))
    (chunk,) = chunk_pages(document(2), [first, second], WordCounter())

    assert chunk.pages == (1, 2)
    assert [s.label for s in chunk.spans] == ["1", "ii"]
    assert chunk.spans[1].boxes == (Box(0, 0, 0.5, 0.5),)


def test_a_caption_and_its_silent_figure_are_cited_together() -> None:
    """The chunk of the caption has the box of a figure without text."""
    figure = block("", BlockKind.FIGURE, box=(0.2, 0.2, 0.8, 0.5))
    caption = block("Figure 1: Yield.", BlockKind.CAPTION, box=(0.2, 0.52, 0.8, 0.55))
    (chunk,) = chunk_pages(document(), [page_markdown(page(figure, caption))], WordCounter())

    assert chunk.text == "Figure 1: Yield."
    assert chunk.spans[0].boxes == (figure.box, caption.box)


def test_a_page_with_only_a_silent_figure_makes_no_chunk() -> None:
    """A picture without words has nothing to embed."""
    assert (
        chunk_pages(document(), [page_markdown(page(block("", BlockKind.FIGURE)))], WordCounter())
        == []
    )


def test_ids_stay_when_another_page_changes() -> None:
    """An edited page changes only the ids of its own chunks."""
    one, two = ("# A\n\n" + "word " * 60), ("# B\n\n" + "other " * 60)

    def ids(*texts: str) -> list[set[str]]:
        pages = [parse_markdown(t, index=n, label=str(n + 1)) for n, t in enumerate(texts)]
        made = chunk_pages(document(2), pages, WordCounter())
        return [{c.id for c in made if c.spans[0].index == n} for n in range(2)]

    before, after = ids(one, two), ids(one, two + " edited")
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_equal_texts_on_a_page_have_different_ids() -> None:
    """Repeated text does not become one point."""
    chunks = chunks_of("# A\n\n" + "word " * 60 + "\n\n# A\n\n" + "word " * 60)

    assert len({c.id for c in chunks}) == len(chunks)


def test_the_target_makes_smaller_chunks_than_the_cap() -> None:
    """Paragraphs are packed up to the target, not up to the cap."""
    text = "\n\n".join("word " * 10 for _ in range(10))
    chunks = chunk_pages(
        document(), [parse_markdown(text)], WordCounter(200), ChunkingConfig(target_tokens=40)
    )

    assert max(c.tokens for c in chunks) <= 40


def test_a_paragraph_over_a_page_break_cites_both_pages_and_reads_as_one() -> None:
    """The word at the page break is whole, and the slices of both pages contain its parts."""
    texts = ("It was stopped in May because the tur-", "bine had lost a blade.")
    pages = [parse_markdown(t, index=n, label=str(n + 1)) for n, t in enumerate(texts)]
    (chunk,) = chunk_pages(document(2), pages, WordCounter())

    assert chunk.text == "It was stopped in May because the turbine had lost a blade."
    assert chunk.pages == (1, 2)
    assert [t[a:b] for t, s in zip(texts, chunk.spans, strict=True) for a, b in s.ranges] == list(
        texts
    )


def test_list_items_of_a_later_chunk_repeat_the_sentence_that_leads_to_them() -> None:
    """An item alone does not say to which list it belongs."""
    items = "\n".join(f"- item {n} of a list with several words" for n in range(30))
    chunks = chunks_of(f"Some intro. Each turbine needs:\n\n{items}")

    assert len(chunks) > 2
    assert all("Each turbine needs:" in c.embedded_text for c in chunks)
    assert all("Some intro." not in c.context for c in chunks)


def test_a_footnote_shares_the_chunk_of_its_reference() -> None:
    """A note is found together with its text, and both regions are cited."""
    blocks = [block(f"Text {n} " + "word " * 30) for n in range(4)]
    blocks[0] = block("The pump* " + "word " * 30, box=(0.1, 0.1, 0.9, 0.2))
    blocks.append(block("* Made in 2020.", BlockKind.FOOTNOTE, box=(0.1, 0.9, 0.9, 0.95)))
    chunks = chunk_pages(document(), [page_markdown(page(*blocks))], WordCounter(64))
    (holder,) = [c for c in chunks if "Made in 2020" in c.text]

    assert "The pump*" in holder.text
    assert len(holder.spans[0].ranges) == 2
    assert Box(0.1, 0.9, 0.9, 0.95) in holder.spans[0].boxes


def test_overlap_repeats_whole_sentences_of_the_previous_chunk() -> None:
    """Overlap is in the context, so that no text is cited twice; it never crosses a page break."""
    text = " ".join(f"Sentence number {n} is here." for n in range(40))
    pages = [parse_markdown(text, index=n, label=str(n + 1)) for n in range(2)]
    chunks = chunk_pages(document(2), pages, WordCounter(64), ChunkingConfig(overlap_tokens=12))
    first, second = chunks[0], chunks[1]

    assert second.context
    assert first.text.endswith(second.context)
    assert second.context.startswith("Sentence")
    assert all(c.tokens <= 64 for c in chunks)
    assert [c.context for c in chunks if c.spans[0].ranges[0][0] == 0] == ["", ""]


def test_a_short_last_chunk_takes_text_of_the_previous_one() -> None:
    """Two chunks of a section have about equal size, instead of a full one and a stub."""
    chunks = chunks_of("# T\n\n" + "\n\n".join("word " * 10 for _ in range(6)))

    assert min(c.tokens for c in chunks) > 20


def test_the_pieces_of_a_long_paragraph_are_about_even() -> None:
    """The last piece is not just a few words."""
    sizes = [c.tokens for c in chunks_of(" ".join(f"Sentence {n} is here." for n in range(70)))]

    assert min(sizes) > 0.6 * max(sizes)


def test_an_edit_changes_the_chunks_of_its_page_only() -> None:
    """Every page begins a new chunk, also within one long section."""
    texts = ["# Section\n\n" + "\n\n".join(f"Text {p} {n}. " * 9 for n in range(9)) for p in "abc"]
    texts[1:] = [t.removeprefix("# Section\n\n") for t in texts[1:]]

    def ids(*made: str) -> dict[int, set[str]]:
        pages = [parse_markdown(t, index=n, label=str(n + 1)) for n, t in enumerate(made)]
        chunks = chunk_pages(document(3), pages, WordCounter())
        return {n: {c.id for c in chunks if c.pages == (n,)} for n in (1, 2, 3)}

    before = ids(*texts)
    after = ids(
        texts[0], texts[1].replace("Text b 4.", "Words that are longer than before."), texts[2]
    )
    assert (before[1], before[3]) == (after[1], after[3])
    assert before[2] != after[2]


def test_a_long_listing_is_fenced_in_every_piece() -> None:
    """Pieces of code are closed and opened again."""
    code = "```python\n" + "\n".join(f"value_{n} = {n} + {n}" for n in range(60)) + "\n```"
    formula = "$$\n" + " + ".join(f"x_{{{n}}} y" for n in range(120)) + "\n$$"
    for text, opens, closes in ((code, "```python\n", "\n```"), (formula, "$$\n", "\n$$")):
        chunks = chunks_of(text)
        assert len(chunks) > 1
        assert all(c.text.startswith(opens) and c.text.endswith(closes) for c in chunks)


def test_running_heads_are_left_out_unless_they_are_kept() -> None:
    """Text that repeats on every page would match every query."""
    pages = [
        page_markdown(
            page(
                block("ACME Report", box=(0.1, 0.02, 0.9, 0.04)),
                block(f"Text {'x' * n}."),
                block(f"More of {n}."),
                index=n,
            )
        )
        for n in range(4)
    ]
    kept = ChunkingConfig(furniture="keep")

    assert not any("ACME" in c.text for c in chunk_pages(document(4), pages, WordCounter()))
    assert all("ACME" in c.text for c in chunk_pages(document(4), pages, WordCounter(), kept))


def test_a_chunk_knows_its_language() -> None:
    """The language is detected for the whole page."""
    texts = [
        "Die Turbine stand im Mai still, weil die Pumpe ersetzt wurde.",
        "The pump was old." * 4,
    ]
    pages = [parse_markdown(t, index=n) for n, t in enumerate(texts)]

    assert [c.language for c in chunk_pages(document(2), pages, WordCounter())] == ["de", "en"]


def test_nested_list_items_keep_their_indent() -> None:
    """A list reads in a chunk as it does on its page."""
    (chunk,) = chunks_of("- Fruits\n    - Apple\n    - Pear")

    assert chunk.text == "- Fruits\n    - Apple\n    - Pear"


def test_an_endless_word_is_cut_although_it_is_one_token() -> None:
    """A chunk is bounded in characters, too: it is stored, shown and paid for as a whole."""
    text = "x" * 50_000
    chunks = chunk_pages(document(), [parse_markdown(text)], WordCounter(64))

    assert "".join(c.text for c in chunks) == text
    assert max(len(c.embedded_text) for c in chunks) <= (64 + 1) * 16


def test_more_tokens_than_the_embedder_reads_are_refused() -> None:
    """A higher cap would silently leave text out of the embedding."""
    with pytest.raises(ConfigError, match="reads only 64 tokens"):
        chunk_pages(document(), [], WordCounter(64), ChunkingConfig(max_tokens=65))


def test_blocks_that_count_nothing_are_bounded_by_their_characters() -> None:
    """Zero-width characters are not tokens, but a chunk of them is long."""
    chunks = chunk_pages(document(), [parse_markdown("\u200b\n\n" * 3000)], WordCounter(64))

    assert max(len(c.text) for c in chunks) <= 65 * 16


def test_nested_items_keep_their_relative_indentation() -> None:
    """The first item of a chunk loses its indentation, and so do its siblings."""
    items = "\n".join(f"  - Office {n} of the northern region" for n in range(40))
    chunks = chunks_of(f"Offices:\n\n- Region 2\n{items}", cap=64)

    assert len(chunks) > 2
    assert all("\n-" in c.text and "\n  -" not in c.text for c in chunks[1:])
    assert all(c.context.endswith("Offices:\n- Region 2") for c in chunks[1:])
