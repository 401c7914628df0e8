"""Reads pages on the CPU: text layer, layout model, OCR where a page has no usable text."""

from .engine import LayoutEngine

__all__ = ["LayoutEngine"]
