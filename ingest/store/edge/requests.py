"""Translates requests from qdrant-client's classes to qdrant-edge's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any, Final

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from ...core.errors import FilterError, NotSupported, OpticalRagError, StoreError

__all__ = ["to_filter", "to_params", "to_prefetches", "to_query", "to_selection", "to_vectors"]

_RRF_K: Final = 2  # Qdrant's own default
_DIVERSITY: Final = 0.5  # Qdrant's own default
# MMR compares each candidate with all chosen points, and blocks the process's other threads.
_MOST_DIVERSE: Final = 1000
_MOST_FLOAT32: Final = 3.4028234663852886e38  # the engine stores float32; beyond is infinity


def to_filter(where: models.Filter | None) -> edge.Filter | None:
    """Translate a filter and the filters nested in it.

    Raises:
        NotSupported: it has a condition that is not translated.
        FilterError: it has a value that the engine does not accept, such as an integer of more
            than 64 bits.
    """
    if where is None:
        return None
    least: Any = where.min_should
    return edge.Filter(
        must=_conditions(where.must),
        should=_conditions(where.should),
        must_not=_conditions(where.must_not),
        min_should=least and edge.MinShould(_conditions(least.conditions) or [], least.min_count),
    )


def to_prefetches(
    stages: models.Prefetch | Sequence[models.Prefetch] | None, limit: int
) -> list[edge.Prefetch]:
    """Translate the stages before a query; ``limit`` is the default of stages without one."""
    return [
        edge.Prefetch(
            limit=stage.limit or limit,
            query=to_query(stage.query, stage.using, stage.limit or limit),
            prefetches=to_prefetches(stage.prefetch, stage.limit or limit),
            filter=to_filter(stage.filter),
            params=to_params(stage.params),
            score_threshold=stage.score_threshold,
        )
        for stage in _listed(stages)
    ]


def to_query(query: Any, using: str | None, limit: int) -> Any:
    """Translate a query: a vector, a fusion, a formula, or maximal marginal relevance (MMR).

    MMR chooses among the nearest 1,000 points at most.

    Raises:
        NotSupported: the query is of another kind, or MMR is to choose more than 1,000 points.
        StoreError: a vector has a number that is not finite.
    """
    if query is None:
        return None
    if isinstance(query, models.FusionQuery):
        rrf = query.fusion is models.Fusion.RRF
        return edge.Fusion.Rrf(_RRF_K) if rrf else edge.Fusion.Dbsf()
    if isinstance(query, models.RrfQuery):
        return edge.Fusion.Rrf(query.rrf.k or _RRF_K, query.rrf.weights)
    if isinstance(query, models.FormulaQuery):
        return edge.Formula(_expression(query.formula), query.defaults)
    if isinstance(query, models.NearestQuery):
        return _nearest(query, using, limit)
    return edge.Query.Nearest(_vector(query), using=using)


def to_params(params: models.SearchParams | None) -> edge.SearchParams | None:
    """Translate search parameters."""
    if params is None:
        return None
    given: Any = params.quantization
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=given
        and edge.QuantizationSearchParams(bool(given.ignore), given.rescore, given.oversampling),
    )


def to_selection(with_payload: Any) -> Any:
    """Translate the selection of payload fields to return."""
    if isinstance(with_payload, models.PayloadSelectorInclude):
        return edge.PayloadSelector.Include(with_payload.include)
    if isinstance(with_payload, models.PayloadSelectorExclude):
        return edge.PayloadSelector.Exclude(with_payload.exclude)
    return with_payload if isinstance(with_payload, bool) else list(with_payload or ())


def to_vectors(vectors: Any) -> dict[str, Any]:
    """Translate the named vectors of a point."""
    return {name: _vector(vector) for name, vector in vectors.items()}


def _nearest(query: models.NearestQuery, using: str | None, limit: int) -> Any:
    if query.mmr is None:
        return edge.Query.Nearest(_vector(query.nearest), using=using)
    diversity = _DIVERSITY if query.mmr.diversity is None else query.mmr.diversity
    if limit > _MOST_DIVERSE:
        raise NotSupported(
            f"MMR of {limit:,} points is not supported by the embedded engine: ask for at most"
            f" {_MOST_DIVERSE:,}, or search without MMR"
        )
    candidates = min(query.mmr.candidates_limit or limit, _MOST_DIVERSE)
    return edge.Mmr(_vector(query.nearest), 1.0 - diversity, candidates, using=using)


def _expression(part: Any) -> Any:
    """Translate a formula of sums, products, numbers and variables."""
    if isinstance(part, models.SumExpression):
        return edge.Expression.Sum([_expression(one) for one in part.sum])
    if isinstance(part, models.MultExpression):
        return edge.Expression.Mult([_expression(one) for one in part.mult])
    if isinstance(part, str):
        return edge.Expression.Variable(part)
    if isinstance(part, int | float):
        return edge.Expression.Constant(float(part))
    raise NotSupported(
        f"the embedded engine does not score by {part!r:.100}: use sums and products, or a Qdrant"
        " server"
    )


def _vector(vector: Any) -> Any:
    if isinstance(vector, models.SparseVector):
        return edge.SparseVector(vector.indices, _finite(vector.values))
    if isinstance(vector, np.ndarray):
        return _finite(vector.tolist())
    if isinstance(vector, list):
        return _finite(vector)
    raise NotSupported(
        f"the embedded engine searches by vectors, not by {vector!r:.100}:"
        " use a vector, or a Qdrant server"
    )


def _finite(numbers: list[float]) -> list[float]:
    for number in numbers:
        if not -_MOST_FLOAT32 <= number <= _MOST_FLOAT32:  # false for NaN, too
            raise StoreError(
                f"a vector contains {number}: its numbers must be finite 32-bit floats; check the"
                " output of the embedding model"
            )
    return numbers


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _conditions(conditions: Any) -> list[Any] | None:
    return None if conditions is None else [_condition(one) for one in _listed(conditions)]


def _condition(condition: Any) -> Any:
    try:
        return _translated(condition)
    except OpticalRagError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise FilterError(
            f"the embedded engine cannot filter by {_shown(condition)}: use integers of up to 64"
            " bits, ids that are UUIDs or non-negative integers, and valid Unicode"
        ) from error


def _translated(part: Any) -> Any:
    if part is None:
        return None
    translate = _TRANSLATIONS.get(type(part))
    if translate is None:
        raise _unknown(part)
    return translate(part)


def _shown(condition: Any) -> str:
    try:
        return f"{condition!r:.200}"
    except ValueError:  # Python refuses to format integers of thousands of digits
        return f"a {type(condition).__name__} with a number of thousands of digits"


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        raise _unknown(condition)
    return edge.FieldCondition(
        condition.key,
        match=_translated(condition.match),
        range=_translated(condition.range),
        values_count=_translated(condition.values_count),
        is_empty=condition.is_empty,
        is_null=condition.is_null,
    )


def _match_value(match: models.MatchValue) -> edge.MatchValue:
    # qdrant-edge 0.9 reads Python's bool as an integer, which matches no boolean.
    value: Any = np.bool_(match.value) if isinstance(match.value, bool) else match.value
    return edge.MatchValue(value)


def _datetime_range(r: models.DatetimeRange) -> edge.RangeDateTime:
    ends = _tightest(*(end and _moment(end) for end in (r.gte, r.gt, r.lte, r.lt)))
    return edge.RangeDateTime(*(end and end.isoformat() for end in ends))


def _tightest(gte: Any, gt: Any, lte: Any, lt: Any) -> tuple[Any, Any, Any, Any]:
    """Keep one bound per side: given two, an index of qdrant-edge 0.9 ignores one."""
    if gte is not None and gt is not None:
        gte, gt = (None, gt) if gt >= gte else (gte, None)
    if lte is not None and lt is not None:
        lte, lt = (None, lt) if lt <= lte else (lte, None)
    return gte, gt, lte, lt


def _moment(moment: datetime | date) -> datetime:
    """Return a moment with its time zone, or in UTC if it has none, as a server does."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=timezone.utc)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _unknown(condition: Any) -> NotSupported:
    return NotSupported(
        f"the embedded engine does not filter by {condition!r:.200}:"
        " use another condition, or a Qdrant server"
    )


