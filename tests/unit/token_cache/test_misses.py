"""A miss is explained by its true reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opticalrag.ingest.token_cache.index import StoredPage
from opticalrag.ingest.token_cache.misses import TokenQuery, explain_miss

STORED = StoredPage(
    *("doc-1", 0, "name", "a.pdf", "/files/a.pdf", "0" * 64, 3, "1", "tiny", "w1"),
    codec="lossless",
    bytes=9,
    accessed=0.0,
)
QUERY = TokenQuery("a.pdf", 0, "w1", None, "")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (replace(QUERY, page=1), "no vision tokens are stored for page 2 of a.pdf"),
        (QUERY, "no vision tokens are stored for page 1 of a.pdf"),  # the entries are damaged
        (
            replace(QUERY, page=3),
            "there is no page 4 of a.pdf, which has 3 pages: choose one from 1 to 3",
        ),
        (
            replace(QUERY, weights="w2"),
            "the vision tokens of page 1 of a.pdf were made by a model with the weights w1; this"
            " model has w2: load the other model",
        ),
        (
            replace(QUERY, mode="large"),
            "the vision tokens of page 1 of a.pdf are stored in mode base, tiny, not in large: omit"
            " the mode",
        ),
        (
            replace(QUERY, page=9, sha256="1" * 64),  # that content may have ten pages
            "no vision tokens are stored for the earlier content of page 10 of a.pdf",
        ),
    ],
)
def test_the_message_gives_the_first_reason_that_holds(query: TokenQuery, message: str) -> None:
    """Reasons are tried from the document down to the mode."""
    assert explain_miss(query, [STORED, replace(STORED, mode="base")]) == message


def test_a_long_unknown_name_is_shortened() -> None:
    """Language models invent long names."""
    message = explain_miss(replace(QUERY, document="x" * 5000), [])
    assert message.startswith("no vision tokens are stored for a document with the id, path or")
    assert len(message) < 350
