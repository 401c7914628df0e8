"""Parses one page into blocks. Each step has its own module."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import pymupdf

from ...core.config import LayoutConfig
from ...core.errors import MissingExtra
from ...core.flags import Flag
from ...core.records import Block, PageRef, ParsedPage
from ...documents.xfa import is_xfa_placeholder
from ..quality.assessment import flag_damage
from ..quality.garbling import is_nonsense
from .annotations import Annotations, marked, read_annotations, with_notes
from .assign import assign, join_numbers, regions_for_rest
from .blocks import PageContext, build_blocks, is_typewritten, lettered_pictures
from .edge_rows import with_edge_rows
from .extract import PageFacts, read_page
from .forms import fill_in, read_fields
from .geometry import Rect, overlap, union
from .headings import OutlineEntry, body_size
from .layout_model import LayoutModel, load_model
from .ocr import load_recognizer
from .order import in_reading_order
from .regions import Region, find_regions
from .scan import areas_to_read, grey_picture, in_line, read_page_image, rect_of, split_words
from .text import is_rtl, vocabulary
from .text_layer import TextLayer, dominant_turn, judge
from .upright import box_maker, erase, turned_page, write_lines
from .vertical import vertical_columns
from .visibility import is_blank, out_of_sight, suspects
from .words import LayoutWord

__all__ = ["ENGINE", "parse_page"]

ENGINE = "layout"

_CHECK_DPI: Final = 144  # a stroke of small print is then wider than a pixel

_log = logging.getLogger(__name__)
_last: tuple[pymupdf.Document, dict[int, list[OutlineEntry]]] | None = None


@dataclass(frozen=True, slots=True)
class _UprightPage:
    """A page turned upright by ``turn`` clockwise quarter turns, and its words."""

    page: pymupdf.Page
    turn: int
    facts: PageFacts
    words: tuple[LayoutWord, ...]
    flags: tuple[str, ...]


def parse_page(
    document: pymupdf.Document, ref: PageRef, config: LayoutConfig, threads: int = 0
) -> ParsedPage:
    """Parse one page of an open, decrypted document, which is not changed.

    ``threads`` are per OCR model; 0 leaves the choice to ONNX Runtime.
    """
    started = time.perf_counter()
    page = document[ref.index]
    width, height = page.rect.width, page.rect.height
    model = load_model(threads)
    upright = _with_fields(_turn_upright(page, config, model, threads))
    found = read_annotations(upright.page, links=config.links)
    upright = _with_marks(upright, found)
    blocks = _lay_out(upright, _outline(document, ref), model)
    if found.notes:
        blocks = with_notes(blocks, found.notes, box_maker(tuple(upright.page.rect), upright.turn))
    flags = upright.flags if blocks else (*upright.flags, Flag.BLANK)
    placeholder = is_xfa_placeholder(document)
    flags += flag_damage(blocks, mended=bool(document.is_repaired), placeholder=placeholder)
    seconds = time.perf_counter() - started
    return ParsedPage(ref, width, height, blocks, ENGINE, flags, seconds)


def _turn_upright(
    source: pymupdf.Page, config: LayoutConfig, model: LayoutModel, threads: int
) -> _UprightPage:
    """Turn the page upright and choose its text: the text layer, OCR or both."""
    turn, page = 0, turned_page(source, 0)
    facts = _without_unseen(page, read_page(page))
    layer = judge(facts.words, facts.images)
    if dominant_turn(layer.good):
        turn = -dominant_turn(layer.good) % 4
        page = turned_page(source, turn)
        facts = _without_unseen(page, read_page(page))
        layer = judge(facts.words, facts.images)
    words = tuple(sorted((*layer.good, *layer.unreadable), key=lambda w: w.line))
    upright = _UprightPage(page, turn, facts, words, _flags(turn, layer))
    if layer.good:
        model.start(page)
    if config.ocr == "force" and (facts.words or facts.images or facts.drawings):
        forced = replace(layer, good=(), unreadable=facts.words)
        return _with_ocr(upright, forced, [rect_of(page)], config, threads)
    areas = areas_to_read(page, facts, layer) if config.ocr == "auto" else []
    return _with_ocr(upright, layer, areas, config, threads) if areas else upright


def _without_unseen(page: pymupdf.Page, facts: PageFacts) -> PageFacts:
    """Mark the words that nobody sees. The page is drawn only if it has words to be checked."""
    words, rect = list(facts.words), tuple(page.rect)
    unseen = {i for i, w in enumerate(words) if out_of_sight(w, rect)}
    doubted = [i for i in suspects(words, facts.drawings) if i not in unseen and words[i].visible]
    if doubted:
        picture = grey_picture(page, _CHECK_DPI)
        scale = _CHECK_DPI / 72
        unseen.update(i for i in doubted if is_blank(picture, words[i].rect, scale))
    for i in unseen:
        words[i] = replace(words[i], visible=False)
    return replace(facts, words=tuple(words)) if unseen else facts


def _with_ocr(
    upright: _UprightPage,
    layer: TextLayer,
    areas: Sequence[Rect],
    config: LayoutConfig,
    threads: int,
) -> _UprightPage:
    """Read the areas, and replace the unreadable words of the layer by what is found."""
    try:
        recognizer = load_recognizer(threads)
    except MissingExtra as error:
        _warn_missing(str(error))
        return replace(upright, flags=(*upright.flags, Flag.OCR_MISSING))
    turn, lines = read_page_image(upright.page, recognizer, config.ocr_dpi, layer.good, areas)
    if not lines:
        return upright
    page = erase(upright.page, layer.unreadable) if layer.unreadable else upright.page
    page = write_lines(turned_page(page, turn), lines)
    first = upright.words[-1].line + 1 if upright.words else 0
    unread = [w for w in layer.unreadable if not any(overlap(w.rect, box) for box, _ in lines)]
    words = in_line(split_words(lines, first), (*layer.good, *unread), layer.unreadable)
    turn = (upright.turn + turn) % 4
    doubtful = is_nonsense([text for _, text in lines])
    flags = (
        Flag.OCR,
        *((Flag.OCR_DOUBTFUL,) if doubtful else ()),
        *_turn_flags(turn),
        *(f for f in upright.flags if not f.startswith("rotated")),
    )
    return _UprightPage(page, turn, read_page(page), words, flags)


def _with_fields(upright: _UprightPage) -> _UprightPage:
    """Write the state of a form's fields into the words of the page."""
    fields = read_fields(upright.page)
    if not fields:
        return upright
    words = fill_in(upright.words, fields)
    return replace(upright, words=words, flags=(*upright.flags, Flag.FORM))


