"""Counts of whole and broken markers and cells."""

from __future__ import annotations

import time

import pytest

from opticalrag.ingest.engines.deepseek_ocr.grounding.grammar import count_markup
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.ingest.engines.quality.assessment import Markup

WHOLE = "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 400]]<|/det|>\nwords\n\n"


@pytest.mark.parametrize(
    "marker",
    [
        WHOLE,
        "<|ref|>text<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>",
        "<|ref|>image<|/ref|><|det|>[[10, 20, 300, 400], [310, 20, 600, 400]]<|/det|>",
        "<|ref|>image<|/ref|><|det|>[[10, 20, 10, 400], [310, 20, 600, 400]]<|/det|>",
        "<|ref|>Total < 5 [1, 2]\nof all<|/ref|><|det|>[[10,20,300,400]]<|/det|>",
        "<|ref|>seal<|/ref|>\n<|det|>[[ 10 , 20, 300, 400 ]]<|/det|>",
    ],
)
def test_whole_markers(marker: str) -> None:
    """With any label, several boxes, and spaces as the model writes them."""
    assert count_markup(marker, truncated=False) == Markup(1, 0)


@pytest.mark.parametrize(
    "marker",
    [
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 400, 500]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 1000]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[-10, 20, 300, 400]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[300, 20, 10, 400]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 20]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 400]]\nwords",
        "<|ref|>text<|/ref|> words",
        "<|ref|>text<|det|>[[10, 20, 300, 400]]<|/det|>",
        "<|ref|>text words",
        "<|det|>[[10, 20, 300, 400]]<|/det|>",
        "text<|/ref|><|det|>[[10, 20, 300, 400]]<|/det|>",
    ],
)
def test_broken_markers(marker: str) -> None:
    """Without a box, or with part of the marker missing."""
    assert count_markup(marker, truncated=False) == Markup(1, 1)
    assert count_markup(WHOLE + marker + "\n" + WHOLE, truncated=False) == Markup(3, 1)


def test_the_marker_in_which_the_model_was_stopped_is_not_counted() -> None:
    """A marker that the model itself left unfinished is counted as broken."""
    for cut in (
        *("<|ref|>", "<|ref|>te", "<|ref|>text<|/ref|>", "<|ref|>text<|/ref|><|det|>[[10, 2"),
        "<|ref|>text<|/ref|><|det|>[[10, 20, 300, 400]]",
    ):
        assert count_markup(WHOLE + cut, truncated=True) == Markup(1, 0)
        assert count_markup(WHOLE + cut, truncated=False) == Markup(2, 1)
    assert count_markup(WHOLE + "wor", truncated=True) == Markup(1, 0)


@pytest.mark.parametrize(
    "broken", ["<|ref|>text\nwords", "<|ref|>text<|/ref|>\nwords", "<|ref|>a<|/ref|><|det|>words"]
)
def test_a_marker_with_text_after_it_is_not_the_one_the_model_was_stopped_in(broken: str) -> None:
    """It is broken, and the cells after it still count."""
    cut = WHOLE + broken + " <table><tr><td>a</td><td>b</td><td>c"
    assert count_markup(cut, truncated=True) == Markup(4, 1)


@pytest.mark.parametrize(
    ("cells", "count", "broken"),
    [
        ('<table><tr><td rowspan="2">a</td><th></th></tr></table>', 2, 0),
        ("<table><tr><td>a<td>b</td></tr></table>", 2, 1),
        ("<table><tr><td>a</td>b</td></tr></table>", 2, 1),
        ("</td></tr><tr><td></tr></table>", 1, 1),
        ("a <thead> and a <tdx>", 0, 0),
        ("<td>a <table><tr><td>b</td><td>c</td></tr></table></td><td>d</td>", 4, 0),
        ("<td><table><td><table><td>a</td></table></td></table></td>", 3, 0),
        ("<td><table><td>a</td><td>b</table></td>", 3, 1),
        ("<td><table><td>a</td></td>", 2, 1),
        ("<td>a</td><table><td>b</td></table></table>", 2, 0),
    ],
)
def test_a_cell_is_closed_before_the_next_begins(cells: str, count: int, broken: int) -> None:
    """The model writes whole tables, but loose tags on a page that it cannot read."""
    assert count_markup(cells, truncated=False) == Markup(count, broken)


def test_the_cell_in_which_the_model_was_stopped_is_not_counted() -> None:
    """The token budget cuts long tables. That has its own flag."""
    cut = WHOLE + "<table><tr><td>a</td><td>b"
    assert count_markup(cut, truncated=True) == Markup(2, 0)
    assert count_markup(cut, truncated=False) == Markup(3, 1)
    nested = cut + "<table><tr><td>c</td><td>d"
    assert count_markup(nested, truncated=True) == Markup(3, 0)


def test_text_without_markup_has_none() -> None:
    """For example answers without boxes, and pages that begin within a paragraph."""
    assert read_grounding("# Title\n\n[1, 2, 3] words <table>").markup == Markup()


def test_a_long_answer_of_tokens_is_counted_quickly() -> None:
    """A pattern that tries every end for every start would take minutes."""
    for token in (
        "<|ref|>",
        "<|ref|>a<|/ref|>",
        "<|/ref|>" + " " * 50,
        "<|det|>[[1, 2, 3",
        "<td",
        "<td>",
        "<td><table>",
        "<|ref|>a<|/ref|><|det|>[[1, 2",
    ):
        started = time.process_time()
        count_markup(token * 20_000, truncated=True)
        assert time.process_time() - started < 5
