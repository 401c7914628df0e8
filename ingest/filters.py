"""LlamaIndex's metadata filters as Qdrant's: equality and membership. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from .errors import NotSupported

if TYPE_CHECKING:
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

__all__ = ["qdrant_filter"]


def qdrant_filter(filters: MetadataFilters | Mapping[str, Any] | None) -> models.Filter | None:
    """Translate filters for Qdrant; None where there is nothing to filter by.

    Raises:
        NotSupported: it holds another operator.
    """
    if filters is None:
        return None
    if isinstance(filters, Mapping):
        wanted = [_equal(key, value) for key, value in filters.items()]
        return models.Filter(must=wanted) if wanted else None
    conditions = [found for one in filters.filters if (found := _condition(one)) is not None]
    if not conditions:
        return None
    how = filters.condition.value if filters.condition else "and"
    place = {"and": "must", "or": "should", "not": "must_not"}[how]
    return models.Filter(**{place: conditions})


def _condition(one: MetadataFilter | MetadataFilters) -> models.Condition | None:
    from llama_index.core.vector_stores import MetadataFilters

    if isinstance(one, MetadataFilters):
        return qdrant_filter(one)
    if one.operator.value not in ("==", "in"):
        raise NotSupported(f"filters by {one.operator.value} are not translated; use == or in")
    return _equal(one.key, one.value)


def _equal(key: str, value: Any) -> models.FieldCondition:
    if isinstance(value, list | tuple | set | frozenset):
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(value)))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
