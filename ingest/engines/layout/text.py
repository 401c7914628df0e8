"""Joins words into running text: rows, reading direction, line ends, clean characters. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from statistics import median
from typing import Final

from ...markdown.joining import SOFT_HYPHEN, glue, is_spaceless, words_of
from .geometry import Rect, union, vertical_overlap
from .initials import is_initial
from .spaced_letters import closed_up, is_spaced_letter
from .text_layer.words import LayoutWord

__all__ = ["Row", "clean", "code_text", "is_rtl", "rows_of", "running_text", "vocabulary"]

_SAME_ROW: Final = 0.6
"""Lines that overlap vertically by more than this are side by side. Consecutive lines of tight text
overlap by up to 0.3, a superscript and its line by 0.7."""

_INVISIBLE: Final = re.compile("[\ufeff\u200b\u2060\u00ad\u202a-\u202e\u2066-\u2069]")
_LIGATURE: Final = re.compile("[\ufb00-\ufb06\ufb50-\ufdff\ufe70-\ufefc]")
# Bullets of Symbol and Wingdings have private codes.
_ICON_BULLET: Final = re.compile("[\uf0b7\uf0a7\uf0d8\uf0fc\uf076\uf06e\uf0a8\uf071]")
_BLANK: Final = 1.6  # times the pitch of code without blank lines
_LOOSEST: Final = 1.5  # pitch of code with single spacing, in font sizes
_SPACELESS_GAP: Final = 0.5  # font sizes between glyphs of one line; tracking is smaller
_MARK: Final = re.compile(r"[\d,+\-\u2212)\]*]+")
_LEADER: Final = re.compile(r"(?: ?[.·]){5,} ?")
"""Dots between an entry and its page number. They carry no meaning and fill up chunks."""
_EXPONENT: Final = re.compile(r"[+\-\u2212]?\d+")
_BASE: Final = re.compile(r"(?:\d|(?<![^\W_])[A-Za-z]{1,2})$")
_SUPERSCRIPTS: Final = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_Line = tuple[list[LayoutWord], Rect]


@dataclass(frozen=True, slots=True)
class Row:
    """Words side by side, in reading order, with the rectangle around them and their text."""

    words: tuple[LayoutWord, ...]
    rect: Rect
    text: str


def rows_of(words: Sequence[LayoutWord]) -> list[Row]:
    """Group words into rows from top to bottom, each in reading order.

    Lines of the source stay whole. Lines at the same height form one row, from right to left in
    right-to-left text. Turned lines come last, one row each.
    """
    by_line = attrgetter("line")
    lines = [list(line) for _, line in groupby(sorted(words, key=by_line), key=by_line)]
    boxed = [(line, union(w.rect for w in line)) for line in lines]
    upright = sorted((x for x in boxed if x[0][0].turn == 0), key=lambda x: x[1][1] + x[1][3])
    rows = [_row(group) for group in _side_by_side(upright)]
    return rows + [_row([x]) for x in boxed if x[0][0].turn != 0]


def running_text(rows: Sequence[Row], known: frozenset[str] = frozenset()) -> str:
    """Join rows into one paragraph. Leader dots become an ellipsis.

    A hyphen at a line end between lower-case letters is removed unless ``known``, the words of the
    page, contains the compound or both of its parts.
    """
    text = ""
    for row in rows:
        drop, between = glue(text, row.text, known) if text else (0, "")
        text = text[: len(text) - drop] + between + row.text
    return _LEADER.sub(" … ", clean(text)).strip()


def code_text(rows: Sequence[Row]) -> str:
    """Join rows line by line, keeping indentation and single blank lines."""
    if not rows:
        return ""
    words = (w for row in rows for w in row.words)
    width = median((w.rect[2] - w.rect[0]) / max(1, len(w.text)) for w in words)
    left = min(row.rect[0] for row in rows)
    blank = _blank_pitch(rows)
    lines: list[str] = []
    for i, row in enumerate(rows):
        if i and _foot(row) - _foot(rows[i - 1]) > blank:
            lines.append("")
        indent = round((row.rect[0] - left) / max(width, 1e-3))
        lines.append(" " * indent + clean(_spaced(row, width)))
    return "\n".join(lines)


def _blank_pitch(rows: Sequence[Row]) -> float:
    """The pitch of rows above which a blank line is between them."""
    size = median(w.size for row in rows for w in row.words)
    pitches = [b - a for a, b in pairwise(map(_foot, rows)) if b - a > 0.8 * size]
    return _BLANK * min([*pitches, _LOOSEST * size])


def _foot(row: Row) -> float:
    """The lower edge of a row without its descenders, which only some rows have."""
    return min(word.rect[3] for word in row.words)


def clean(text: str) -> str:
    """Spell out ligatures; drop control characters, zero-width marks and surrogates.

    Private codes become U+FFFD: something is there that nobody can read.

    Other characters keep their form: full NFKC would turn ``x²`` into ``x2``.
    """
    text = _ICON_BULLET.sub("•", text)
    text = _LIGATURE.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = _INVISIBLE.sub("", text)
    text = "".join("\ufffd" if unicodedata.category(c) in ("Co", "Cn") else c for c in text)
    kept = (c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept).strip("\n ")


def is_rtl(text: str) -> bool:
    """Whether most letters are written from right to left."""
    classes = [unicodedata.bidirectional(c) for c in text]
    return sum(c in ("R", "AL") for c in classes) > classes.count("L")


def vocabulary(words: Sequence[LayoutWord]) -> frozenset[str]:
    """Return the words of a page in lower case, without the parts of hyphenated words."""
    known: set[str] = set()
    cut = False
    for word in words:
        ends_cut = word.text.endswith(("-", "\u2010", SOFT_HYPHEN))
        if not cut and not ends_cut:
            known.update(words_of(word.text))
        cut = ends_cut
    return frozenset(known)


def _side_by_side(lines: list[_Line]) -> list[list[_Line]]:
    groups: list[list[_Line]] = []
    for line in lines:
        if groups and vertical_overlap(groups[-1][0][1], line[1]) > _SAME_ROW:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _row(lines: list[_Line]) -> Row:
    texts = [(_line_text(closed_up(line)), line, rect) for line, rect in _merged(lines)]
    rtl = is_rtl("".join(t for t, _, _ in texts))
    texts.sort(key=lambda x: -x[2][2] if rtl else x[2][0])
    return Row(
        words=tuple(w for _, line, _ in texts for w in line),
        rect=union(rect for _, _, rect in texts),
        text=_beside([(text, line) for text, line, _ in texts]),
    )


def _merged(lines: list[_Line]) -> list[_Line]:
    """Join lines of single letters side by side: letters set apart have wide spaces."""
    if len(lines) < 2:
        return lines
    merged: list[_Line] = []
    for line, rect in sorted(lines, key=lambda x: x[1][0]):
        if merged and _are_letters(line) and _are_letters(merged[-1][0]):
            before, around = merged[-1]
            merged[-1] = ([*before, *line], union((around, rect)))
        else:
            merged.append((line, rect))
    return merged


def _are_letters(line: Sequence[LayoutWord]) -> bool:
    return all(is_spaced_letter(w.text) and w.size == line[0].size for w in line)


def _beside(parts: Sequence[tuple[str, list[LayoutWord]]]) -> str:
    """Join lines that stand side by side; a large initial belongs to the word after it.

    So do glyphs of a script without spaces that touch: some programs place each on its own.
    """
    text = parts[0][0]
    for (before, line), (after, following) in pairwise(parts):
        last, first = line[-1], following[0]
        glued = is_initial(before, last, after, first) or _touch(before, last, after, first)
        text += after if glued else f" {after}"
    return text


def _touch(before: str, first: LayoutWord, after: str, second: LayoutWord) -> bool:
    if not (is_spaceless(before[-1:]) and is_spaceless(after[:1])):
        return False
    return second.rect[0] - first.rect[2] < _SPACELESS_GAP * second.size


def _line_text(line: list[LayoutWord]) -> str:
    text = line[0].text
    for word in line[1:]:
        following = _raised(text, word.text) if word.raised else word.text
        text += following if word.glued else f" {word.text}"
    return text


def _raised(before: str, text: str) -> str:
    """Format a superscript number: an exponent after a number or unit, else a footnote mark.

    Appended unchanged, a footnote mark would spoil the word before it, and 10⁶ would become 106.
    """
    if not _MARK.fullmatch(text):
        return text
    if _BASE.search(before) and _EXPONENT.fullmatch(text):
        return text.translate(_SUPERSCRIPTS)
    return f" {text}"


def _spaced(row: Row, width: float) -> str:
    """Return the text of a row with spaces in proportion to its gaps."""
    text = row.words[0].text
    for before, word in pairwise(row.words):
        gap = 0 if word.glued else max(1, round((word.rect[0] - before.rect[2]) / width))
        text += " " * gap + word.text
    return text
