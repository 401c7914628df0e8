"""The reference of the no-repeat rule, and the detection of loops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.decoding.one_by_one import banned_in_window
from opticalrag.ingest.engines.deepseek_ocr.decoder.loops import (
    RepetitionDetector,
    cycle_start,
    is_cycle,
    is_drift,
    is_stutter,
)

IDS = st.lists(st.integers(0, 3), max_size=60)


@given(IDS, st.integers(2, 5), st.integers(2, 40))
def test_banned_ids_are_those_that_would_repeat(ids: list[int], size: int, window: int) -> None:
    """Exactly the ids that would repeat an n-gram of the window."""
    recent = ids[-window:]
    grams = {tuple(recent[i : i + size]) for i in range(len(recent) - size + 1)}
    prefix = tuple(ids[len(ids) - size + 1 :])
    expected = {i for i in range(4) if (*prefix, i) in grams} if len(ids) >= size else set()
    assert banned_in_window(ids, size, window) == expected


def test_table_cells_may_repeat() -> None:
    """Ids that are allowed are never banned."""
    assert banned_in_window([5] * 10, 3, 10) == {5}
    assert banned_in_window([5] * 10, 3, 10, allowed=[5]) == set()


def text(length: int) -> list[int]:
    """Ids with few repeats, as in text."""
    return [(i * i * 31 + i * 7) % 5003 for i in range(length)]


@given(st.integers(1, 300), st.integers(0, 500))
def test_a_cycle_is_found_and_cut_after_one_round(period: int, before: int) -> None:
    """Whatever comes before it."""
    rounds = max(4, -(-512 // period)) + 1
    cycle = [10_000 + i for i in range(period)]
    ids = [*text(before), *cycle * rounds]
    assert is_cycle(ids)
    assert cycle_start(ids) == before + period


@given(st.integers(0, 3000))
def test_text_is_not_a_loop(length: int) -> None:
    """At any length."""
    ids = text(length)
    assert not RepetitionDetector({}, -1)(ids)
    assert cycle_start(ids) == length


def test_a_hundred_empty_cells_are_not_a_loop() -> None:
    """Real pages hold wide, sparse tables."""
    assert not is_cycle([*text(50), *[7, 8] * 100])


def test_a_stutter_that_changes_a_word_is_found() -> None:
    """It is not an exact cycle, but repeats all the same."""
    ids = [token for i in range(40) for token in [*range(1, 25), 900 + i % 3]]
    assert is_stutter(ids)
    assert not is_stutter(text(1000))


def test_boxes_that_move_by_a_constant_step_are_a_drift() -> None:
    """With varying steps they may be a real list."""
    numbers = {i: i for i in range(1000)}
    marker = 2000
    even = [t for i in range(20) for t in [marker, 100, 50 + 7 * i, 900, 57 + 7 * i, 3000]]
    uneven = [t for i in range(20) for t in [marker, 100, 50 + i * i, 900, 57 + 7 * i, 3000]]
    assert is_drift(even, numbers, marker)
    assert not is_drift(even[: 6 * 8], numbers, marker)
    assert not is_drift(uneven, numbers, marker)
