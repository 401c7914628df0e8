"""The flags of an answer, and the attempts after a flagged one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.records import Attempt
from opticalrag.ingest.engines.quality.assessment import (
    Evidence,
    Markup,
    Step,
    agreement,
    assess,
    best_attempt,
    needs_retry,
    retry_ladder,
)

WORDS = tuple(f"word{i}" for i in range(30))
PAGE = Evidence(WORDS)
TEXT = " ".join(WORDS)
SHORT = ("Harbor", "report", "two", "ships", "came", "in", "before", "winter")


def attempt(*flags: str) -> Attempt:
    """Return an attempt with these flags."""
    return Attempt("base", "markdown", "eos", 100, 256, 1.0, flags)


@pytest.mark.parametrize(
    ("text", "reason", "drifted", "evidence", "flags"),
    [
        (TEXT, "eos", 0, PAGE, ()),
        (TEXT, "loop", 0, PAGE, (Flag.LOOP,)),
        (TEXT, "loop", 9, PAGE, (Flag.DRIFT,)),
        (TEXT, "eos", 9, PAGE, (Flag.DRIFT,)),
        (TEXT, "length", 0, PAGE, (Flag.TRUNCATED,)),
        ("", "eos", 0, PAGE, (Flag.EMPTY,)),
        ("something else altogether", "eos", 0, PAGE, (Flag.DISAGREES,)),
        ("once upon a time", "eos", 0, Evidence(ink=0.0), (Flag.INVENTED,)),
        ("", "eos", 0, Evidence(ink=0.0), ()),
        ("anything", "eos", 0, Evidence(WORDS[:5]), ()),  # too few words to be reliable
        ("anything", "eos", 0, Evidence(("\ufffd",) * 50), ()),  # a layer of garbage
        ("anything", "eos", 0, Evidence(SHORT), ()),  # there may be more on the page
        ("anything", "eos", 0, Evidence(SHORT, explained=True), (Flag.DISAGREES,)),
        ("", "eos", 0, Evidence(SHORT, explained=True), (Flag.EMPTY,)),
        ("harbor report two ships", "eos", 0, Evidence(SHORT, explained=True), ()),
        ("anything", "eos", 0, Evidence(SHORT[:7], explained=True), ()),
        ("anything", "eos", 0, Evidence(("Xrtp", "brwq") * 5, explained=True), ()),  # garbage
        ("anything", "eos", 0, Evidence(("12.5",) * 15, explained=True), ()),  # numbers only
        ("anything", "eos", 0, Evidence(("stamp",), tokens=400), (Flag.SHORT,)),
        ("anything", "length", 0, Evidence(tokens=400), (Flag.TRUNCATED, Flag.SHORT)),
        (" ".join(WORDS[:15]), "eos", 0, Evidence(tokens=120), ()),
        ("", "eos", 0, Evidence(tokens=32), (Flag.EMPTY,)),  # the shared scan with the least text
        ("", "eos", 0, Evidence(tokens=20), ()),  # a photograph
        (TEXT, "eos", 0, Evidence(WORDS, tokens=4000), ()),  # the text layer is more reliable
    ],
)
def test_answers_are_flagged_for_their_faults(
    text: str, reason: str, drifted: int, evidence: Evidence, flags: tuple[str, ...]
) -> None:
    """Each fault has its flag. Good answers, and answers that cannot be checked, have none."""
    assert assess(text, reason, drifted, evidence) == flags


@pytest.mark.parametrize(
    ("words", "tokens", "pictured", "flags"),
    [
        (10, 400, 320, ()),
        (10, 400, 319, (Flag.SHORT,)),
        (0, 380, 376, ()),  # a diagram and nothing else
        (0, 380, 355, (Flag.EMPTY,)),
        (0, 400, 400, (Flag.EMPTY,)),  # a page of text that was answered with one picture
        (1, 400, 400, ()),
        (0, 400, 420, (Flag.EMPTY,)),  # two estimates of the same ink differ
    ],
)
def test_print_inside_pictures_needs_no_words(
    words: int, tokens: int, pictured: int, flags: tuple[str, ...]
) -> None:
    """Unless it is a page of print and no word was read."""
    text = " ".join(WORDS[:words])
    assert assess(text, "eos", 0, Evidence(tokens=tokens), pictured=pictured) == flags


@pytest.mark.parametrize(
    ("count", "broken", "doubted"),
    [(1, 0, False), (1, 1, True), (2, 1, True), (3, 1, False), (2, 2, True), (9, 2, False)],
)
def test_without_a_text_layer_one_broken_marker_in_two_is_flagged(
    count: int, broken: int, doubted: bool
) -> None:
    """Nothing else reveals a wrong answer of one or two blocks."""
    flags = assess(TEXT, "eos", 0, Evidence(), Markup(count, broken))
    assert flags == ((Flag.GRAMMAR,) if doubted else ())


@pytest.mark.parametrize(
    ("count", "broken", "doubted"),
    [(0, 0, False), (1, 1, False), (2, 2, True), (8, 2, True), (9, 2, False), (40, 10, True)],
)
def test_markup_is_flagged_if_two_parts_and_a_quarter_are_broken(
    count: int, broken: int, doubted: bool
) -> None:
    """One broken marker does not count if a text layer agrees with the answer."""
    flags = assess(TEXT, "eos", 0, PAGE, Markup(count, broken))
    assert flags == ((Flag.GRAMMAR,) if doubted else ())


def test_agreement_ignores_case_forms_and_order() -> None:
    """Scripts without spaces are compared by character. Repeats count."""
    assert agreement("ＡLPHA beta", ["Beta", "alpha"]) == 1.0
    assert agreement("東京都", ["東", "京"]) == 1.0
    assert agreement("beta", ["beta", "beta"]) == 0.5
    assert agreement("", []) == 1.0


@given(st.text(), st.lists(st.text()))
def test_agreement_is_a_share(text: str, words: list[str]) -> None:
    """For any text and words."""
    assert 0.0 <= agreement(text, words) <= 1.0


def test_the_ladder_goes_by_another_mode_to_plain_text() -> None:
    """No step is repeated."""
    base, large = MODES["base"], MODES["large"]
    assert retry_ladder(base, large, "markdown") == (
        Step(base, "markdown"),
        Step(large, "markdown"),
        Step(base, "free_ocr"),
    )
    assert retry_ladder(base, None, "free_ocr") == (Step(base, "free_ocr"),)


def test_only_bad_answers_are_retried() -> None:
    """Invented text on a blank page cannot get better."""
    assert needs_retry([])
    assert not needs_retry([attempt()])
    assert needs_retry([attempt(Flag.LOOP)])
    assert not needs_retry([attempt(Flag.INVENTED)])


def test_the_best_attempt_has_fewest_flags_then_the_best_agreement() -> None:
    """The first wins a tie."""
    assert best_attempt([attempt(Flag.LOOP), attempt()], [0.9, 0.1]) == 1
    assert best_attempt([attempt(Flag.LOOP), attempt(Flag.LOOP)], [0.1, 0.9]) == 1
    assert best_attempt([attempt(Flag.LOOP), attempt(Flag.LOOP)], [0.5, 0.5]) == 0
