"""Finds pairs of delimiters in Markdown and LaTeX, and completes pieces cut between them. Pure.

A completed piece can be read, highlighted and typeset alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..core.records import BlockKind

__all__ = [
    "Delimited",
    "Nesting",
    "enclosure",
    "inner_spans",
    "protected_ranges",
    "spans_that_fit",
    "wrap",
]

_FENCE: Final = re.compile(r"(`{3,}|~{3,})[^\n]*\n")
_INLINE: Final = re.compile(
    r"(?P<code>(?<!`)`+(?!`))|(?P<paren>\\\()|(?P<square>\\\[)|(?P<dollars>\$\$?)|(?P<bold>\*\*)"
    r"|(?P<link>!?\[(?=[^\[\]\n]{0,300}\]\([^()\n]{0,500}\)))"
)
_LATEX: Final = re.compile(
    r"\\begin\{([a-zA-Z]{1,30}\*?)\}|\\end\{([a-zA-Z]{1,30}\*?)\}|\\(left|right)\b\s*(\\[a-zA-Z]+|\\?.)"
    r"|\\.|([{}])",
    re.DOTALL,
)
_MATH: Final = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"))
_LONGEST_INFO: Final = 80  # characters of the info string after a code fence
_LONGEST_SPAN: Final = 4000
"""Characters within which an inline delimiter must be closed; otherwise it is plain text."""


@dataclass(frozen=True, slots=True)
class Delimited:
    """A span of text between two delimiters.

    ``start`` and ``end`` are character offsets without the delimiters, ``left`` and ``right``
    with them. A piece cut out of the span gets ``opens`` before it and ``closes`` after it.
    """

    start: int
    end: int
    opens: str
    closes: str
    left: int
    right: int


def enclosure(kind: BlockKind, text: str) -> Delimited | None:
    """The delimiters around a whole block: a code fence or math delimiters; None without."""
    if kind is BlockKind.CODE:
        return _fence(text)
    return _math(text) if kind is BlockKind.FORMULA else None


def inner_spans(kind: BlockKind, text: str, start: int, end: int) -> tuple[Delimited, ...]:
    """The delimited spans inside a block, outer before inner.

    A formula is parsed as LaTeX between ``start`` and ``end``, the inner edges of its own
    delimiters. Code is not parsed; every other kind is running text with inline spans.
    """
    if kind is BlockKind.CODE:
        return ()
    if kind is BlockKind.FORMULA:
        return tuple(_latex(text, start, end))
    return tuple(_inline(text))


class Nesting:
    """Answers which spans enclose an offset: nested or disjoint spans, outer before inner."""

    def __init__(self, spans: Sequence[Delimited]) -> None:
        self._spans = spans
        self._lefts = [span.left for span in spans]
        self._parents: list[int] = []  # for each span the position of the enclosing one, or -1
        opened: list[int] = []
        for number, span in enumerate(spans):
            while opened and spans[opened[-1]].right <= span.left:
                opened.pop()
            self._parents.append(opened[-1] if opened else -1)
            opened.append(number)

    def enclosing(self, offset: int) -> list[Delimited]:
        """The spans that a cut at ``offset`` splits, outer before inner."""
        found = []
        number = bisect_left(self._lefts, offset) - 1
        while number >= 0:
            if self._spans[number].right > offset:
                found.append(self._spans[number])
            number = self._parents[number]
        return found[::-1]


def wrap(spans: Nesting, text: str, start: int, end: int) -> str:
    """``text[start:end]`` with the delimiters of the spans that its ends split."""
    before = "".join(s.opens for s in spans.enclosing(start))
    after = "".join(s.closes for s in reversed(spans.enclosing(end)))
    return f"{before}{text[start:end]}{after}"


def spans_that_fit(
    spans: Sequence[Delimited], fits: Callable[[str], bool]
) -> tuple[Delimited, ...]:
    """The outer levels of spans (outer before inner) whose delimiters fit together.

    ``fits`` tells whether some delimiters leave enough room for text.
    """
    nested: list[tuple[Delimited, str]] = []  # enclosing spans, each with all delimiters so far
    depths: dict[int, list[tuple[Delimited, str]]] = {}
    for span in spans:
        while nested and nested[-1][0].right <= span.left:
            nested.pop()
        nested.append((span, (nested[-1][1] if nested else "") + span.opens + span.closes))
        depths.setdefault(len(nested), []).append(nested[-1])
    kept: list[Delimited] = []
    for depth in sorted(depths):
        if not fits(max((marks for _, marks in depths[depth]), key=len)):
            break
        kept += [span for span, _ in depths[depth]]
    return tuple(sorted(kept, key=lambda s: s.left))


def protected_ranges(spans: Sequence[Delimited], limit: int) -> list[tuple[int, int]]:
    """Ranges not to cut: spans of up to ``limit`` characters, and the delimiters of longer ones."""
    ranges: list[tuple[int, int]] = []
    for s in spans:
        if s.right - s.left <= limit:
            ranges.append((s.left, s.right))
        else:
            # Include one enclosed character, so that no piece is only a delimiter.
            ranges += [(s.left, s.start + 1), (s.end - 1, s.right)]
    return ranges


def _fence(text: str) -> Delimited | None:
    opening = _FENCE.match(text)
    if opening is None:
        return None
    fence = opening[1]
    # The fence keeps its info string (the language); a long one counts as code.
    short = opening.end() - len(fence) <= _LONGEST_INFO
    start = opening.end() if short else len(fence)
    opens = f"{opening[0].rstrip()}\n" if short else f"{fence}\n"
    last = text.rfind("\n", start - 1)
    closed = last >= 0 and re.fullmatch(rf"\s*{fence}{fence[0]}*\s*", text[last:])
    end = last if closed else len(text)
    return Delimited(start, max(end, start), opens, f"\n{fence}", 0, len(text))


def _math(text: str) -> Delimited | None:
    for opens, closes in _MATH:
        if text.startswith(opens) and text.endswith(closes) and len(text) > len(opens + closes):
            inner = text[len(opens) : -len(closes)]
            if not inner.strip() or closes in inner:
                return None
            start = len(opens) + len(inner) - len(inner.lstrip())
            end = len(opens) + len(inner.rstrip())
            return Delimited(start, end, text[:start], text[end:], 0, len(text))
    return None


def _latex(text: str, start: int, end: int) -> list[Delimited]:
    r"""Groups, environments and pairs of ``\left`` and ``\right``, outer before inner."""
    found: list[Delimited] = []
    stack: list[tuple[str, int, int, str]] = []  # closing name, left, start, text to reopen
    for match in _LATEX.finditer(text, start, end):
        opened = _opened(match)
        if opened:
            stack.append((opened[0], match.start(), match.end(), opened[1]))
        elif stack and stack[-1][0] == _closing(match):
            name, left, inner, again = stack.pop()
            closes = "\\right." if name == "\\right" else name
            found.append(Delimited(inner, match.start(), again, closes, left, match.end()))
    return sorted(found, key=lambda s: s.left)


def _opened(match: re.Match[str]) -> tuple[str, str] | None:
    if match[1]:
        return f"\\end{{{match[1]}}}", match[0]
    if match[3] == "left":
        return "\\right", "\\left."
    return ("}", "{") if match[5] == "{" else None


def _closing(match: re.Match[str]) -> str:
    if match[2]:
        return match[0]
    return "\\right" if match[3] == "right" else match[5] or ""


def _inline(text: str) -> Iterator[Delimited]:
    position = 0
    while match := _INLINE.search(text, position):
        span = _inline_span(text, match)
        if span is None:
            position = match.end()
        else:
            yield span
            position = span.right


def _inline_span(text: str, match: re.Match[str]) -> Delimited | None:
    left, start = match.span()
    if match["link"]:
        right = text.index(")", text.index("](", start)) + 1
        return Delimited(start, right - 1, "", "", left, right)
    opens = match[0]
    closes = {"\\(": "\\)", "\\[": "\\]"}.get(opens, opens)
    end = text.find(closes, start, start + _LONGEST_SPAN)
    paragraph = text.find("\n\n", start, start + _LONGEST_SPAN)
    if end <= start or 0 <= paragraph < end or not _is_span(opens, text, start, end):
        return None
    return Delimited(start, end, opens, closes, left, end + len(closes))


def _is_span(opens: str, text: str, start: int, end: int) -> bool:
    """Whether a pair of marks encloses a span: two prices in dollars are not a formula."""
    if opens == "$":
        after = text[end + 1 : end + 2]
        return not (text[start].isspace() or text[end - 1].isspace() or after.isdigit())
    return opens != "**" or not (text[start].isspace() or text[end - 1].isspace())
