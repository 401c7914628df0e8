from __future__ import annotations

import pytest

from opticalrag.ingest.markdown.joining import glue


@pytest.mark.parametrize(
    ("left", "right", "whole"),
    [
        ("the tur-", "bine runs", "the turbine runs"),
        ("the soft\u00ad", "ness", "the softness"),
        ("Vor-", "und Nachteile", "Vor- und Nachteile"),
        ("pre-", "and post-war", "pre- and post-war"),
        ("Müller-", "Lüdenscheidt", "Müller-Lüdenscheidt"),
        ("one", "two", "one two"),
        ("機械学習の", "実験", "機械学習の実験"),
        ("ภาษา", "ไทย", "ภาษาไทย"),
        ("한국어", "문서", "한국어 문서"),
    ],
)
def test_lines_are_joined_as_their_script_asks(left: str, right: str, whole: str) -> None:
    """Hyphens that only break a word are dropped; some scripts are joined without a space."""
    drop, between = glue(left, right)

    assert left[: len(left) - drop] + between + right == whole


def test_a_compound_the_document_knows_keeps_its_hyphen() -> None:
    """Words elsewhere in the document decide."""
    assert glue("a well-", "known fact", frozenset({"well-known"})) == (0, "")
