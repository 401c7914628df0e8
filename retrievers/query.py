"""A question and what it finds, as records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..ingest.config import ConfigError
from ..ingest.schema import Field
from ..ingest.types import Box

__all__ = ["Hit", "Query", "SearchMode", "hit_from_payload"]

SearchMode = Literal["hybrid", "dense", "sparse"]


@dataclass(frozen=True, slots=True)
class Query:
    """A question.

    ``filters`` maps payload fields (:class:`opticalrag.ingest.schema.Field`) to the value they
    must have, or to a list of values of which one must match.
    """

    text: str
    top_k: int = 5
    mode: SearchMode = "hybrid"
    filters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no store can answer."""
        if not self.text.strip():
            raise ConfigError("the question is empty: say what to look for")
        if self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}; ask for at least 1 hit")
        if self.mode not in ("hybrid", "dense", "sparse"):
            raise ConfigError(f"mode is {self.mode!r}; choose hybrid, dense or sparse")


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found.

    ``pages`` are 1-based; ``boxes`` are (page, box) with boxes in fractions of the page as
    displayed, origin top left. ``score`` is comparable within one result only.
    """

    id: str
    score: float
    text: str
    file_name: str = ""
    file_path: str = ""
    file_id: str = ""
    pages: tuple[int, ...] = ()
    page_labels: tuple[str, ...] = ()
    boxes: tuple[tuple[int, Box], ...] = ()
    heading_path: tuple[str, ...] = ()
    kind: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def hit_from_payload(point_id: str, score: float, payload: Mapping[str, Any]) -> Hit:
    """Make a hit of a stored point; fields that others did not write stay empty."""
    return Hit(
        id=point_id,
        score=score,
        text=str(payload.get(Field.TEXT) or ""),
        file_name=str(payload.get(Field.FILE_NAME) or ""),
        file_path=str(payload.get(Field.FILE_PATH) or ""),
        file_id=str(payload.get(Field.FILE_ID) or ""),
        pages=tuple(int(number) for number in payload.get(Field.PAGES) or ()),
        page_labels=tuple(str(label) for label in payload.get(Field.PAGE_LABELS) or ()),
        boxes=tuple(_boxes(payload.get(Field.BOXES) or ())),
        heading_path=tuple(str(title) for title in payload.get(Field.HEADING_PATH) or ()),
        kind=str(payload.get(Field.KIND) or ""),
        payload=payload,
    )


def _boxes(stored: Sequence[Mapping[str, Any]]) -> list[tuple[int, Box]]:
    return [(int(item["page"]), Box.clipped(*item["box"])) for item in stored]
