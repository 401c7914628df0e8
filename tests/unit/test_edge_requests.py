"""What the embedded engine cannot be asked is said, not left out."""

from __future__ import annotations

from typing import Any

import pytest
from opticalrag.ingest.edge_requests import to_filter, to_params, to_query
from opticalrag.ingest.errors import NotSupported
from qdrant_client import models

HERE = models.GeoPoint(lon=1.0, lat=2.0)


@pytest.mark.parametrize(
    "condition",
    [
        models.FieldCondition(key="place", geo_radius=models.GeoRadius(center=HERE, radius=1.0)),
        models.FieldCondition(key="name", match=models.MatchPrefix(prefix="x")),
    ],
)
def test_conditions_that_are_not_translated_are_refused(condition: Any) -> None:
    """Also deep inside: a condition left out would let everything through."""
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
    """With the way to ask a server."""
    with pytest.raises(NotSupported, match="--qdrant URL"):
        to_query(query, "dense", 10)


def test_nothing_stays_nothing() -> None:
    """No filter, no query and no parameters are the engine's defaults."""
    assert to_filter(None) is to_query(None, None, 10) is to_params(None) is None
