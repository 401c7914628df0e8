"""The text layer of a page as pieces. The edge to PyMuPDF's text extraction."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pymupdf

from .pieces import Piece, Rect, union

__all__ = ["FLAGS", "PageFacts", "read_page"]

FLAGS: Final = (
    pymupdf.TEXT_COLLECT_VECTORS
    | pymupdf.TEXT_PRESERVE_IMAGES
    | pymupdf.TEXT_ACCURATE_BBOXES
    | pymupdf.TEXT_MEDIABOX_CLIP
    | pymupdf.TEXT_IGNORE_ACTUALTEXT
)
"""What pymupdf4llm's own parser uses, less the styles, which are not needed here. Ligatures
are not preserved, so that MuPDF spells them out."""

_TEXT, _IMAGE, _VECTOR = 0, 1, 3
_DRAWN: Final = pymupdf.mupdf.FZ_STEXT_STROKED | pymupdf.mupdf.FZ_STEXT_FILLED
# Tesseract's font of empty glyphs: invisible whatever the render mode says.
_GLYPHLESS: Final = "GlyphLessFont"


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What stands on a page. ``images`` and ``curves`` (vectors that are no rectangles) count.

    ``blocks`` are MuPDF's own records, for the vendor functions that ask for them.
    """

    pieces: tuple[Piece, ...]
    images: tuple[Rect, ...]
    curves: int
    vectors: int
    blocks: tuple[dict[str, Any], ...]


def read_page(page: pymupdf.Page) -> PageFacts:
    """Read the text layer and the places of images and drawings."""
    text_page = page.get_textpage(flags=FLAGS, clip=pymupdf.INFINITE_RECT())
    blocks = text_page.extractRAWDICT()["blocks"]
    pieces: list[Piece] = []
    for number, block in enumerate(b for b in blocks if b["type"] == _TEXT):
        for line in block["lines"]:
            pieces.extend(_line_pieces(line, pieces[-1].line + 1 if pieces else 0, number))
    vectors = [b for b in blocks if b["type"] == _VECTOR]
    return PageFacts(
        pieces=tuple(pieces),
        images=tuple(tuple(b["bbox"]) for b in blocks if b["type"] == _IMAGE),
        curves=sum(not b["isrect"] for b in vectors),
        vectors=len(vectors),
        blocks=tuple(blocks),
    )


def _line_pieces(line: dict[str, Any], number: int, block: int) -> Iterator[Piece]:
    turn = _turn(line["dir"])
    glued = False
    for span in line["spans"]:
        style = Piece(
            text="",
            rect=(0, 0, 0, 0),
            size=span["size"],
            line=number,
            block=block,
            mono=bool(span["flags"] & pymupdf.TEXT_FONT_MONOSPACED),
            visible=_is_visible(span),
            turn=turn,
        )
        for chars, starts_glued in _words(_in_logical_order(span["chars"]), glued):
            text = "".join(c["c"] for c in chars)
            rect = union(tuple(c["bbox"]) for c in chars)
            yield replace(style, text=text, rect=rect, glued=starts_glued)
        if span["chars"]:
            glued = not span["chars"][-1]["c"].isspace()


def _words(
    chars: list[dict[str, Any]], glued: bool
) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    word: list[dict[str, Any]] = []
    for char in chars:
        if not char["c"].isspace():
            word.append(char)
            continue
        if word:
            yield word, glued
        word, glued = [], False
    if word:
        yield word, glued


def _in_logical_order(chars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the letters of right-to-left ligatures (lam-alef) back in order.

    MuPDF gives the second letter of a ligature glyph no width and then reverses the run letter
    by letter, which leaves it before the first.
    """
    ordered = list(chars)
    for i in range(len(ordered) - 1):
        first, second = ordered[i], ordered[i + 1]
        if _has_no_width(first) and _is_rtl_letter(first["c"]) and _is_rtl_letter(second["c"]):
            touching = abs(first["bbox"][0] - second["bbox"][2]) < 0.5
            if touching and not _has_no_width(second):
                ordered[i], ordered[i + 1] = second, first
    return ordered


def _has_no_width(char: dict[str, Any]) -> bool:
    return bool(char["bbox"][2] - char["bbox"][0] < 1e-3)


def _is_rtl_letter(char: str) -> bool:
    return unicodedata.bidirectional(char) in ("R", "AL")


def _is_visible(span: dict[str, Any]) -> bool:
    if span["font"] == _GLYPHLESS or span["alpha"] == 0:
        return False
    # Type 3 glyphs are small drawings: neither filled nor stroked, yet seen.
    return bool(span["char_flags"] & _DRAWN) or span["font"].startswith("Type3")


def _turn(direction: tuple[float, float]) -> int:
    x, y = direction
    if abs(x) >= abs(y):
        return 0 if x >= 0 else 2
    return 1 if y > 0 else 3
