"""The cells of a table before words fill them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Rect

__all__ = ["CellSlot", "GridPlan"]


@dataclass(frozen=True, slots=True)
class CellSlot:
    """An empty cell of a table."""

    row: int
    col: int
    row_span: int
    col_span: int
    rect: Rect


@dataclass(frozen=True, slots=True)
class GridPlan:
    """The cells of a table. ``header_rows`` is -1 if unknown."""

    rows: int
    cols: int
    slots: tuple[CellSlot, ...]
    header_rows: int = -1
