"""Translates LlamaIndex's metadata filters to Qdrant's, with every operator. Pure.

Qdrant looks into arrays, whereas LlamaIndex's own evaluation (``SimpleVectorStore``) compares
whole values. We follow Qdrant on purpose:

- A condition on an array (``pages``, ``flags``) holds if one element satisfies it. So ``==``,
  ``in``, ``contains`` and ``any`` look for an element; ``all`` needs an element for each value.
- ``!=`` and ``nin`` negate ``==`` and ``in``: no element may be equal. As in LlamaIndex, a missing
  or null field satisfies them. It satisfies no other operator except ``is_empty``.
- ``text_match`` and ``text_match_insensitive`` both look for a phrase of whole words and ignore
  case. ``contains`` compares whole values, even those of plain text.
- ``<``, ``<=``, ``>`` and ``>=`` compare numbers, or dates in ISO 8601 (UTC if there is no time
  zone). Qdrant does not order other text.
- Numbers equal numbers (3 equals 3.0), never booleans or text.

Keys are Qdrant's paths: ``boxes[].page`` is a field within a field. A payload index that you
create for a field of your own must have the type of the values you compare: a keyword index does
not find dates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from qdrant_client import models

from ..core.errors import FilterError

if TYPE_CHECKING:
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

__all__ = ["qdrant_filter"]

_Operator: TypeAlias = Callable[[str, Any], models.Condition]  # from a field and its operand

# A Qdrant path: names, each quoted if it has other than word characters and followed by [] or [n].
_NAME = r'(?:[\w-]+|"[^"]+")(?:\[\d*\])*'
_PATH = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_EXACT = 2**53  # larger integers are not exact in floats, which ranges consist of


def qdrant_filter(filters: MetadataFilters | Mapping[str, Any] | None) -> models.Filter | None:
    """Translate filters for Qdrant.

    Args:
        filters: LlamaIndex's filters, nested to any depth; or a mapping from payload fields to the
            value that each must have. If the value is a list, one of its values must match.

    Returns:
        The filter, or None if there are no conditions. Nested filters without conditions are
        ignored.

    Raises:
        FilterError: Qdrant does not support the operator, or not with this value.
    """
    if filters is None:
        return None
    if isinstance(filters, Mapping):
        wanted = [_equal_to(key, _listed(value)) for key, value in filters.items()]
        return models.Filter(must=wanted) if wanted else None
    return _combined(filters)


def _combined(filters: MetadataFilters) -> models.Filter | None:
    conditions = [found for one in filters.filters if (found := _condition(one)) is not None]
    if not conditions:
        return None
    how = filters.condition.value if filters.condition else "and"
    if how == "or":
        return models.Filter(should=conditions)
    if how == "not":  # LlamaIndex's meaning: none of the conditions holds
        return models.Filter(must_not=conditions)
    return models.Filter(must=conditions)


def _condition(one: MetadataFilter | MetadataFilters) -> models.Condition | None:
    from llama_index.core.vector_stores import MetadataFilters

    if isinstance(one, MetadataFilters):
        return _combined(one)
    operator = one.operator.value
    try:
        return _OPERATORS[operator](one.key, one.value)
    except FilterError as error:
        raise FilterError(
            f"invalid filter {one.key!r} {operator} {one.value!r:.60}: {error}"
        ) from None


def _equals(key: str, value: Any) -> models.Condition:
    if isinstance(value, list):
        raise FilterError("it compares with one value; use in, any or all for a list")
    return _equal_to(key, [value])


def _among(key: str, value: Any) -> models.Condition:
    return _equal_to(key, _list(value))


def _all(key: str, value: Any) -> models.Condition:
    if not _list(value):  # the field must exist, nothing more
        return models.Filter(must_not=[_empty(key)])
    return models.Filter(must=[_equal_to(key, [item]) for item in value])


def _phrase(key: str, value: Any) -> models.Condition:
    if not isinstance(value, str) or not re.search(r"[^\W_]", value):
        raise FilterError("it needs text with at least one word")
    return models.FieldCondition(key=_path(key), match=models.MatchPhrase(phrase=value))


def _empty_or_blank(key: str, value: Any) -> models.Condition:
    blank = models.FieldCondition(key=_path(key), match=models.MatchValue(value=""))
    return models.Filter(should=[_empty(key), blank])


def _compared(bound: str) -> _Operator:
    return lambda key, value: models.FieldCondition(key=_path(key), range=_range(bound, value))


def _opposite(operator: _Operator) -> _Operator:
    return lambda key, value: models.Filter(must_not=[operator(key, value)])


_OPERATORS: dict[str, _Operator] = {
    "==": _equals,
    "!=": _opposite(_equals),
    ">": _compared("gt"),
    ">=": _compared("gte"),
    "<": _compared("lt"),
    "<=": _compared("lte"),
    "in": _among,
    "nin": _opposite(_among),
    "any": _among,
    "all": _all,
    "contains": _equals,
    "text_match": _phrase,
    "text_match_insensitive": _phrase,
    "is_empty": _empty_or_blank,
}


def _equal_to(key: str, values: Sequence[Any]) -> models.Condition:
    """Require that the field, or an element of it, equals one of the values."""
    path = _path(key)
    texts = [value for value in values if isinstance(value, str)]
    alternatives: list[models.Condition] = []
    if texts or not values:  # without values, the condition is never true
        alternatives.append(models.FieldCondition(key=path, match=models.MatchAny(any=texts)))
    alternatives += [_equal_to_one(path, value) for value in values if not isinstance(value, str)]
    return alternatives[0] if len(alternatives) == 1 else models.Filter(should=alternatives)


def _equal_to_one(path: str, value: Any) -> models.FieldCondition:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FilterError(f"cannot compare {path} with {value!r:.60}: integers have 64 bits")
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) > _EXACT):
        return models.FieldCondition(key=path, match=models.MatchValue(value=value))
    if isinstance(value, int | float) and math.isfinite(value):
        return models.FieldCondition(key=path, range=models.Range(gte=value, lte=value))
    raise FilterError(f"cannot compare {path} with {value!r:.60}: use text, numbers or booleans")


def _empty(key: str) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=_path(key)))


def _range(bound: str, value: Any) -> models.Range | models.DatetimeRange:
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        try:
            return models.Range(**{bound: float(value)})
        except OverflowError:
            raise FilterError("it compares numbers of up to 64 bits") from None
    if isinstance(value, str):
        try:
            # Python 3.10 does not parse the Z for UTC.
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value.strip()))
        except ValueError:
            raise FilterError("it compares numbers or ISO dates, not other text") from None
        return models.DatetimeRange(**{bound: moment})
    raise FilterError("it needs a number or an ISO date")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError("it needs a list of values")
    return value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _path(key: str) -> str:
    if not _PATH.fullmatch(key):
        raise FilterError(f"invalid payload field {key!r:.60}: quote names with other characters")
    return key
