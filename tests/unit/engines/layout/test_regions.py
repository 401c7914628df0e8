from __future__ import annotations

import pytest

from opticalrag.ingest.engines.layout.regions import Region, split_at_rules, with_cells
from opticalrag.ingest.engines.layout.tables import GridPlan, PlacedTable, Rules, find_rules
from opticalrag.ingest.engines.layout.text_layer.extract import Drawing
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

PLAN = GridPlan(2, 2, ())


def test_a_table_region_becomes_its_tables() -> None:
    """Two tables beside each other replace the region around both."""
    regions = [Region("text", (0, 0, 300, 20)), Region("table", (0, 30, 300, 90))]
    parts = [PlacedTable((0, 30, 100, 90), PLAN), PlacedTable((200, 30, 300, 90), None)]
    found = with_cells(regions, [parts], [])
    assert found == [
        regions[0],
        Region("table", (0, 30, 100, 90), PLAN),
        Region("table", (200, 30, 300, 90), None),
    ]


def test_regions_within_a_table_are_part_of_it() -> None:
    """A table that the model took for text and a picture replaces them, and nothing beside it."""
    regions = [
        Region("text", (10, 10, 90, 30)),
        Region("picture", (10, 40, 95, 100)),
        Region("caption", (10, 104, 90, 114)),
        Region("picture", (0, 0, 400, 400)),
    ]
    found = with_cells(regions, [], [PlacedTable((5, 5, 100, 100), PLAN)])
    assert [r.label for r in found] == ["caption", "picture", "table"]


def test_a_single_column_replaces_nothing() -> None:
    """Only a table with cells takes other regions in."""
    regions = [Region("table", (0, 0, 100, 100)), Region("text", (10, 10, 90, 30))]
    found = with_cells(regions, [[PlacedTable((0, 0, 100, 100), None)]], [])
    assert [r.label for r in found] == ["text", "table"]


def upright_rules(*lines: tuple[float, float, float]) -> Rules:
    drawn = [
        Drawing((x - 0.3, y0, x + 0.3, y1), 0, 255, stroked=True, is_rect=True, layer=i)
        for i, (x, y0, y1) in enumerate(lines)
    ]
    return find_rules(drawn, (0.0, 0.0, 600.0, 800.0))


def column(x: float, y0: float, y1: float) -> list[LayoutWord]:
    rows = range(int(y0) + 2, int(y1) - 8, 12)
    return [LayoutWord("word", (x, y, x + 60, y + 10), 10.0, y, 0) for y in rows]


@pytest.mark.parametrize("rules", [[(200.0, 90.0, 310.0)], [(200.0, 100.0, 300.0)]])
def test_a_region_over_two_cells_is_split_at_the_rule(rules: list[tuple[float, ...]]) -> None:
    """Each part keeps the label and its side of the rule."""
    region = Region("text", (100, 100, 300, 300))
    words = [*column(110, 100, 300), *column(215, 100, 300)]
    parts = split_at_rules([region], upright_rules(*rules), words)  # type: ignore[arg-type]
    assert [(p.label, round(p.rect[0]), round(p.rect[2])) for p in parts] == [
        ("text", 100, 200),
        ("text", 200, 300),
    ]


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("text", (200.0, 100.0, 180.0)),  # runs along a part of it
        ("text", (240.0, 90.0, 310.0)),  # through words
        ("text", (102.0, 90.0, 310.0)),  # beside all words
        ("picture", (200.0, 90.0, 310.0)),
        ("table", (200.0, 90.0, 310.0)),
    ],
)
def test_other_regions_stay_whole(label: str, rule: tuple[float, float, float]) -> None:
    """A rule divides only text, and only if it runs between its words."""
    region = Region(label, (100, 100, 300, 300))
    words = [*column(110, 100, 300), *column(215, 100, 300)]
    assert split_at_rules([region], upright_rules(rule), words) == [region]


def test_a_part_that_lies_in_another_region_is_dropped() -> None:
    """Else it would take the words of that region."""
    wide, narrow = Region("text", (100, 100, 300, 300)), Region("text", (204, 90, 420, 310))
    words = [*column(110, 100, 300), *column(215, 100, 300)]
    parts = split_at_rules([wide, narrow], upright_rules((200.0, 80.0, 320.0)), words)
    assert [round(p.rect[2]) for p in parts] == [200, 420]
