from __future__ import annotations

import itertools
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from opticalrag.ingest.chunking import chunk_pages
from opticalrag.ingest.config import ChunkingConfig
from opticalrag.ingest.markdown import PageMarkdown, render_page, scan_markdown
from opticalrag.ingest.splitting import split_text
from opticalrag.ingest.types import Block, BlockKind, Box, TableGrid

from ..builders import CharacterCounter, document, grid, page

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1
)
BOXES = st.tuples(*[st.floats(0, 1)] * 4).map(lambda t: Box.clipped(*t))
GRIDS = st.integers(1, 4).flatmap(
    lambda cols: st.lists(
        st.lists(st.text("abc |\n", max_size=30), min_size=cols, max_size=cols),
        min_size=1,
        max_size=12,
    ).map(lambda rows: grid(*rows))
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    kind = draw(st.sampled_from(BlockKind))
    table: TableGrid | None = draw(GRIDS) if kind is BlockKind.TABLE else None
    return Block(kind, draw(BOXES), draw(WORDS), draw(st.integers(0, 4)), table)


@st.composite
def documents(draw: st.DrawFn) -> list[PageMarkdown]:
    pages = draw(st.lists(st.lists(blocks(), max_size=8), min_size=1, max_size=4))
    return [render_page(page(*b, index=n), "keep") for n, b in enumerate(pages)]


def words(text: str) -> Counter[str]:
    return Counter(re.sub(r"\s+", "", text))


@settings(max_examples=300, deadline=None)
@given(documents(), st.integers(40, 200))
def test_chunks_hold_all_text_once_within_the_cap(pages: list[PageMarkdown], cap: int) -> None:
    """Nothing is lost or invented, no cap is broken, offsets reproduce the text."""
    counter = CharacterCounter(cap)
    chunks = chunk_pages(document(len(pages)), pages, counter, ChunkingConfig(cap))

    assert all(c.tokens == counter.count_tokens(c.embedded_text) <= cap for c in chunks)
    assert sum((words(c.text) for c in chunks), Counter()) == sum(
        (words(p.text) for p in pages), Counter()
    )
    for c in chunks:
        slices = [pages[s.index].text[s.start : s.end] for s in c.spans]
        assert c.text == "\n\n".join(s for s in slices if s)
        assert list(c.pages) == sorted(set(c.pages))
    assert len({c.id for c in chunks}) == len(chunks)
    assert chunks == chunk_pages(document(len(pages)), pages, counter, ChunkingConfig(cap))


@given(st.text(max_size=400), st.integers(1, 50))
def test_splitting_covers_all_but_white_space(text: str, size: int) -> None:
    """Pieces are ordered, fit, are not empty, and leave out white space only."""
    pieces = list(split_text(text, lambda a, b: b - a <= size))

    assert all(0 < b - a <= size for a, b in pieces)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))
    kept = "".join(text[a:b] for a, b in pieces)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", text)


@given(st.text(st.sampled_from("ab #`~|-$\n\t.1"), max_size=200))
def test_any_markdown_is_located_without_loss(text: str) -> None:
    """Located blocks are ordered, inside the text, and leave out white space only."""
    spans = scan_markdown(text).blocks

    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    kept = "".join(text[s.start : s.end] for s in spans)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", text)
