"""The card and the curve of the small model."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.tiny.card import with_table
from benchmarks.tiny.curve import draw_curve, in_bins
from benchmarks.tiny.gate import goes_round

from ..conftest import REPOSITORY, TINY_SYNTHETIC

RESULTS = REPOSITORY / "benchmarks" / "results"


@pytest.fixture(scope="module")
def budgets() -> list[dict[str, Any]]:
    measured = json.loads((RESULTS / "tiny.json").read_text())["budgets"]
    assert isinstance(measured, list)
    return measured


def test_the_card_contains_the_measured_table(budgets: list[dict[str, Any]]) -> None:
    card = (TINY_SYNTHETIC / "README.md").read_text()
    assert f"| `large` | 49 | {budgets[0]['compression']:.1f} |" in card
    assert with_table(card, budgets) == card


def test_the_curve_shows_the_measurements(budgets: list[dict[str, Any]]) -> None:
    drawn = draw_curve(budgets)
    ET.fromstring(drawn)  # noqa: S314 - drawn here
    assert (RESULTS / "tiny.svg").read_text() == drawn


def test_bins_hold_pages_of_like_compression() -> None:
    points = [(float(i % 50), i % 50 / 100) for i in range(100)]
    bins = in_bins(points, size=25)
    assert [c for c, _ in bins] == sorted(c for c, _ in bins)
    assert len(bins) == 4
    assert sum(p for _, p in bins) / 4 == pytest.approx(sum(p for _, p in points) / 100)
    assert in_bins([(1.0, 0.5)]) == [(1.0, 0.5)]


def test_text_repeated_more_often_than_a_card_has_lines_is_a_loop() -> None:
    line = list(range(20))
    assert not goes_round(line * 7)
    assert goes_round(line * 9)
    assert not goes_round([])
