"""Finds HTML tables in Markdown. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final

from ..core.records import BlockKind
from .delimiters import inner_spans

__all__ = ["is_wrapping", "strip_range", "table_ends", "table_tag", "table_title", "tables_in"]

_TABLE: Final = re.compile(
    r"<table\b[^<>]*>(?=\s*<(?:t[rdh]\b|thead|tbody|tfoot|caption|col|!--))", re.IGNORECASE
)
_TAG: Final = re.compile(r"<(/?)table\b[^<>]*>?|^ {0,3}#{1,6}\s", re.IGNORECASE | re.MULTILINE)
_TITLE: Final = re.compile(
    r"<table\b[^<>]*>\s*<caption\b[^<>]*>(.{1,2000}?)</caption\s*>", re.IGNORECASE | re.DOTALL
)
_WRAPPER: Final = re.compile(
    r"\s*(?:</?(?:html|body|div|center|p|figure)\b[^<>]*>\s*)*", re.IGNORECASE
)
"""Tags that engines put around a table. They have no meaning."""


def table_tag(text: str, start: int) -> int | None:
    """The offset of the table tag that a line begins with, perhaps inside other tags; or None."""
    around = _WRAPPER.match(text, start)
    at = around.end() if around else start
    return at if _TABLE.match(text, at) else None


def tables_in(text: str, start: int, stop: int) -> Iterator[int]:
    """The offsets of table tags in ``text[start:stop]``, except those inside inline code."""
    tags = [match.start() for match in _TABLE.finditer(text, start, stop)]
    if not tags or "`" not in text[start:stop]:
        yield from tags
        return
    spans = inner_spans(BlockKind.TEXT, text[start:stop], 0, stop - start)
    code = deque((s.left + start, s.right + start) for s in spans if s.opens.startswith("`"))
    for tag in tags:
        while code and code[0][1] <= tag:
            code.popleft()
        if not (code and code[0][0] < tag):
            yield tag


def table_ends(text: str) -> dict[int, int]:
    """The end offset of each closed table by its start. A heading ends all open tables."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for tag in _TAG.finditer(text):
        if tag[1] is None:
            opened.clear()
        elif not tag[1]:
            opened.append(tag.start())
        elif opened:
            ends[opened.pop()] = tag.end()
    return ends


def table_title(text: str, start: int, stop: int) -> tuple[tuple[int, int], int] | None:
    """The range of the caption inside a table, and the offset of its rows; None without."""
    title = _TITLE.match(text, start, stop)
    if title is None or not title[1].strip():
        return None
    return strip_range(text, *title.span(1)), title.end()


def is_wrapping(text: str) -> bool:
    """Whether a text consists only of wrapping tags."""
    return _WRAPPER.fullmatch(text) is not None


def strip_range(text: str, start: int, stop: int) -> tuple[int, int]:
    """Shrink a range by the white space at its edges; empty if there is only white space."""
    body = text[start:stop]
    left = start + len(body) - len(body.lstrip())
    return left, max(left, start + len(body.rstrip()))
