"""Words to running text: rows, reading direction, line ends, clean characters. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Final

from ...markdown.joining import SOFT_HYPHEN, glue, words_of
from .pieces import Piece, Rect, union, vertical_overlap

__all__ = ["Row", "clean", "code_text", "is_rtl", "rows_of", "running_text", "vocabulary"]

_SAME_ROW: Final = 0.6
"""Vertical overlap from which two lines stand side by side. Consecutive lines of tight text
overlap by up to 0.3, a superscript and its line by 0.7."""

_INVISIBLE: Final = re.compile("[\ufeff\u200b\u2060\u00ad\ufffd\u202a-\u202e\u2066-\u2069]")
_LIGATURE: Final = re.compile("[\ufb00-\ufb06\ufb50-\ufdff\ufe70-\ufefc]")
_ICON_BULLET: Final = re.compile("[\uf0b7\uf0a7\uf0d8\uf0fc\uf076\uf06e\uf0a8\uf071]")
# Symbol and Wingdings bullets, which have private codes and no Unicode name.
_MARK: Final = re.compile(r"[\d,+\-\u2212)\]*]+")
_LEADER: Final = re.compile(r"(?: ?[.·]){5,} ?")
"""Dots between an entry and its page number: they say nothing and fill a chunk."""
_EXPONENT: Final = re.compile(r"[+\-\u2212]?\d+")
_BASE: Final = re.compile(r"(?:\d|(?<![^\W_])[A-Za-z]{1,2})$")
_SUPERSCRIPTS: Final = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")


@dataclass(frozen=True, slots=True)
class Row:
    """Pieces side by side, in reading order."""

    pieces: tuple[Piece, ...]
    rect: Rect
    text: str


def rows_of(pieces: Sequence[Piece]) -> list[Row]:
    """Group pieces into rows from top to bottom, each in reading order.

    Lines of the source stay whole; lines at the same height are put side by side, from the
    right in right-to-left text.
    """
    lines = [list(line) for _, line in groupby(sorted(pieces, key=_line), key=_line)]
    placed = [(line, union(p.rect for p in line)) for line in lines]
    level = sorted((x for x in placed if x[0][0].turn == 0), key=lambda x: x[1][1] + x[1][3])
    rows = [_row(group) for group in _side_by_side(level)]
    return rows + [_row([x]) for x in placed if x[0][0].turn != 0]


def running_text(rows: Sequence[Row], known: frozenset[str] = frozenset()) -> str:
    """Join rows to one paragraph.

    A hyphen at a line end between small letters is taken out, unless ``known`` (the words of
    the page) shows that the compound, or both of its parts, are words of their own. Leader dots
    become one ellipsis.
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
    width = median(_letter_width(p) for row in rows for p in row.pieces)
    left = min(row.rect[0] for row in rows)
    height = median(row.rect[3] - row.rect[1] for row in rows)
    lines: list[str] = []
    for i, row in enumerate(rows):
        if i and row.rect[1] - rows[i - 1].rect[3] > 0.8 * height:
            lines.append("")
        indent = round((row.rect[0] - left) / max(width, 1e-3))
        lines.append(" " * indent + clean(_spaced(row, width)))
    return "\n".join(lines)


def clean(text: str) -> str:
    """Spell out ligatures and drop what has no meaning in plain text.

    Dropped: control characters, zero-width marks, private codes, unpaired surrogates. All
    other characters keep their form: a full NFKC would turn ``x²`` into ``x2``.
    """
    text = _ICON_BULLET.sub("•", text)
    text = _LIGATURE.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = _INVISIBLE.sub("", text)
    return "".join(c for c in text if c == "\n" or not _is_noise(c)).strip("\n ")


def is_rtl(text: str) -> bool:
    """Whether most letters are written from right to left."""
    classes = [unicodedata.bidirectional(c) for c in text]
    return sum(c in ("R", "AL") for c in classes) > classes.count("L")


def vocabulary(pieces: Sequence[Piece]) -> frozenset[str]:
    """The words of a page in small letters, without those that are parts cut at a line end."""
    words: set[str] = set()
    cut = False
    for piece in pieces:
        ends_cut = piece.text.endswith(("-", "\u2010", SOFT_HYPHEN))
        if not cut and not ends_cut:
            words.update(words_of(piece.text))
        cut = ends_cut
    return frozenset(words)


def _line(piece: Piece) -> int:
    return piece.line


def _side_by_side(
    lines: list[tuple[list[Piece], Rect]],
) -> list[list[tuple[list[Piece], Rect]]]:
    groups: list[list[tuple[list[Piece], Rect]]] = []
    for line in lines:
        if groups and vertical_overlap(groups[-1][0][1], line[1]) > _SAME_ROW:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _row(lines: list[tuple[list[Piece], Rect]]) -> Row:
    texts = [(_line_text(line), line, rect) for line, rect in lines]
    rtl = is_rtl("".join(t for t, _, _ in texts))
    texts.sort(key=lambda x: -x[2][2] if rtl else x[2][0])
    return Row(
        pieces=tuple(p for _, line, _ in texts for p in line),
        rect=union(rect for _, _, rect in texts),
        text=" ".join(t for t, _, _ in texts),
    )


def _line_text(line: list[Piece]) -> str:
    text = line[0].text
    for piece in line[1:]:
        if piece.glued and piece.raised:
            text += _raised(text, piece.text)
        else:
            text += piece.text if piece.glued else f" {piece.text}"
    return text


def _raised(before: str, text: str) -> str:
    """A superscript number: an exponent after a number or unit, else the mark of a footnote.

    Glued on as it is, a mark would make a word nobody searches for, and 10⁶ would be 106.
    """
    if not _MARK.fullmatch(text):
        return text
    if _BASE.search(before) and _EXPONENT.fullmatch(text):
        return text.translate(_SUPERSCRIPTS)
    return f" {text}"


def _letter_width(piece: Piece) -> float:
    return (piece.rect[2] - piece.rect[0]) / max(1, len(piece.text))


def _spaced(row: Row, width: float) -> str:
    """The row's text with gaps as wide as they are drawn."""
    text = row.pieces[0].text
    for before, piece in pairwise(row.pieces):
        gap = 0 if piece.glued else max(1, round((piece.rect[0] - before.rect[2]) / width))
        text += " " * gap + piece.text
    return text


def _is_noise(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Co", "Cs", "Cn")
