"""Reads the text layer of a page into words. Only it and `withheld` call MuPDF's extraction."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import pymupdf

from ..geometry import SAME_SPOT, Rect, union, vertical_overlap
from .symbol_fonts import codings
from .symbols import SPACE, UNKNOWN, Coding, decoded, is_symbolic
from .wide_codes import is_suspect, uncut, with_mended_fonts
from .withheld import is_text_withheld
from .words import LayoutWord

__all__ = ["Drawing", "PageFacts", "read_page"]

_FLAGS: Final = (
    pymupdf.TEXT_COLLECT_VECTORS
    | pymupdf.TEXT_ACCURATE_BBOXES
    | pymupdf.TEXT_MEDIABOX_CLIP
    | pymupdf.TEXT_IGNORE_ACTUALTEXT
)
"""The flags of pymupdf4llm's own parser without styles and images. Images would copy the pixels of
a scan, which takes 0.2 s. Without TEXT_PRESERVE_LIGATURES, MuPDF spells ligatures out. With
TEXT_MEDIABOX_CLIP, it leaves out what clip paths and the crop box cut off."""

_TEXT, _IMAGE, _VECTOR = 0, 1, 3
_DRAWN: Final = pymupdf.mupdf.FZ_STEXT_STROKED | pymupdf.mupdf.FZ_STEXT_FILLED
# Tesseract's font of empty glyphs. Its text is invisible in every render mode.
_GLYPHLESS: Final = "GlyphLessFont"
_FIRST_RTL: Final = "\u0590"  # Hebrew
_SLANT: Final = 0.17  # sine of 10 degrees; scans are skewed by less
_NO_INK: Final = 1e-3  # height in points; the boxes are those of the ink
_TOUCHING: Final = 0.1
"""Largest gap between two letters of a word, in font sizes; a word space is 0.2 or more."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A stroke or a filled shape, or a segment of one: MuPDF reports each line of a path.

    Attributes:
        rect: in points; it includes the width of a stroke.
        color: sRGB, ``0xRRGGBB``.
        alpha: opacity, 0 to 255.
        stroked: a line; otherwise a filled area.
        is_rect: a rectangle or an axis-parallel line.
        layer: position in painting order, comparable with ``LayoutWord.block``.
    """

    rect: Rect
    color: int
    alpha: int
    stroked: bool
    is_rect: bool
    layer: int


@dataclass(frozen=True, slots=True)
class PageFacts:
    """The content of a page, as MuPDF reports it.

    Attributes:
        words: the text layer.
        images: their boxes.
        drawings: vector graphics in painting order.
        blocks: MuPDF's own records, for the vendor functions that need them.
        withheld: the crop box, a clip path or a layer hides text, which is not among the words.
    """

    words: tuple[LayoutWord, ...]
    images: tuple[Rect, ...]
    drawings: tuple[Drawing, ...]
    blocks: tuple[dict[str, Any], ...]
    withheld: bool = False


def read_page(page: pymupdf.Page) -> PageFacts:
    """Read the text layer, and find images and drawings."""
    text_page = page.get_textpage(flags=_FLAGS, clip=pymupdf.INFINITE_RECT())
    text = text_page.extractText()
    if is_suspect(text) and (mended := with_mended_fonts(page)) is not None:
        text_page = mended.get_textpage(flags=_FLAGS, clip=pymupdf.INFINITE_RECT())
        text = text_page.extractText()
    blocks = text_page.extractRAWDICT()["blocks"]
    small_drawings = _type3_fonts(page, blocks)
    coded = _codings(page, blocks)
    words: list[LayoutWord] = []
    number, before = -1, None
    for block, line in _lines(blocks):
        copied = before is not None and _begins_with_copy(before, line)
        if copied and len(_chars(line)) == 1:
            continue
        runs_on = copied or (before is not None and _runs_on(before, line))
        number += not runs_on
        line = _without_first(line) if copied else line
        words += _line_words(line, number, block, runs_on, small_drawings, coded)
        before = line
    drawings = (_drawing(b, layer) for layer, b in enumerate(blocks) if b["type"] == _VECTOR)
    images = [{"type": _IMAGE, "bbox": i["bbox"]} for i in page.get_image_info()]
    return PageFacts(
        words=tuple(words),
        images=tuple(tuple(i["bbox"]) for i in images),
        drawings=tuple(drawings),
        blocks=(*blocks, *images),
        withheld=is_text_withheld(page, text),
    )


def _lines(blocks: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for layer, block in enumerate(blocks):
        if block["type"] == _TEXT:
            yield from ((layer, line) for line in block["lines"] if _chars(line))


def _drawing(block: dict[str, Any], layer: int) -> Drawing:
    return Drawing(
        rect=tuple(block["bbox"]),
        color=block["color"],
        alpha=block["alpha"],
        stroked=block["stroked"],
        is_rect=block["isrect"],
        layer=layer,
    )


def _chars(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [char for span in line["spans"] for char in span["chars"]]


def _runs_on(before: dict[str, Any], line: dict[str, Any]) -> bool:
    """Whether MuPDF broke the line within a word, as it does in right-to-left text."""
    last, first = _chars(before)[-1], _chars(line)[0]
    if last["c"].isspace() or first["c"].isspace() or _turn(before["dir"]) != _turn(line["dir"]):
        return False
    a, b = tuple(last["bbox"]), tuple(first["bbox"])
    gap = min(abs(b[0] - a[2]), abs(a[0] - b[2]))
    return gap < _TOUCHING * line["spans"][0]["size"] and vertical_overlap(a, b) > 0.5


def _begins_with_copy(before: dict[str, Any], line: dict[str, Any]) -> bool:
    """Whether the line begins with the shadow of the letter before: MuPDF breaks lines there."""
    last, first = _chars(before)[-1], _chars(line)[0]
    size = line["spans"][0]["size"]
    return bool(last["c"] == first["c"]) and _is_near(last["bbox"], first["bbox"], size)


def _without_first(line: dict[str, Any]) -> dict[str, Any]:
    first, *others = line["spans"]
    return line | {"spans": [first | {"chars": first["chars"][1:]}, *others]}


def _line_words(
    line: dict[str, Any],
    number: int,
    block: int,
    glued: bool,
    small_drawings: Container[str],
    coded: Mapping[str, Coding],
) -> Iterator[LayoutWord]:
    turn, slanted = _turn(line["dir"]), min(map(abs, line["dir"])) > _SLANT
    for span in line["spans"]:
        flags, font = span["flags"], span["font"]
        coding = coded.get(font, Coding.CODE)
        color, visible = _on_white(span["color"], span["alpha"]), _is_visible(span, small_drawings)
        chars = _in_logical_order(_drawn_once(span["chars"], span["size"]))
        for is_space, run in groupby(chars, key=lambda c: c["c"].isspace() or c["c"] == SPACE):
            word = list(run)
            is_word = not is_space and not _is_blank(word)
            if is_word:
                yield LayoutWord(
                    text=decoded(uncut("".join(c["c"] for c in word), font), font, coding),
                    rect=union(c["bbox"] for c in word),
                    size=span["size"],
                    line=number,
                    block=block,
                    color=color,
                    glued=glued,
                    mono=bool(flags & pymupdf.TEXT_FONT_MONOSPACED),
                    bold=bool(flags & pymupdf.TEXT_FONT_BOLD),
                    raised=bool(flags & pymupdf.TEXT_FONT_SUPERSCRIPT),
                    visible=visible,
                    turn=turn,
                    slanted=slanted,
                )
            glued = is_word


def _is_blank(chars: list[dict[str, Any]]) -> bool:
    """Whether a glyph has neither ink nor meaning; several of them may be text of a lost font."""
    if len(chars) != 1 or chars[0]["c"] != UNKNOWN:
        return False
    return bool(chars[0]["bbox"][3] - chars[0]["bbox"][1] < _NO_INK)


def _drawn_once(chars: list[dict[str, Any]], size: float) -> list[dict[str, Any]]:
    """Drop letters that are drawn again at nearly the same spot: MuPDF mixes both copies."""
    kept: list[dict[str, Any]] = []
    for char in chars:
        for other in kept[-2:]:
            if other["c"] == char["c"] and _is_near(other["bbox"], char["bbox"], size):
                break
        else:
            kept.append(char)
    return kept


def _is_near(a: Rect, b: Rect, size: float) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= SAME_SPOT * size


def _in_logical_order(chars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the letters of right-to-left ligatures (lam-alef) back in order.

    MuPDF gives the second letter of a ligature no width. It then reverses the run letter by
    letter, so the second letter ends up before the first.
    """
    if all(char["c"] < _FIRST_RTL for char in chars):
        return chars
    ordered = list(chars)
    for i in range(len(ordered) - 1):
        first, second = ordered[i : i + 2]
        if _has_no_width(first) and not _has_no_width(second) and _touch(first, second):
            ordered[i : i + 2] = second, first
    return [c for i, c in enumerate(ordered) if not _is_stray_space(ordered[i - 1 : i + 2])]


