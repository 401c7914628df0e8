"""Ranks, nDCG and box hits of hits made by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.records import Box
from opticalrag.retrievers.evaluation.questions import Question
from opticalrag.retrievers.evaluation.scoring import by_kind, figures, score, worst
from opticalrag.retrievers.query import Hit

ANSWER = Box(0.1, 0.1, 0.5, 0.2)


def ask(*pages: int, boxes: tuple[tuple[int, Box], ...] = (), kind: str = "") -> Question:
    return Question(1, "Which pump?", "a.pdf", pages, boxes, kind)


def hit(*pages: int, document: str = "a", boxes: tuple[tuple[int, Box], ...] = ()) -> Hit:
    return Hit("id", 1.0, "text", f"{document}.pdf", "", document, pages, boxes=boxes)


def test_pages_are_ranked_not_hits() -> None:
    """Two hits on one page take one rank, and a hit over a page break takes two."""
    found = score(ask(4), "a", [hit(1), hit(1), hit(2, 3), hit(4)])

    assert found.rank == 4
    assert [page.page for page in found.found] == [1, 2, 3, 4]
    assert [page.right for page in found.found] == [False, False, False, True]


def test_the_same_page_of_another_document_is_wrong() -> None:
    """Pages count with their document."""
    assert score(ask(1), "a", [hit(1, document="b"), hit(1)]).rank == 2


def test_a_page_beyond_the_tenth_is_not_found() -> None:
    """Rank 10 counts, rank 11 does not."""
    assert score(ask(10), "a", [hit(n) for n in range(1, 20)]).rank == 10
    assert score(ask(11), "a", [hit(n) for n in range(1, 20)]).rank == 0
    assert score(ask(1), "a", []).rank == 0


def test_ndcg_by_hand() -> None:
    """Right pages at ranks 2 and 3 of two: (1/log2 3 + 1/log2 4) / (1 + 1/log2 3)."""
    found = score(ask(5, 6), "a", [hit(1), hit(5), hit(6)])

    third = 1 / math.log2(3)
    assert found.ndcg == pytest.approx((third + 0.5) / (1 + third))


@pytest.mark.parametrize(
    ("shown", "rank"),
    [
        ((ANSWER,), 2),
        ((Box(0.0, 0.0, 1.0, 0.149),), 0),  # less than half
        ((Box(0.0, 0.0, 1.0, 0.151),), 2),
        ((Box(0.1, 0.1, 0.5, 0.12), Box(0.1, 0.18, 0.5, 0.2)), 2),  # two lines and a gap
        ((Box(0.1, 0.1, 0.5, 0.12), Box(0.1, 0.7, 0.5, 0.8)), 0),  # the second is elsewhere
        ((), 0),
    ],
)
def test_a_box_is_hit_if_half_of_it_is_covered(shown: tuple[Box, ...], rank: int) -> None:
    """By the boxes of one hit on that page."""
    boxes = tuple((2, box) for box in shown)
    found = score(ask(2, boxes=((2, ANSWER),)), "a", [hit(1), hit(2, boxes=boxes)])

    assert found.box_rank == rank


def test_a_box_is_ranked_by_the_pages_seen_before_it() -> None:
    """Another passage of the right page came first; other pages came before the right passage."""
    asked = ask(1, boxes=((1, ANSWER),))
    hits = [hit(1), hit(2), hit(3), hit(1, boxes=((1, ANSWER),))]
    found = score(asked, "a", hits)

    assert (found.rank, found.box_rank) == (1, 3)
    assert score(asked, "b", hits).box_rank == 0
    late = [*(hit(n) for n in range(2, 12)), hit(1, boxes=((1, ANSWER),))]
    assert score(asked, "a", late).box_rank == 0
    assert score(ask(1), "a", hits).box_rank is None


def test_figures_are_means() -> None:
    """Over all questions; box hits over those with boxes."""
    boxed = score(ask(1, boxes=((1, ANSWER),)), "a", [hit(1, boxes=((1, ANSWER),))])
    scores = [boxed, score(ask(2), "a", [hit(1), hit(2)]), score(ask(3), "a", [])]
    found = figures(scores)

    assert found.hit == {1: 1 / 3, 3: 2 / 3, 5: 2 / 3, 10: 2 / 3}
    assert found.mrr == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert (found.boxed, found.box_hit[1]) == (1, 1.0)
    assert figures(scores[1:]).box_hit == {}


def test_kinds_and_the_worst() -> None:
    """Kinds are sorted by name; a page that was not found is worse than a late one."""
    late, missed = (score(ask(n, kind="b"), "a", [hit(1), hit(2)]) for n in (2, 3))
    first = score(ask(1, kind="a"), "a", [hit(1)])

    assert [*by_kind([late, first, missed])] == ["a", "b"]
    assert worst([first, late, missed]) == [missed, late, first]


@given(
    st.lists(st.lists(st.integers(1, 15), min_size=1, max_size=3), max_size=30),
    st.lists(st.integers(1, 15), min_size=1, max_size=15, unique=True),
)
def test_scores_stay_in_range(found: list[list[int]], right: list[int]) -> None:
    """nDCG is 0 exactly where no right page was found, and 1 where only right ones come first."""
    scored = score(ask(*right), "a", [hit(*pages) for pages in found])

    assert 0 <= scored.ndcg <= 1 + 1e-9
    assert (scored.ndcg == 0) == (scored.rank == 0)
    pages = [page.page for page in scored.found]
    assert len(set(pages)) == len(pages) <= 10
    if set(pages[: len(right)]) == set(right) or (len(pages) == 10 and set(pages) <= set(right)):
        assert scored.ndcg == pytest.approx(1)
