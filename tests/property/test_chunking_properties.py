from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.chunking.flow import build_flow
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.protocols import TokenCounter
from opticalrag.ingest.core.records import BlockKind, Chunk
from opticalrag.ingest.markdown.render import PageMarkdown

from ..builders import CharacterCounter, document
from ..counters import COUNTERS
from .strategies import documents


def letters(text: str) -> Counter[str]:
    return Counter(c for c in text if c.isalnum())


def held_once(page: PageMarkdown, number: int, chunks: list[Chunk]) -> None:
    """Every character of a page is in exactly one range, except the marks between cells."""
    times = [0] * len(page.text)
    for chunk in chunks:
        for span in chunk.spans:
            for start, end in span.ranges if span.index == number else ():
                assert 0 <= start < end <= len(page.text)
                for at in range(start, end):
                    times[at] += 1
    assert max(times, default=0) <= 1
    for block in page.blocks:
        missing = [at for at in range(block.start, block.end) if not times[at]]
        left = "".join(page.text[at] for at in missing)
        if block.kind is BlockKind.TABLE:
            left = re.sub(r"</?t\w+[^<>]*>|[|\\:-]", "", left)
        if block.kind is BlockKind.HEADING:
            left = left.strip("#")  # of a heading that is a caption
        assert not left.strip()


def reference(pages: list[PageMarkdown]) -> Iterator[str]:
    """The text that chunks may contain: the text of the elements."""
    for element in build_flow(pages, drop_running=False):
        yield element.text
        if element.table:
            yield " ".join(element.table.names)
            for row in element.table.rows:
                yield from row.cells


def check(pages: list[PageMarkdown], counter: TokenCounter, config: ChunkingConfig) -> None:
    chunks = chunk_pages(document(len(pages)), pages, counter, config)
    cap = config.max_tokens or 0

    assert all(c.tokens == counter.count_tokens(c.embedded_text) <= cap for c in chunks)
    for page in pages:
        held_once(page, page.index, chunks)
    said = sum((letters(text) for text in reference(pages)), Counter())
    shown = sum((letters(c.embedded_text) for c in chunks), Counter())
    assert not said - shown, "text was lost"
    whole = "\n".join(reference(pages)) + "\n".join(page.text for page in pages)
    for c in chunks:
        words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\(?:left|right|begin|end)\b", "", c.text))
        assert all(word in whole for word in words), "text was invented"
        assert list(c.pages) == sorted(set(c.pages))
        assert [s.index for s in c.spans] == sorted({s.index for s in c.spans})
    assert len({c.id for c in chunks}) == len(chunks)
    assert chunks == chunk_pages(document(len(pages)), pages, counter, config)


@settings(max_examples=400)
@given(documents(), st.integers(40, 200), st.sampled_from([0, 0, 10]))
def test_chunks_hold_all_text_once_within_the_cap(
    pages: list[PageMarkdown], cap: int, overlap: int
) -> None:
    """No text is lost or invented, no cap is exceeded, and offsets reproduce the text."""
    check(pages, CharacterCounter(cap), ChunkingConfig(cap, None, overlap, "keep"))


@pytest.mark.parametrize("name", COUNTERS)
@settings(max_examples=250)
@given(pages=documents(), cap=st.integers(32, 128), overlap=st.sampled_from([0, 0, 12]))
def test_real_tokenizers_never_see_more_than_the_cap(
    name: str, pages: list[PageMarkdown], cap: int, overlap: int
) -> None:
    """The cap also holds for the tokens of WordPiece, a large BPE and SentencePiece."""
    check(pages, COUNTERS[name](), ChunkingConfig(cap, None, overlap, "keep"))


@settings(max_examples=200)
@given(documents(), st.integers(150, 400))
def test_delimiters_are_balanced_in_every_chunk(pages: list[PageMarkdown], cap: int) -> None:
    """Pieces of formulas, code and groups are closed and opened again."""
    elements = {u.kind: u for u in build_flow(pages, drop_running=False)}
    for chunk in chunk_pages(
        document(len(pages)), pages, CharacterCounter(cap), ChunkingConfig(cap, furniture="keep")
    ):
        if chunk.kinds == (BlockKind.FORMULA,) and elements[BlockKind.FORMULA].text.startswith(
            "$$"
        ):
            assert chunk.text.count("$$") % 2 == 0
            assert chunk.text.count("\\begin") == chunk.text.count("\\end")
            assert chunk.text.count("\\left") == chunk.text.count("\\right")
            assert chunk.text.count("{") == chunk.text.count("}")
        if chunk.kinds == (BlockKind.CODE,):
            assert len(re.findall(r"^`{3,}", chunk.text, re.MULTILINE)) % 2 == 0