def _with_marks(upright: _UprightPage, found: Annotations) -> _UprightPage:
    """Write struck-out words and links as Markdown, and leave out the words of stamps."""
    if found == Annotations(notes=found.notes):
        return upright
    flags = (*upright.flags, Flag.STRUCK) if found.struck else upright.flags
    return replace(upright, words=marked(upright.words, found), flags=flags)


def _flags(turn: int, layer: TextLayer) -> tuple[str, ...]:
    remarks = {
        Flag.GARBLED: layer.garbled,
        Flag.REPAIRED: layer.repaired,
        Flag.SEARCHABLE: layer.searchable,
        Flag.HIDDEN: layer.hidden,
        Flag.WATERMARK: layer.watermark,
    }
    return (*_turn_flags(turn), *(name for name, holds in remarks.items() if holds))


def _turn_flags(turn: int) -> tuple[str, ...]:
    return (f"rotated_{-turn % 4 * 90}",) if turn else ()


def _lay_out(
    upright: _UprightPage, outline: Sequence[OutlineEntry], model: LayoutModel
) -> tuple[Block, ...]:
    facts = upright.facts
    if not upright.words and not facts.images and not facts.drawings:
        return ()
    words, rect = upright.words, tuple(upright.page.rect)
    if columns := vertical_columns(words):
        return _lay_out_columns(columns, upright, outline)
    rtl = is_rtl("".join(w.text for w in words))
    found = find_regions(upright.page, facts, model, words)
    contents, rest = assign(words, found)
    found = join_numbers(found, contents)
    regions = in_reading_order([*found, *regions_for_rest(rest, found)], rect, rtl)
    # Ordering dropped regions inside others. Words in the margin of a dropped region are left.
    contents, rest = assign(words, regions)
    if rest:
        regions += regions_for_rest(rest, regions)
        contents, _ = assign(words, regions)
    regions = with_edge_rows(regions, contents, facts.drawings)
    to_box = box_maker(rect, upright.turn)
    context = PageContext(
        vocabulary(words),
        body_size(words),
        is_typewritten(words),
        rtl,
        outline,
        to_box,
        lettered_pictures(regions, facts.images, words, rect),
    )
    return build_blocks(regions, contents, context)


def _lay_out_columns(
    columns: Sequence[LayoutWord], upright: _UprightPage, outline: Sequence[OutlineEntry]
) -> tuple[Block, ...]:
    """Make one paragraph of vertical text; the layout model takes it for a table."""
    to_box = box_maker(tuple(upright.page.rect), upright.turn)
    region = Region("text", union(w.rect for w in columns))
    known, size = vocabulary(columns), body_size(columns)
    context = PageContext(known, size, False, False, outline, to_box)
    return build_blocks([region], [columns], context)


def _outline(document: pymupdf.Document, ref: PageRef) -> list[OutlineEntry]:
    """Return the outline entries of a page. The outline of the last document is cached."""
    global _last
    if _last is None or _last[0] is not document:
        entries: dict[int, list[OutlineEntry]] = {}
        for level, title, page_number, *_ in document.get_toc(simple=True):
            entries.setdefault(page_number - 1, []).append((level, title))
        _last = (document, entries)
    return _last[1].get(ref.index, [])


@cache
def _warn_missing(message: str) -> None:
    _log.warning("pages without text stay empty: %s", message)
