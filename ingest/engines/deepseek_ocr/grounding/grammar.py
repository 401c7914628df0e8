"""Counts the markers and table cells of an answer, and how many are broken. Pure.

A model that reads the page writes whole markers and whole table cells, as it was trained to. A
model that no longer follows the page soon breaks them too. Broken markup is still read; this module
only counts it.
"""

from __future__ import annotations

import re
from typing import Final

from ...quality.assessment import Markup

__all__ = ["count_markup"]

_TOKENS: Final = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>")
_PLAIN: Final = r"(?:(?!<\|/?(?:ref|det)\|>).)*"
_MARKER = re.compile(rf"<\|ref\|>{_PLAIN}<\|/ref\|>\s*<\|det\|>({_PLAIN})<\|/det\|>", re.DOTALL)
_BOX = re.compile(r"\[\s*" + r"\s*,\s*".join([r"(\d{1,3})"] * 4) + r"\s*\]", re.ASCII)
# The beginning of a marker, cut anywhere. A label has no line breaks: after one, the marker is
# broken and text follows.
_CUT_MARKER = re.compile(
    r"<\|ref\|>(?:(?!<\|/?(?:ref|det)\|>)[^\n])*"
    r"(?:<\|/ref\|>\s*(?:<\|det\|>[\[\]\s\d,]*)?)?(?:<\|?/?\w*\|?)?\Z"
)
_TABLE_TAG = re.compile(r"<(/?)(t[dh]|table)\b[^<>]*>")


def count_markup(raw: str, *, truncated: bool) -> Markup:
    """Count the markers and table cells of an answer, and the broken ones among them.

    A marker is whole if both of its parts are closed and it has at least one valid box: four
    integers from 0 to 999 with an area between them. Any label is valid: with ``OCR this image.``
    it is a line of the page. A cell is whole if it is closed before the next one begins. If the
    model was stopped (``truncated``), the marker or cell at the end is not counted.
    """
    text = _without_cut_marker(raw) if truncated else raw
    # A whole marker has each token once, so the most frequent token counts the begun markers.
    markers = max(text.count(token) for token in _TOKENS)
    whole = sum(_has_box(marker[1]) for marker in _MARKER.finditer(text))
    cells = _count_cells(text, truncated=truncated)
    return Markup(markers + cells.count, markers - whole + cells.broken)


def _without_cut_marker(raw: str) -> str:
    start = raw.rfind("<|ref|>")
    return raw[:start] if start >= 0 and _CUT_MARKER.match(raw, start) else raw


def _has_box(coordinates: str) -> bool:
    boxes = (map(int, box.groups()) for box in _BOX.finditer(coordinates))
    return any(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in boxes)


def _count_cells(text: str, *, truncated: bool) -> Markup:
    """Pair the tags of cells, table by table. A table that begins in an open cell is nested."""
    is_open = [False]  # for each open table, whether a cell is open; the innermost is last
    begun = ended = whole = 0
    for close, name in _TABLE_TAG.findall(text):
        if name == "table":
            if not close and is_open[-1]:
                is_open.append(False)
            elif close and len(is_open) > 1:
                is_open.pop()
            continue
        begun, ended = begun + (not close), ended + bool(close)
        whole += bool(close) and is_open[-1]
        is_open[-1] = not close
    if truncated:
        begun -= sum(is_open)
    count = max(begun, ended)
    return Markup(count, count - whole)
