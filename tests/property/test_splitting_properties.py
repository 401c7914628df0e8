from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.chunking.text_cutting import cut_text, last_sentences
from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.markdown.delimiters import Nesting, inner_spans, protected_ranges, wrap
from opticalrag.ingest.markdown.parse import parse_markdown

from .strategies import FORMULAS


@given(st.text(max_size=400), st.integers(1, 50), st.integers(1, 50))
def test_splitting_covers_all_but_white_space(text: str, first: int, size: int) -> None:
    """Pieces are ordered, fit, are not empty, and leave out only white space."""
    pieces = list(cut_text(text, lambda a, b: b - a, lambda at: size if at else first))

    assert all(0 < b - a <= max(first, size) for a, b in pieces)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))
    kept = "".join(text[a:b] for a, b in pieces)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", text)


@given(st.text(max_size=300), st.integers(1, 60))
def test_the_last_sentences_are_the_end_of_the_text(text: str, size: int) -> None:
    """The result fits and is the end of the text."""
    tail = last_sentences(text, lambda t: len(t) <= size)

    assert len(tail) <= size
    assert text.rstrip().endswith(tail)


@given(FORMULAS, st.integers(0, 300), st.integers(0, 300))
def test_a_piece_of_latex_is_balanced(text: str, a: int, b: int) -> None:
    """Groups and environments are closed in any part of a formula."""
    spans = inner_spans(BlockKind.FORMULA, text, 0, len(text))
    tokens = protected_ranges(spans, 0)
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    if any(x < at < y for x, y in tokens for at in (start, end)):
        return
    piece = wrap(Nesting(spans), text, start, end)

    assert piece.count("{") == piece.count("}")
    assert piece.count("\\begin") == piece.count("\\end")


@given(st.text(st.sampled_from("ab #`~|-$\n\t.1<table></td>["), max_size=200))
def test_any_markdown_is_located_without_loss(text: str) -> None:
    """Located blocks are ordered, inside the text, and leave out only white space."""
    spans = parse_markdown(text).blocks

    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    kept = "".join(text[s.start : s.end] for s in spans)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", text)