def _is_stray_space(three: list[dict[str, Any]]) -> bool:
    """Whether a space stands between letters that touch: MuPDF misplaces some in reversed runs."""
    return len(three) == 3 and three[1]["c"].isspace() and _touch(three[0], three[2])


def _touch(right: dict[str, Any], left: dict[str, Any]) -> bool:
    """Whether two right-to-left letters touch."""
    are_rtl = all(unicodedata.bidirectional(char["c"]) in ("R", "AL") for char in (right, left))
    return are_rtl and bool(abs(right["bbox"][0] - left["bbox"][2]) < 0.5)


def _has_no_width(char: dict[str, Any]) -> bool:
    return bool(char["bbox"][2] - char["bbox"][0] < 1e-3)


def _is_visible(span: dict[str, Any], small_drawings: Container[str]) -> bool:
    if span["font"] == _GLYPHLESS:
        return False
    return _is_drawn(span) or span["font"].startswith("Type3") or span["font"] in small_drawings


def _is_drawn(span: dict[str, Any]) -> bool:
    return bool(span["char_flags"] & _DRAWN) and span["alpha"] != 0


def _type3_fonts(page: pymupdf.Page, blocks: list[dict[str, Any]]) -> frozenset[str]:
    """Return the names of fonts whose glyphs are small drawings.

    MuPDF reports such glyphs as neither filled nor stroked, like invisible text. The fonts are
    looked up only on pages with text of that sort.
    """
    spans = (span for _, line in _lines(blocks) for span in line["spans"])
    if all(map(_is_drawn, spans)):
        return frozenset()
    return frozenset(font[3] for font in page.get_fonts() if font[2] == "Type3")


def _codings(page: pymupdf.Page, blocks: list[dict[str, Any]]) -> dict[str, Coding]:
    """Return how the characters of symbol fonts are coded; pages without them cost nothing."""
    fonts = {span["font"] for _, line in _lines(blocks) for span in line["spans"]}
    return codings(page) if any(map(is_symbolic, fonts)) else {}


def _on_white(color: int, alpha: int) -> int:
    """Return the colour that translucent ink has on white paper."""
    if alpha == 255:
        return color
    channels = (color >> shift & 255 for shift in (16, 8, 0))
    red, green, blue = (255 - (255 - c) * alpha // 255 for c in channels)
    return red << 16 | green << 8 | blue


def _turn(direction: tuple[float, float]) -> int:
    x, y = direction
    if abs(x) >= abs(y):
        return 0 if x >= 0 else 2
    return 1 if y > 0 else 3
