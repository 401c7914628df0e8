"""Filters match the same points in the embedded engine and in the client's local mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from qdrant_client import models

from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.store.store import QdrantStore

from ..contract.stores import MODELS, has, make_points, point_id

WORDS = ["x", "pump", "the pump room", ""]
NUMBERS = [-1, 0, 2, 3]
DATES = ["2026-01-01T00:00:00Z", "2026-01-02T12:00:00+02:00"]
# Two indexed fields, one with dates, and an unindexed field with values of any type.
KEYS = {Field.SECTION: WORDS, Field.PAGES: NUMBERS, "any": [*WORDS, *NUMBERS, 1.5, True, False]}


def payload(number: int) -> dict[str, Any]:
    """A few values, lists of them, nulls, and fields that are missing."""
    made: dict[str, Any] = {Field.INGESTED_AT: DATES[number % 2]}
    for place, (key, values) in enumerate(KEYS.items()):
        chosen = (number * 5 + place * 3) % (len(values) + 3)
        if chosen < len(values):
            made[key] = values[chosen]
        elif chosen == len(values):
            made[key] = [values[number % len(values)], values[0]]
        elif chosen == len(values) + 1:
            made[key] = None
    return made


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QdrantStore, QdrantStore]]:
    """Two stores with the same points."""
    folder = tmp_path_factory.mktemp("edge")
    with QdrantStore(folder / "store") as edge, QdrantStore(":memory:") as local:
        for store in (edge, local):
            store.ensure(*MODELS)
            points = make_points(40)
            for number, one in enumerate(points):
                one.payload.clear()
                one.payload.update(payload(number))
            store.upsert(points)
        yield edge, local


def ranges(values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(
        st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from(values), min_size=1, max_size=2
    )


def of_key(key: str) -> st.SearchStrategy[Any]:
    values = KEYS[key]
    words = [v for v in values if isinstance(v, str)]
    whole = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    matches: list[st.SearchStrategy[dict[str, Any]]] = []
    exact = [v for v in values if not isinstance(v, float)]
    matches.append(st.sampled_from(exact).map(lambda v: {"match": models.MatchValue(value=v)}))
    for kind in filter(None, (words, whole)):
        some = st.lists(st.sampled_from(kind), max_size=3)
        matches.append(some.map(lambda v: {"match": models.MatchAny(any=v)}))
        except_ = some.map(lambda v: {"match": models.MatchExcept(**{"except": v})})
        matches.append(except_)
    if words:
        said = st.sampled_from(["pump", "PUMP room", "the room", "room pump"])
        matches.append(said.map(lambda v: {"match": models.MatchText(text=v)}))
        matches.append(said.map(lambda v: {"match": models.MatchPhrase(phrase=v)}))
        matches.append(said.map(lambda v: {"match": models.MatchTextAny(text_any=v)}))
    if whole:
        matches.append(ranges(whole).map(lambda v: {"range": models.Range(**v)}))
    return st.one_of(matches).map(lambda how: models.FieldCondition(key=key, **how))


def about(key: str) -> list[Any]:
    field = models.PayloadField(key=key)
    return [
        models.IsEmptyCondition(is_empty=field),
        models.IsNullCondition(is_null=field),
        models.FieldCondition(key=key, is_empty=True),
    ]


LEAVES = st.one_of(
    *(of_key(key) for key in KEYS),
    st.sampled_from([one for key in KEYS for one in about(key)]),
    st.lists(st.integers(0, 45).map(point_id), max_size=4).map(
        lambda ids: models.HasIdCondition(has_id=ids)
    ),
    ranges(DATES).map(
        lambda v: models.FieldCondition(key=Field.INGESTED_AT, range=models.DatetimeRange(**v))
    ),
)


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(
            models.Filter, must=st.none() | some, should=st.none() | some, must_not=st.none() | some
        ),
        st.builds(models.MinShould, conditions=some, min_count=st.integers(1, 2)).map(
            lambda least: models.Filter(min_should=least)
        ),
    )


def test_the_conditions_distinguish_points(stores: tuple[QdrantStore, QdrantStore]) -> None:
    """The payloads differ enough for the test below to be meaningful."""
    edge, _ = stores
    kept = [edge.count(has(key, match=models.MatchAny(any=WORDS))) for key in ("section", "any")]

    assert all(0 < number < 40 for number in kept)
    assert 0 < edge.count(has("any", match=models.MatchPhrase(phrase="pump"))) < 40


@example(
    where=models.Filter(
        must=[models.FieldCondition(key="pages", range=models.Range(gt=-1.0, gte=2.0))]
    )
)
@settings(max_examples=200)
@given(where=combined(st.recursive(LEAVES, combined, max_leaves=6)))
def test_engines_agree_on_every_filter(
    stores: tuple[QdrantStore, QdrantStore], where: models.Filter
) -> None:
    """Also for nested conditions."""
    found = [{record.id for record in store.scroll(where, fields=())} for store in stores]

    assert found[0] == found[1]
