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
        ("a self-", "winding clock", "a self-winding clock"),
        ("so self-", "ish a keeper", "so selfish a keeper"),
        ("every well-", "trodden path", "every well-trodden path"),
        ("a non-", "binding vote", "a non-binding vote"),
        ("a wel-", "come guest", "a welcome guest"),
        ("see https://pilots.example/tide-", "tables/2032.csv now", None),
        ("see www.pilots.example/", "tables/may.html", None),
        ("mail keeper@light-", "house.example today", None),
        ("see http://pilots.example/?id=", "4711 there", None),
        ("see https://pilots.example/", "for more", "see https://pilots.example/ for more"),
        ("see https://pilots.example.", "It has all", "see https://pilots.example. It has all"),
        ("see www.pilots.example/", "The tide", "see www.pilots.example/ The tide"),
        ("(see https://pilots.example/ebb-", "flow)", None),
        ("mail anna.keeper-", "lund@pilots.example", None),
        ("mail keeper@", "pilots.example", None),
        ("the end.", "anna@pilots.example", "the end. anna@pilots.example"),
        ("mail keeper@pilots.", "com today", None),
        ("https://pilots.example/buoys/", "2217 and", None),
        ("https://pilots.example/buoys/", "3 More", "https://pilots.example/buoys/ 3 More"),
        ("fog and/", "or rain", None),
        ("harbour w/", "lamp", "harbour w/ lamp"),
        ("the years 1990\u2013", "1995", None),
        ("two keepers\u2014", "both old", None),
        ("two keepers \u2014", "both old", "two keepers \u2014 both old"),
        ("a twenty-", "four hour watch", None),
        ("a six-", "month watch", None),
        ("the six-", "teenth watch", "the sixteenth watch"),
        ("a \u201cnon-", "binding\u201d vote", None),
        ("some non-", "sense", "some nonsense"),
        ("the long-", "term ebb", None),
        ("a tide-", "driven mill", None),
        ("a high-", "pressure valve", None),
        ("the highest high-", "way", "the highest highway"),
        ("his cross-", "border boats", None),
        ("the cross-", "over point", "the crossover point"),
        ("the inter-", "related tides", "the interrelated tides"),
        ("the cor-", "related tides", "the correlated tides"),
        ("a full-", "time keeper", None),
        ("by x-", "ray alone", None),
        ("l’a-", "mour", "l’amour"),
        ("il est peut-", "être tard", None),
        ("le porte-", "parole du port", None),
        ("« Oui », dit-", "il, à minuit", None),
        ("ce bac, celui-", "ci, part", None),
        ("la porte-", "rie du port", "la porterie du port"),
        ("nous fai-", "sons", "nous faisons"),
        ("all a-", "bout", "all about"),
        ("pilots.example/ebb-", "flow/2", None),
        ("機械学習の", "実験", "機械学習の実験"),
        ("ภาษา", "ไทย", "ภาษาไทย"),
        ("한국어", "문서", "한국어 문서"),
    ],
)
def test_lines_are_joined_as_their_script_asks(left: str, right: str, whole: str | None) -> None:
    """Hyphens that only break a word are dropped. Parts of an address (None) are put together."""
    drop, between = glue(left, right)

    assert left[: len(left) - drop] + between + right == (whole or left + right)


@pytest.mark.parametrize("word", ["selfless", "nonsense", "wellington", "halfpenny"])
def test_a_word_the_document_has_in_one_is_no_compound(word: str) -> None:
    """Its beginning may look like a prefix."""
    cut = next(i for i in range(4, 0, -1) if word[:i] in ("self", "non", "well", "half"))
    assert glue(f"a {word[:cut]}-", word[cut:], frozenset({word})) == (1, "")


@pytest.mark.parametrize(
    ("first", "rest", "kept"),
    [
        ("tide", "based", True),
        ("harbour", "focused", True),
        ("republican", "leaning", True),
        ("complex", "ities", False),
        ("strength", "ening", False),
        ("capital", "izing", False),
        ("under", "standing", False),
        ("com", "panied", False),
    ],
)
def test_a_participle_after_a_known_word_keeps_its_hyphen(
    first: str, rest: str, kept: bool
) -> None:
    """The document has the first part as a word. A suffix alone is not a participle."""
    assert glue(f"a {first}-", rest, frozenset({first})) == ((0, "") if kept else (1, ""))
    assert glue(f"a {first}-", rest) == (1, "")


def test_a_compound_the_document_knows_keeps_its_hyphen() -> None:
    """Words elsewhere in the document decide."""
    assert glue("a well-", "known fact", frozenset({"well-known"})) == (0, "")


@pytest.mark.parametrize("tail", ["-", "a-", "@-.", "://-", "w/"])
def test_long_runs_of_signs_take_no_time(tail: str) -> None:
    """Patterns do not try every way to divide them."""
    assert glue("a@" + tail * 5000 + "!", tail * 5000) == (0, " ")
