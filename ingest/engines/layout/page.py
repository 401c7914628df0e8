"""Parses one page into blocks. Each step has its own module."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pymupdf

from ...core.config import LayoutConfig
from ...core.flags import Flag
from ...core.records import Block, Box, PageRef, ParsedPage
from ...documents.xfa import is_xfa_placeholder
from ..quality.assessment import flag_damage
from .annotations import read_annotations, read_links, with_notes
from .assign import assign, join_numbers, regions_for_rest
from .beside import with_blocks_beside
from .blocks import PageContext, build_blocks, is_typewritten, lettered_pictures
from .edge_rows import with_cells_joined, with_edge_rows
from .geometry import Rect, union
from .headings import OutlineEntry, body_size
from .listings import join_listings
from .model.layout_model import LayoutModel, load_model
from .order import in_reading_order
from .reading import UprightPage, read_upright_page, with_fields, with_marks
from .regions import Region, find_regions
from .text import is_rtl, vocabulary
from .text_layer.vertical import vertical_paragraphs
from .text_layer.words import LayoutWord
from .upright import box_maker

__all__ = ["ENGINE", "parse_page"]

ENGINE = "layout"

_last: tuple[pymupdf.Document, dict[int, list[OutlineEntry]]] | None = None


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
    upright = with_fields(read_upright_page(page, config, model, threads))
    found = read_annotations(upright.page)
    if config.links:
        found = replace(found, links=read_links(page, upright.turn))
    upright = with_marks(upright, found)
    blocks = _lay_out(upright, _outline(document, ref), model)
    if found.notes:
        blocks = with_notes(blocks, found.notes, _box_maker(upright))
    flags = upright.flags if blocks else (*upright.flags, Flag.BLANK)
    placeholder = is_xfa_placeholder(document)
    flags += flag_damage(blocks, mended=bool(document.is_repaired), placeholder=placeholder)
    seconds = time.perf_counter() - started
    marks = upright.watermarks
    return ParsedPage(ref, width, height, blocks, ENGINE, flags, seconds, watermarks=marks)


def _lay_out(
    upright: UprightPage, outline: Sequence[OutlineEntry], model: LayoutModel
) -> tuple[Block, ...]:
    facts = upright.facts
    if not upright.words and not facts.images and not facts.drawings:
        return ()
    words, rect = upright.words, tuple(upright.page.rect)
    if paragraphs := vertical_paragraphs(words):
        return _lay_out_columns(paragraphs, upright, outline)
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
    if len(parts := with_blocks_beside(regions, contents, facts.drawings, rtl)) > len(regions):
        regions = parts
        contents, _ = assign(words, regions)
    regions, contents = with_cells_joined(regions, contents, facts.drawings)
    regions = with_edge_rows(regions, contents, facts.drawings)
    typewritten = is_typewritten(words)
    if not typewritten:
        regions, contents = join_listings(regions, contents)
    to_box = _box_maker(upright)
    context = PageContext(
        vocabulary(words),
        body_size(words),
        typewritten,
        rtl,
        outline,
        to_box,
        lettered_pictures(regions, facts.images, words, rect),
    )
    return build_blocks(regions, contents, context)


def _lay_out_columns(
    paragraphs: Sequence[list[LayoutWord]], upright: UprightPage, outline: Sequence[OutlineEntry]
) -> tuple[Block, ...]:
    """Make paragraphs of vertical text; the layout model takes it for a table."""
    to_box = _box_maker(upright)
    regions = [Region("text", union(w.rect for w in words)) for words in paragraphs]
    known, size = vocabulary(upright.words), body_size(upright.words)
    context = PageContext(known, size, False, False, outline, to_box)
    return build_blocks(regions, paragraphs, context)


def _box_maker(upright: UprightPage) -> Callable[[Rect], Box]:
    return box_maker(tuple(upright.page.rect), upright.turn, upright.skew)


def _outline(document: pymupdf.Document, ref: PageRef) -> list[OutlineEntry]:
    """Return the outline entries of a page. The outline of the last document is cached."""
    global _last
    if _last is None or _last[0] is not document:
        entries: dict[int, list[OutlineEntry]] = {}
        for level, title, page_number, *_ in document.get_toc(simple=True):
            entries.setdefault(page_number - 1, []).append((level, title))
        _last = (document, entries)
    return _last[1].get(ref.index, [])
