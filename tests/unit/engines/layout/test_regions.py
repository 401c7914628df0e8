from __future__ import annotations

from opticalrag.ingest.engines.layout.regions import Region, with_cells
from opticalrag.ingest.engines.layout.tables import GridPlan, PlacedTable

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
