"""Metadata filters in the real engine against LlamaIndex's semantics in plain Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilters
from llama_index.core.vector_stores import MetadataFilter as One
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from qdrant_client import QdrantClient, models

from opticalrag.ingest.store.filters import qdrant_filter

KEYS = ["a", "b"]
WORDS = ["x", "pump", "Pump room", "the pump room", ""]
DATES = ["2024-01-31", "2024-02-01T00:00:00Z", "2025-06-30T12:00:00+02:00"]
NUMBERS = [-1, 0, 1, 3, 1.0, 2.5, 2**53 + 1]
SCALARS = st.sampled_from([*WORDS, *DATES, *NUMBERS, True, False])
VALUES = SCALARS | st.none() | st.lists(SCALARS, max_size=3)
PAYLOADS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2)
ORDER = {
    FilterOperator.GT: lambda a, b: a > b,
    FilterOperator.GTE: lambda a, b: a >= b,
    FilterOperator.LT: lambda a, b: a < b,
    FilterOperator.LTE: lambda a, b: a <= b,
}


def lists(of: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(of), max_size=3)


def one(operator: FilterOperator) -> st.SearchStrategy[One]:
    """A filter with a value its operator can have."""
    scalars: st.SearchStrategy[Any] = st.sampled_from([*WORDS, *NUMBERS])
    if operator in ORDER:  # ranges consist of floats, which do not hold every large integer
        scalars = st.sampled_from([*DATES, *(n for n in NUMBERS if n < 2**53)])
    if operator.value.startswith("text_match"):
        scalars = st.sampled_from(["pump", "PUMP room", "the room", "room"])
    if operator.value in ("in", "nin", "any", "all"):
        scalars = lists(WORDS) | lists([-1, 0, 1, 3]) | lists([1.0, 2.5])
    return st.builds(One, key=st.sampled_from(KEYS), value=scalars, operator=st.just(operator))


FILTERS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(FilterOperator).flatmap(one),
    lambda inner: st.builds(
        MetadataFilters,
        filters=st.lists(inner, max_size=3),
        condition=st.sampled_from(FilterCondition),
    ),
    max_leaves=6,
)


# -- the semantics, in Python ----------------------------------------------------------------


def holds(tree: Any, payload: dict[str, Any]) -> bool | None:
    """Whether LlamaIndex's semantics match a payload; None if there are no conditions."""
    if isinstance(tree, One):
        return satisfied(tree, payload.get(tree.key))
    found = [said for one in tree.filters if (said := holds(one, payload)) is not None]
    if not found:
        return None
    if tree.condition is FilterCondition.AND:
        return all(found)
    return any(found) if tree.condition is FilterCondition.OR else not any(found)


def satisfied(one: One, stored: Any) -> bool:
    wanted: Any = one.value
    elements = [x for x in (stored if isinstance(stored, list) else [stored]) if x is not None]
    match one.operator:
        case FilterOperator.IS_EMPTY:
            return not elements or stored == "" or "" in elements
        case FilterOperator.NE | FilterOperator.NIN:
            listed = wanted if isinstance(wanted, list) else [wanted]
            return not any(equal(x, y) for x in elements for y in listed)
        case FilterOperator.EQ | FilterOperator.CONTAINS:
            return any(equal(x, wanted) for x in elements)
        case FilterOperator.IN | FilterOperator.ANY:
            return any(equal(x, y) for x in elements for y in wanted)
        case FilterOperator.ALL:
            return bool(elements) and all(any(equal(x, y) for x in elements) for y in wanted)
        case FilterOperator.TEXT_MATCH | FilterOperator.TEXT_MATCH_INSENSITIVE:
            return any(has_phrase(x, wanted) for x in elements)
    return any(ordered(ORDER[one.operator], x, wanted) for x in elements)


def equal(left: Any, right: Any) -> bool:
    """Python's equality, except that booleans are not numbers."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def has_phrase(stored: Any, wanted: str) -> bool:
    words = [re.findall(r"\w+", text.lower()) for text in (str(stored), wanted)]
    size = len(words[1])
    here = [words[0][n : n + size] for n in range(len(words[0]))]
    return isinstance(stored, str) and words[1] in here


def ordered(compare: Callable[[Any, Any], bool], stored: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(stored, str) and stored in DATES and compare(when(stored), when(wanted))
    return (
        isinstance(stored, int | float) and not isinstance(stored, bool) and compare(stored, wanted)
    )


def when(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


# -- tests -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    client.create_collection("c", models.VectorParams(size=1, distance=models.Distance.DOT))
    yield client
    client.close()


def found_by(engine: QdrantClient, filters: Any, payloads: list[dict[str, Any]]) -> list[bool]:
    """The numbers of the payloads that the engine finds."""
    engine.delete("c", models.Filter())
    points = [models.PointStruct(id=n, vector=[1.0], payload=p) for n, p in enumerate(payloads)]
    engine.upsert("c", points)
    records, _ = engine.scroll("c", scroll_filter=qdrant_filter(filters), limit=100)
    return [n in {record.id for record in records} for n in range(len(payloads))]


@settings(max_examples=300)
@given(tree=FILTERS, payloads=st.lists(PAYLOADS, min_size=1, max_size=6))
def test_the_engine_finds_what_llama_index_means(
    engine: QdrantClient, tree: Any, payloads: list[dict[str, Any]]
) -> None:
    """Every operator, nested and negated, over text, numbers, dates, arrays and nulls."""
    filters = tree if isinstance(tree, MetadataFilters) else MetadataFilters(filters=[tree])

    assert found_by(engine, filters, payloads) == [holds(filters, p) is not False for p in payloads]


FLAT = st.sampled_from(
    [FilterOperator.EQ, FilterOperator.NE, FilterOperator.IN, FilterOperator.NIN]
).flatmap(one)


@settings(max_examples=100)
@given(
    filters=st.builds(
        MetadataFilters,
        filters=st.lists(FLAT, max_size=3),
        condition=st.sampled_from(FilterCondition),
    ),
    payload=st.dictionaries(
        st.sampled_from(KEYS), st.sampled_from([*WORDS, *NUMBERS]) | st.none(), max_size=2
    ),
)
def test_plain_values_are_judged_as_by_llama_indexes_own_evaluation(
    engine: QdrantClient, filters: MetadataFilters, payload: dict[str, Any]
) -> None:
    """Where fields hold one value each, SimpleVectorStore and Qdrant agree."""
    theirs = build_metadata_filter_fn(lambda _: payload, filters)

    assert found_by(engine, filters, [payload]) == [theirs("id")]
