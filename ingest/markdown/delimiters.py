"""Delimiters that belong together: where they stand, and how to cut between them. Pure.

A piece cut out between an opening and a closing delimiter gets both, so that it can be read,
highlighted and typeset alone.
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
    "protected_ranges",
    "enclosure",
    "inner_spans",
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
_LONGEST_INFO: Final = 80  # characters behind the fence
_LONGEST_SPAN: Final = 4000
"""Characters after which an inline delimiter is taken to be a plain character."""


@dataclass(frozen=True, slots=True)
class Delimited:
    """A stretch that must not be left open.

    ``start`` is behind the opening delimiter and ``end`` before the closing one, both in
    characters; ``opens`` and ``closes`` are what a piece cut out of it is given.
    """

    start: int
    end: int
    opens: str
    closes: str
    left: int  # start of the opening delimiter
    right: int  # end of the closing one


def enclosure(kind: BlockKind, text: str) -> Delimited | None:
    """What a whole block stands between: the fence of code, the marks of a formula."""
    if kind is BlockKind.CODE:
        return _fence(text)
    return _math(text) if kind is BlockKind.FORMULA else None


def inner_spans(kind: BlockKind, text: str, start: int, end: int) -> tuple[Delimited, ...]:
    """Delimited stretches of ``text[start:end]``, the outer before the inner.

    Args:
        kind: formulas are LaTeX; code has none; all else is running text with inline spans.
        text: the block's Markdown.
        start: where the block's own delimiters end.
        end: where they begin again.
    """
    if kind is BlockKind.CODE:
        return ()
    if kind is BlockKind.FORMULA:
        return tuple(_latex(text, start, end))
    return tuple(_inline(text))


class Nesting:
    """Spans that stand in each other or apart, asked which of them a place lies in.

    Args:
        spans: the outer before the inner.
    """

    def __init__(self, spans: Sequence[Delimited]) -> None:
        self._spans = spans
        self._lefts = [span.left for span in spans]
        self._around: list[int] = []  # by span: the one it stands in, or -1
        opened: list[int] = []
        for number, span in enumerate(spans):
            while opened and spans[opened[-1]].right <= span.left:
                opened.pop()
            self._around.append(opened[-1] if opened else -1)
            opened.append(number)

    def at(self, place: int) -> list[Delimited]:
        """The spans that a cut at ``place`` leaves open, the outer before the inner."""
        found = []
        number = bisect_left(self._lefts, place) - 1
        while number >= 0:
            if self._spans[number].right > place:
                found.append(self._spans[number])
            number = self._around[number]
        return found[::-1]


def wrap(spans: Nesting, text: str, start: int, end: int) -> str:
    """``text[start:end]``, with what is cut at its ends opened and closed again."""
    before = "".join(s.opens for s in spans.at(start))
    after = "".join(s.closes for s in reversed(spans.at(end)))
    return f"{before}{text[start:end]}{after}"


def spans_that_fit(
    spans: Sequence[Delimited], fits: Callable[[str], bool]
) -> tuple[Delimited, ...]:
    """The outer spans whose delimiters fit into a piece together, wherever it is cut.

    Args:
        spans: the outer before the inner.
        fits: whether so many delimiters leave room for what stands between them.
    """
    nested: list[tuple[Delimited, str]] = []  # around the current one, each with all delimiters
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
    """Ranges not to cut within: delimiters, and what they enclose up to ``limit`` characters."""
    ranges: list[tuple[int, int]] = []
    for s in spans:
        if s.right - s.left <= limit:
            ranges.append((s.left, s.right))
        else:
            # Nor right behind what opens, or before what closes.
            ranges += [(s.left, s.start + 1), (s.end - 1, s.right)]
    return ranges


def _fence(text: str) -> Delimited | None:
    opening = _FENCE.match(text)
    if opening is None:
        return None
    fence = opening[1]
    # With its language and what else says how to show it; a long remark counts as code.
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
    r"""Groups, environments and pairs of ``\left`` and ``\right``, the outer first."""
    found: list[Delimited] = []
    stack: list[tuple[str, int, int, str]] = []  # what closes it; where; what opens it again
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
    """Whether a pair of marks encloses something: prices are no formulas."""
    if opens == "$":
        after = text[end + 1 : end + 2]
        return not (text[start].isspace() or text[end - 1].isspace() or after.isdigit())
    return opens != "**" or not (text[start].isspace() or text[end - 1].isspace())
