"""The tables of a page: drawn lines, and the cells that lines or the alignment of words make."""

from .placing import PlacedTable, find_tables
from .records import CellSlot, GridPlan
from .rules import Rules, find_rules

__all__ = ["CellSlot", "GridPlan", "PlacedTable", "Rules", "find_rules", "find_tables"]