_TRANSLATIONS: Final[Mapping[type, Callable[[Any], Any]]] = {
    models.Filter: to_filter,
    models.FieldCondition: _field,
    models.HasIdCondition: lambda c: edge.HasIdCondition(set(c.has_id)),
    models.HasVectorCondition: lambda c: edge.HasVectorCondition(c.has_vector),
    models.IsEmptyCondition: lambda c: edge.IsEmptyCondition(c.is_empty.key),
    models.IsNullCondition: lambda c: edge.IsNullCondition(c.is_null.key),
    models.NestedCondition: lambda c: edge.NestedCondition(
        c.nested.key, to_filter(c.nested.filter) or edge.Filter()
    ),
    models.MatchValue: _match_value,
    models.MatchAny: lambda m: edge.MatchAny(list(m.any)),
    models.MatchExcept: lambda m: edge.MatchExcept(list(m.except_)),
    models.MatchText: lambda m: edge.MatchText(m.text),
    models.MatchTextAny: lambda m: edge.MatchTextAny(m.text_any),
    models.MatchPhrase: lambda m: edge.MatchPhrase(m.phrase),
    models.Range: lambda r: edge.RangeFloat(*_tightest(r.gte, r.gt, r.lte, r.lt)),
    models.DatetimeRange: _datetime_range,
    models.ValuesCount: lambda c: edge.ValuesCount(c.lt, c.gt, c.lte, c.gte),
}
