"""Why there are no tokens of a page: each reason in its own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opticalrag.ingest.token_cache.index import StoredPage
from opticalrag.ingest.token_cache.misses import Wanted, why_none

STORED = StoredPage(
    *("doc-1", 0, "name", "a.pdf", "/files/a.pdf", "0" * 64, 3, "1", "tiny", "w1"),
    codec="lossless",
    bytes=9,
    accessed=0.0,
)
WANTED = Wanted("a.pdf", 0, "w1", None, "")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (replace(WANTED, page=1), "no vision tokens of page 2 of a.pdf are kept, or not any more"),
        (WANTED, "no vision tokens of page 1 of a.pdf are kept, or not any more"),  # damaged
        (
            replace(WANTED, page=3),
            "there is no page 4 of a.pdf, which has 3 pages; choose one from 1 to 3",
        ),
        (
            replace(WANTED, weights="w2"),
            "page 1 of a.pdf is kept as encoded by the weights w1, not by this model's (w2); load"
            " that model",
        ),
        (
            replace(WANTED, mode="large"),
            "page 1 of a.pdf is kept in mode base, tiny, not in large; leave the mode out",
        ),
        (
            replace(WANTED, page=9, sha256="1" * 64),  # its own content may have ten pages
            "no vision tokens of page 10 of a.pdf as it was when this was asked for are kept",
        ),
    ],
)
def test_every_reason_is_the_true_one(wanted: Wanted, why: str) -> None:
    """The first that holds, from the document to its mode."""
    assert why_none(wanted, [STORED, replace(STORED, mode="base")]) == why


def test_a_name_that_nothing_is_kept_of_is_said_in_short() -> None:
    """Language models invent long ones."""
    said = why_none(replace(WANTED, document="x" * 5000), [])
    assert said.startswith("no vision tokens are kept of a document with the id, path or file name")
    assert len(said) < 350
