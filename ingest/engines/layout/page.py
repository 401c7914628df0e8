"""One page from file to blocks: the steps in order, each in its own module."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pymupdf

from ...core.config import LayoutConfig
from ...core.errors import MissingExtra
from ...core.flags import Flag
from ...core.records import Block, PageRef, ParsedPage
from ..quality.assessment import lost
from .assign import assign, regions_for_rest, with_numbers
from .blocks import PageContext, build_blocks
from .extract import PageFacts, read_page
from .headings import OutlineEntry
from .ocr import load_recognizer
from .order import in_reading_order
from .pieces import Piece, Rect
from .regions import find_regions
from .scan import pieces_of, read_page_image, wants_ocr
from .text import is_rtl
from .text_layer import TextLayer, dominant_turn, judge
from .upright import box_maker, erase, turned_page, write_lines

__all__ = ["ENGINE", "parse_page"]

ENGINE = "layout"

_log = logging.getLogger(__name__)
_last: tuple[pymupdf.Document, dict[int, list[OutlineEntry]]] | None = None


@dataclass(frozen=True, slots=True)
class _Sheet:
    """An upright page, its words, and how it got there (see :class:`ParsedPage` for flags)."""

    page: pymupdf.Page
    turn: int
    pieces: tuple[Piece, ...]
    flags: tuple[str, ...]


def parse_page(
    document: pymupdf.Document, ref: PageRef, config: LayoutConfig, threads: int = 0
) -> ParsedPage:
    """Parse one page.

    Args:
        document: opened, with its password given; it is not changed.
        ref: which page.
        config: options.
        threads: threads per OCR model; 0 leaves the choice to ONNX Runtime.
    """
    started = time.perf_counter()
    page = document[ref.index]
    width, height = page.rect.width, page.rect.height
    sheet = _sheet(page, config, threads)
    blocks = _lay_out(sheet, _outline(document, ref))
    flags = sheet.flags if blocks else (*sheet.flags, Flag.BLANK)
    flags += lost(blocks, mended=bool(document.is_repaired))
    seconds = time.perf_counter() - started
    return ParsedPage(ref, width, height, blocks, ENGINE, flags, seconds)


def _sheet(source: pymupdf.Page, config: LayoutConfig, threads: int) -> _Sheet:
    """Turn the page upright and decide which text it has."""
    turn, page = 0, turned_page(source, 0)
    facts = read_page(page)
    layer = judge(facts.pieces, facts.images)
    if dominant_turn(layer.good):
        turn = -dominant_turn(layer.good) % 4
        page = turned_page(source, turn)
        facts = read_page(page)
        layer = judge(facts.pieces, facts.images)
    forced = config.ocr == "force" and bool(facts.pieces or facts.images or facts.vectors)
    if config.ocr != "off" and (forced or wants_ocr(page, facts, layer)):
        return _with_ocr(_Sheet(page, turn, (), ()), facts, layer, config, threads)
    return _Sheet(page, turn, layer.good, _flags(turn, layer))


def _with_ocr(
    sheet: _Sheet, facts: PageFacts, layer: TextLayer, config: LayoutConfig, threads: int
) -> _Sheet:
    """Read the picture of the page; text that is good stays, unless OCR is forced."""
    kept = () if config.ocr == "force" else layer.good
    try:
        recognizer = load_recognizer(threads)
    except MissingExtra as error:
        _say_missing(str(error))
        flags = (*_flags(sheet.turn, layer), "ocr_missing")
        return _Sheet(sheet.page, sheet.turn, layer.good, flags)
    dropped = [p for p in facts.pieces if p not in kept]
    result = read_page_image(sheet.page, recognizer, config.ocr_dpi, kept)
    page = erase(sheet.page, dropped) if dropped else sheet.page
    page = turned_page(page, result.turn)
    if result.lines:
        page = write_lines(page, result.lines)
    first = kept[-1].line + 1 if kept else 0
    turn = (sheet.turn + result.turn) % 4
    flags = _flags(turn, layer)
    if result.lines:
        flags = ("ocr", *flags)
    return _Sheet(page, turn, (*kept, *pieces_of(result.lines, first)), flags)


def _flags(turn: int, layer: TextLayer) -> tuple[str, ...]:
    remarks = {
        f"rotated_{-turn % 4 * 90}": turn,
        "text_layer_garbled": layer.garbled,
        "text_layer_invisible": layer.searchable,
        "text_hidden": layer.hidden,
    }
    return tuple(name for name, holds in remarks.items() if holds)


def _lay_out(sheet: _Sheet, outline: Sequence[OutlineEntry]) -> tuple[Block, ...]:
    facts = read_page(sheet.page)
    if not sheet.pieces and not facts.images and not facts.vectors:
        return ()
    rect = _rect(sheet.page)
    rtl = is_rtl("".join(p.text for p in sheet.pieces))
    found = find_regions(sheet.page, facts)
    dealt, rest = assign(sheet.pieces, found)
    found = with_numbers(found, dealt)
    regions = in_reading_order([*found, *regions_for_rest(rest, found)], rect, rtl)
    # Ordering leaves out regions inside others; a word may have stood in such a one's margin.
    _, rest = assign(sheet.pieces, regions)
    regions += regions_for_rest(rest, regions)
    dealt, _ = assign(sheet.pieces, regions)
    context = PageContext.of(sheet.pieces, rtl, tuple(outline), box_maker(rect, sheet.turn))
    return build_blocks(regions, dealt, context)


def _rect(page: pymupdf.Page) -> Rect:
    x0, y0, x1, y1 = page.rect
    return (x0, y0, x1, y1)


def _outline(document: pymupdf.Document, ref: PageRef) -> list[OutlineEntry]:
    """Outline entries of a page; read once per document, of which the last is remembered."""
    global _last
    if _last is None or _last[0] is not document:
        entries: dict[int, list[OutlineEntry]] = {}
        for level, title, page_number, *_ in document.get_toc(simple=True):
            entries.setdefault(page_number - 1, []).append((level, title))
        _last = (document, entries)
    return _last[1].get(ref.index, [])


@cache
def _say_missing(message: str) -> None:
    _log.warning("pages without text stay empty: %s", message)
