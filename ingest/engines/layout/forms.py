"""Reads the fields of a form: boxes that are ticked or not, and values that are not drawn.

The appearance of a ticked box is often a letter of an icon font: its text is "3" or "4", and an
empty box has none at all. The state of the field is written instead, beside its label.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pymupdf

from .geometry import Rect, centre_inside, union, vertical_overlap
from .text_layer.words import LayoutWord

__all__ = ["FormField", "fill_in", "read_fields"]

TICKED: Final = "☒"
EMPTY: Final = "☐"

_BUTTONS: Final = frozenset({pymupdf.PDF_WIDGET_TYPE_CHECKBOX, pymupdf.PDF_WIDGET_TYPE_RADIOBUTTON})
_VALUES: Final = frozenset(
    {
        pymupdf.PDF_WIDGET_TYPE_TEXT,
        pymupdf.PDF_WIDGET_TYPE_COMBOBOX,
        pymupdf.PDF_WIDGET_TYPE_LISTBOX,
    }
)
_UNSEEN: Final = pymupdf.PDF_ANNOT_IS_HIDDEN | pymupdf.PDF_ANNOT_IS_NO_VIEW
_PASSWORD: Final = pymupdf.PDF_TX_FIELD_IS_PASSWORD
_LONGEST_MARK: Final = 2  # characters of a tick; longer text in a box is its label
_FARTHEST: Final = 4.0
"""Largest gap between a box and its label, in heights of the box."""
_SAME_ROW: Final = 0.5  # share of the smaller height
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form: ``text`` is its mark if it is a box to tick, otherwise its value.

    ``rect`` is in points of the page, origin top left.
    """

    rect: Rect
    text: str
    is_box: bool


def read_fields(page: pymupdf.Page) -> tuple[FormField, ...]:
    """Read the visible fields of a page. Does nothing on a page without fields."""
    if not page.parent.is_pdf:
        return ()
    widget = pymupdf.mupdf.pdf_first_widget(pymupdf.mupdf.pdf_page_from_fz_page(page.this))
    fields = []
    while widget.m_internal:
        field = _field(widget)
        if field is not None:
            fields.append(field)
        widget = pymupdf.mupdf.pdf_next_widget(widget)
    return tuple(fields)


def _field(widget: Any) -> FormField | None:
    kind = pymupdf.mupdf.pdf_widget_type(widget)
    if kind not in _BUTTONS | _VALUES or pymupdf.mupdf.pdf_annot_flags(widget) & _UNSEEN:
        return None
    bound = pymupdf.mupdf.pdf_bound_widget(widget)
    rect = (bound.x0, bound.y0, bound.x1, bound.y1)
    source = pymupdf.mupdf.pdf_annot_obj(widget)
    if kind in _BUTTONS:
        return FormField(rect, TICKED if _is_ticked(source) else EMPTY, is_box=True)
    if pymupdf.mupdf.pdf_field_flags(source) & _PASSWORD:
        return None
    return FormField(rect, pymupdf.mupdf.pdf_field_value(source) or "", is_box=False)


def _is_ticked(source: Any) -> bool:
    """Whether a box shows its mark. Without a state of its own, it has that of its field."""
    state = pymupdf.mupdf.pdf_to_name(pymupdf.mupdf.pdf_dict_gets(source, "AS"))
    if state:
        return bool(state != "Off")
    mark = pymupdf.mupdf.pdf_to_name(pymupdf.mupdf.pdf_button_field_on_state(source))
    return bool(mark and mark == pymupdf.mupdf.pdf_field_value(source))


def fill_in(words: Sequence[LayoutWord], fields: Sequence[FormField]) -> tuple[LayoutWord, ...]:
    """Write the marks of boxes into the lines of their labels, and values that are not drawn.

    The words that drew a mark are replaced by it.
    """
    boxes = [field for field in fields if field.is_box]
    kept = [word for word in words if not _is_mark(word, boxes)]
    lines = _by_line(kept)
    before: dict[int, list[LayoutWord]] = defaultdict(list)
    after: dict[int, list[LayoutWord]] = defaultdict(list)
    rest: list[LayoutWord] = []
    number = max((word.line for word in words), default=-1)
    for box in boxes:
        beside = _label(box.rect, kept, lines)
        if beside is None:
            number += 1
            rest.append(_word(box.text, box.rect, number))
        else:
            (before if beside[1] else after)[beside[0]].append(_beside(box, kept[beside[0]]))
    for field in fields:
        if not field.is_box and field.text.strip() and not _is_drawn(field, kept, lines):
            rest += _value(field, number + 1)
            number = max(word.line for word in rest)
    filled = [w for i, word in enumerate(kept) for w in (*before[i], word, *after[i])]
    return (*filled, *rest)


_Lines = list[tuple[Rect, list[int]]]


def _by_line(words: Sequence[LayoutWord]) -> _Lines:
    """The rectangle of each line, and the positions of its words."""
    lines: dict[int, list[int]] = defaultdict(list)
    for position, word in enumerate(words):
        if word.turn == 0:
            lines[word.line].append(position)
    return [(union(words[i].rect for i in line), line) for line in lines.values()]


def _is_mark(word: LayoutWord, boxes: Sequence[FormField]) -> bool:
    if len(word.text) > _LONGEST_MARK:
        return False
    return any(box.text == TICKED and centre_inside(word.rect, box.rect) for box in boxes)


def _label(rect: Rect, words: Sequence[LayoutWord], lines: _Lines) -> tuple[int, bool] | None:
    """The position of the word nearest to a box in its row, and whether the box precedes it.

    Of two words that are equally near, the box belongs to the one on the right.
    """
    best, nearest = None, _FARTHEST * (rect[3] - rect[1])
    for bounds, line in lines:
        if vertical_overlap(bounds, rect) < _SAME_ROW:
            continue
        for position in line:
            other = words[position].rect
            for gap, precedes in ((other[0] - rect[2], True), (rect[0] - other[2], False)):
                if -rect[3] + rect[1] < gap < nearest - (0 if precedes else 1):
                    best, nearest = (position, precedes), gap
    return best


def _beside(box: FormField, label: LayoutWord) -> LayoutWord:
    return replace(label, text=box.text, rect=box.rect, glued=False, raised=False)


def _word(text: str, rect: Rect, line: int) -> LayoutWord:
    return LayoutWord(text, rect, 0.8 * (rect[3] - rect[1]), line, line)


def _is_drawn(field: FormField, words: Sequence[LayoutWord], lines: _Lines) -> bool:
    """Whether the page shows any words in the box of a field."""
    return any(
        centre_inside(words[i].rect, field.rect)
        for bounds, line in lines
        if vertical_overlap(bounds, field.rect) > 0
        for i in line
    )


def _value(field: FormField, first: int) -> Iterator[LayoutWord]:
    """The words of a value, its lines spread over the height of the field."""
    x0, y0, x1, y1 = field.rect
    lines = field.text.strip().splitlines()
    height = (y1 - y0) / len(lines)
    for number, line in enumerate(lines):
        step = (x1 - x0) / max(1, len(line))
        top = y0 + number * height
        for match in _WORD.finditer(line):
            left, right = x0 + match.start() * step, x0 + match.end() * step
            yield _word(match[0], (left, top, right, top + height), first + number)
