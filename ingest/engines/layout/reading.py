"""Turns a page upright and chooses its text: the text layer, OCR or both."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import pymupdf
from numpy.typing import NDArray

from ...core.config import LayoutConfig
from ...core.errors import MissingExtra
from ...core.flags import Flag
from ..quality.garbling import is_nonsense
from .annotations import Annotations, marked
from .forms import fill_in, read_fields
from .geometry import Rect, intersection, moved_around, overlap
from .model.layout_model import LayoutModel
from .ocr.recognizer import load_recognizer
from .ocr.scan import areas_to_read, grey_picture, in_line, read_page_image, rect_of, split_words
from .text_layer.extract import PageFacts, read_page
from .text_layer.judge import TextLayer, dominant_turn, judge
from .text_layer.visibility import covers, is_blank, is_overwritten, is_seen, out_of_sight, suspects
from .text_layer.words import LayoutWord
from .upright import erase, straightened, turned_page, write_lines

__all__ = ["UprightPage", "read_upright_page", "with_fields", "with_marks"]

_CHECK_DPI: Final = 144  # a stroke of small print is then wider than a pixel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UprightPage:
    """A page turned upright by ``turn`` clockwise quarter turns, and its words.

    A scan was then straightened: it was askew by ``skew`` degrees clockwise. ``watermarks`` are
    not among the words.
    """

    page: pymupdf.Page
    turn: int
    facts: PageFacts
    words: tuple[LayoutWord, ...]
    flags: tuple[str, ...]
    skew: float = 0.0
    watermarks: tuple[str, ...] = ()


def read_upright_page(
    source: pymupdf.Page, config: LayoutConfig, model: LayoutModel, threads: int
) -> UprightPage:
    """Turn the page upright and choose its text: the text layer, OCR or both."""
    turn, page = 0, turned_page(source, 0)
    picture = model.start(page) if page.get_fonts() else None  # else it has no text to lay out
    facts, layer = _judged(page, picture)
    if dominant_turn(layer.good):
        turn = -dominant_turn(layer.good) % 4
        page = turned_page(source, turn)
        picture = model.start(page)
        facts, layer = _judged(page, picture)
    words = tuple(sorted((*layer.good, *layer.unreadable), key=lambda w: w.line))
    upright = UprightPage(
        page, turn, facts, words, _flags(turn, layer), watermarks=layer.watermarks
    )
    if config.ocr == "force" and (facts.words or facts.images or facts.drawings):
        forced = replace(layer, good=(), unreadable=facts.words)
        return _with_ocr(upright, forced, [rect_of(page)], config, threads)
    areas = areas_to_read(page, facts, layer, picture) if config.ocr == "auto" else []
    if not areas:
        return upright
    read = _with_ocr(upright, layer, areas, config, threads)
    if layer.good:  # then the page is neither turned nor straightened
        model.keep_for(read.page)
    return read


def _judged(page: pymupdf.Page, picture: NDArray[np.uint8] | None) -> tuple[PageFacts, TextLayer]:
    """Read a page, and judge its words, without those that nobody sees."""
    facts = read_page(page)
    unseen = _unseen(page, facts, picture)
    if unseen:
        facts = replace(facts, words=tuple(_without(facts.words, unseen)))
    layer = judge(facts.words, facts.images)
    return facts, replace(layer, hidden=layer.hidden or bool(unseen) or facts.withheld)


def _without(words: Sequence[LayoutWord], unseen: set[int]) -> Iterator[LayoutWord]:
    for i, word in enumerate(words):
        if i not in unseen:
            yield replace(word, glued=False) if i - 1 in unseen else word


def _unseen(page: pymupdf.Page, facts: PageFacts, picture: NDArray[np.uint8] | None) -> set[int]:
    """Find the words that nobody sees, given the page's picture at one pixel per point, if any.

    The page is drawn larger only if the picture leaves a doubt.
    """
    words, rect = facts.words, tuple(page.rect)
    unseen = {i for i, w in enumerate(words) if out_of_sight(w, rect)}
    doubted = [i for i in suspects(words, facts.drawings) if i not in unseen and words[i].visible]
    over = covers(words, facts.drawings) if doubted else {}
    boxes = {
        i: intersection(words[i].rect, over[i].rect) if i in over else words[i].rect
        for i in doubted
    }
    overwritten = {i for i in doubted if is_overwritten(words[i], over.get(i), words)}
    unseen |= overwritten
    if picture is not None:
        boxes = {i: box for i, box in boxes.items() if not is_seen(picture, box)}
    if boxes.keys() - unseen:
        large = grey_picture(page, _CHECK_DPI)
        unseen |= {i for i, box in boxes.items() if is_blank(large, box, _CHECK_DPI / 72)}
    return unseen


def _with_ocr(
    upright: UprightPage,
    layer: TextLayer,
    areas: Sequence[Rect],
    config: LayoutConfig,
    threads: int,
) -> UprightPage:
    """Read the areas, and replace the unreadable words of the layer by those found."""
    try:
        recognizer = load_recognizer(threads)
    except MissingExtra as error:
        _warn_missing(str(error))
        return replace(upright, flags=(*upright.flags, Flag.OCR_MISSING))
    turn, skew, lines = read_page_image(upright.page, recognizer, config.ocr_dpi, layer.good, areas)
    if not lines:
        return upright
    page = erase(upright.page, layer.unreadable) if layer.unreadable else upright.page
    page = turned_page(page, turn)
    page = write_lines(straightened(page, skew) if skew else page, lines)
    first = upright.words[-1].line + 1 if upright.words else 0
    unreadable = _straight(layer.unreadable, skew, rect_of(page))
    unread = [w for w in unreadable if not any(overlap(w.rect, box) for box, _ in lines)]
    words = in_line(split_words(lines, first), (*layer.good, *unread), unreadable)
    turn = (upright.turn + turn) % 4
    doubtful = is_nonsense([text for _, text in lines])
    flags = (
        Flag.OCR,
        *((Flag.OCR_DOUBTFUL,) if doubtful else ()),
        *_turn_flags(turn),
        *(f for f in upright.flags if not f.startswith("rotated")),
    )
    # Lines that were added to a page change none of its pictures and drawings.
    facts = upright.facts if layer.good and not layer.unreadable else read_page(page)
    return UprightPage(page, turn, facts, words, flags, skew, upright.watermarks)


def _straight(words: Sequence[LayoutWord], skew: float, page: Rect) -> list[LayoutWord]:
    return [replace(w, rect=moved_around(w.rect, -skew, page)) for w in words]


def with_fields(upright: UprightPage) -> UprightPage:
    """Write the state of a form's fields into the words of the page."""
    fields = read_fields(upright.page)
    if not fields:
        return upright
    words = fill_in(upright.words, fields)
    return replace(upright, words=words, flags=(*upright.flags, Flag.FORM))


def with_marks(upright: UprightPage, found: Annotations) -> UprightPage:
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
        Flag.WATERMARK: bool(layer.watermarks),
    }
    return (*_turn_flags(turn), *(name for name, holds in remarks.items() if holds))


def _turn_flags(turn: int) -> tuple[str, ...]:
    return (f"rotated_{-turn % 4 * 90}",) if turn else ()


@cache
def _warn_missing(message: str) -> None:
    _log.warning("pages without text stay empty: %s", message)
