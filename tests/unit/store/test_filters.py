"""Filters that Qdrant does not support, and filters given as a mapping."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from qdrant_client import QdrantClient, models

from opticalrag.ingest.core.errors import FilterError, OpticalRagError
from opticalrag.ingest.store.filters import qdrant_filter


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("==", ["a", "b"]),
        ("!=", None),
        (">", "later"),
        ("<=", ["a"]),
        ("<", float("nan")),
        ("in", "abc"),
        ("nin", 3),
        ("any", "abc"),
        ("all", None),
        ("contains", ["a"]),
        ("text_match", 3),
        ("text_match", "?!"),
        ("text_match_insensitive", ""),
    ],
)
def test_unsupported_values_are_refused(operator: str, value: Any) -> None:
    """The error names the key and the operator, and is also a ValueError."""
    one = MetadataFilter(key="page_label", value=value, operator=FilterOperator(operator))

    with pytest.raises(FilterError, match=f"'page_label' {operator}") as caught:
        qdrant_filter(MetadataFilters(filters=[one]))
    assert isinstance(caught.value, OpticalRagError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("key", ["", "a b", "a..b", "a[", ".a"])
def test_keys_that_are_not_paths_are_refused(key: str) -> None:
    """Each engine would fail in its own way."""
    with pytest.raises(FilterError, match="payload field"):
        qdrant_filter({key: 1})


@pytest.mark.parametrize("nothing", [None, {}, MetadataFilters(filters=[])])
def test_no_conditions_make_no_filter(nothing: Any) -> None:
    """Nested filters without conditions count as nothing."""
    assert qdrant_filter(nothing) is None
    assert qdrant_filter(MetadataFilters(filters=[MetadataFilters(filters=[])])) is None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"pages": 2}, [1]),
        ({"pages": [1, 2], "kind": "table"}, [1]),
        ({"kind": ("text", "table")}, [0, 1]),
        ({"draft": True}, [0]),
        ({"kind": []}, []),
        ({"boxes[].page": 2}, [1]),
        ({'"odd name"': "x"}, [0]),
    ],
)
def test_a_mapping_gives_fields_and_their_values(filters: dict[str, Any], found: list[int]) -> None:
    """Every field must match its value, or one of its values."""
    client = QdrantClient(":memory:")
    client.create_collection("c", models.VectorParams(size=1, distance=models.Distance.DOT))
    payloads: list[dict[str, Any]] = [
        {"pages": [1], "kind": "text", "draft": True, "odd name": "x"},
        {"pages": [2, 3], "kind": "table", "draft": 1, "boxes": [{"page": 2}]},
    ]
    points = [models.PointStruct(id=n, vector=[1.0], payload=p) for n, p in enumerate(payloads)]
    client.upsert("c", points)
    records, _ = client.scroll("c", scroll_filter=qdrant_filter(filters))
    client.close()

    assert [record.id for record in records] == found
