"""How well an answer keeps to the grammar of the model's markers. Pure.

A model that reads writes whole markers, as it was trained to; one that has lost its place on
the page soon loses its place in a marker too. Whatever stands in an answer is read all the
same: this only counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Markers", "count_markers"]

_TOKENS: Final = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>")
_NO_TOKEN: Final = r"(?:(?!<\|/?(?:ref|det)\|>).)*"
_MARKER = re.compile(
    rf"<\|ref\|>{_NO_TOKEN}<\|/ref\|>\s*<\|det\|>({_NO_TOKEN})<\|/det\|>", re.DOTALL
)
_BOX = re.compile(r"\[\s*" + r"\s*,\s*".join([r"(\d{1,3})"] * 4) + r"\s*\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Markers:
    """How many markers an answer has, and how many of them break the grammar."""

    count: int = 0
    broken: int = 0


def count_markers(raw: str, *, truncated: bool) -> Markers:
    """Count the markers of an answer, and those that are not whole or hold no box.

    A box is four integers 0..999 around an area. Of several in one marker one is enough, and
    any label will do: with ``OCR this image.`` it is a line of the page.

    Args:
        raw: what the model wrote, special tokens kept.
        truncated: whether the model was stopped before its end: the marker it was stopped in
            is not counted.
    """
    text = _without_cut_marker(raw) if truncated else raw
    # Each token is in a whole marker once: the most frequent one says how many were begun.
    count = max(text.count(token) for token in _TOKENS)
    whole = sum(_has_box(marker[1]) for marker in _MARKER.finditer(text))
    return Markers(count, count - whole)


def _without_cut_marker(raw: str) -> str:
    start = raw.rfind("<|ref|>")
    return raw[:start] if start >= 0 and "<|/det|>" not in raw[start:] else raw


def _has_box(coordinates: str) -> bool:
    boxes = (map(int, box.groups()) for box in _BOX.finditer(coordinates))
    return any(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in boxes)
