"""Requests that the embedded engine does not support are errors, not ignored."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import models

from opticalrag.ingest.core.errors import FilterError, NotSupported, StoreError
from opticalrag.ingest.store.edge.requests import to_filter, to_params, to_query, to_vectors

HERE = models.GeoPoint(lon=1.0, lat=2.0)


@pytest.mark.parametrize(
    "condition",
    [
        models.FieldCondition(key="city", geo_radius=models.GeoRadius(center=HERE, radius=1.0)),
        models.FieldCondition(key="name", match=models.MatchPrefix(prefix="x")),
    ],
)
def test_conditions_that_are_not_translated_are_refused(condition: Any) -> None:
    """Nested ones too: ignoring a condition would match everything."""
    inner = models.Filter(must_not=[models.Filter(should=[condition])])
    with pytest.raises(NotSupported, match="does not filter by"):
        to_filter(models.Filter(must=[inner]))


@pytest.mark.parametrize(
    "query",
    [
        "00000000-0000-0000-0000-000000000001",
        models.OrderByQuery(order_by="pages"),
        models.RecommendQuery(recommend=models.RecommendInput(positive=[[0.5]])),
    ],
)
def test_queries_that_are_not_translated_are_refused(query: Any) -> None:
    """The error names the alternatives."""
    with pytest.raises(NotSupported, match="use a vector, or a Qdrant server"):
        to_query(query, "dense", 10)


def test_formulas_of_other_than_sums_and_products_are_refused() -> None:
    """Nested ones too: another score would order the hits."""
    root = models.SqrtExpression(sqrt="$score[0]")
    formula = models.SumExpression(sum=[1.0, models.MultExpression(mult=[2, root])])
    with pytest.raises(NotSupported, match="does not score by"):
        to_query(models.FormulaQuery(formula=formula), None, 10)


def test_none_stays_none() -> None:
    """The engine then uses its defaults."""
    assert to_filter(None) is to_query(None, None, 10) is to_params(None) is None


@pytest.mark.parametrize(
    "match",
    [
        models.MatchValue(value=2**63),
        models.MatchValue(value=10**400),
        models.MatchValue(value=10**5000),
        models.MatchValue(value="\ud800"),
        models.MatchAny(any=[1, -(2**63) - 1]),
        models.MatchExcept(**{"except": [10**400]}),
    ],
)
def test_values_that_the_engine_cannot_store_are_refused(match: Any) -> None:
    """The error names the condition, also a nested one."""
    condition = models.FieldCondition(key="number", match=match)
    with pytest.raises(FilterError, match="cannot filter by"):
        to_filter(models.Filter(must=[models.Filter(should=[condition])]))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_vectors_with_infinite_numbers_are_refused(number: float) -> None:
    """Dense or sparse, stored or queried: no distance to them is defined."""
    sparse = models.SparseVector(indices=[1], values=[number])
    for vector in ([0.5, number], sparse):
        with pytest.raises(StoreError, match="must be finite"):
            to_vectors({"dense": vector})
        with pytest.raises(StoreError, match="must be finite"):
            to_query(vector, "dense", 10)


def test_mmr_chooses_among_a_thousand_points() -> None:
    """More candidates are cut to a thousand; more results are refused."""
    mmr = models.NearestQuery(nearest=[0.5], mmr=models.Mmr(candidates_limit=10**6))
    assert "1000" in repr(to_query(mmr, "dense", 10))
    with pytest.raises(NotSupported, match="without MMR"):
        to_query(mmr, "dense", 1001)
