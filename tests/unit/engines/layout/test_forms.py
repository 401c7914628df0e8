from __future__ import annotations

from typing import Any

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.config import LayoutConfig
from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.core.records import PageRef
from opticalrag.ingest.engines.layout.forms import FormField, fill_in, read_fields
from opticalrag.ingest.engines.layout.page import parse_page
from opticalrag.ingest.engines.layout.text import rows_of
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord
from opticalrag.ingest.engines.layout.upright import turned_page

from ....builders import document

CHECK, RADIO = pymupdf.PDF_WIDGET_TYPE_CHECKBOX, pymupdf.PDF_WIDGET_TYPE_RADIOBUTTON
TEXT, COMBO = pymupdf.PDF_WIDGET_TYPE_TEXT, pymupdf.PDF_WIDGET_TYPE_COMBOBOX


def add_field(
    page: pymupdf.Page, kind: int, box: tuple[float, ...], value: object, **options: Any
) -> None:
    field = pymupdf.Widget()
    field.field_type, field.field_name = kind, f"field {box}"
    field.rect, field.border_color = pymupdf.Rect(box), (0, 0, 0)
    for name, given_value in options.items():
        setattr(field, name, given_value)
    field.field_value = value
    page.add_widget(field)
    if value is False:  # PyMuPDF 2.0 names the mark of an empty radio button "False"
        page.parent.xref_set_key(field.xref, "AS", "/Off")


def rows(page: pymupdf.Page) -> list[str]:
    words = fill_in(read_page(page).words, read_fields(page))
    return [row.text for row in rows_of(words)]


def new_page(width: float = 595, height: float = 842) -> pymupdf.Page:
    return pymupdf.open().new_page(width=width, height=height)


@pytest.mark.parametrize("kind", [CHECK, RADIO])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_box_shows_its_state_before_its_label(kind: int, turn: int) -> None:
    """Ticked and empty boxes are marks in the line of their labels, on pages of any rotation."""
    page = new_page()
    for y, label, on in ((120, "Shore power", True), (150, "Winter storage", False)):
        add_field(page, kind, (72, y - 11, 84, y + 1), on)
        page.insert_text((92, y), label)
    page.set_rotation(turn)
    upright = turned_page(page, -turn // 90 % 4)

    assert rows(upright) == ["☒ Shore power", "☐ Winter storage"]


def test_a_box_may_stand_behind_its_label() -> None:
    """Without text on its right, or with text far away, a box follows the word on its left."""
    page = new_page()
    for x, label, on in ((72, "Ja", False), (160, "Nein", True)):
        page.insert_text((x, 200), label)
        add_field(page, CHECK, (x + 30, 190, x + 40, 200), on)

    assert rows(page) == ["Ja ☐ Nein ☒"]


@pytest.mark.parametrize("style", [0, 1, 2, 3, 4, 5])
def test_no_letter_of_an_icon_font_is_left(style: int) -> None:
    """Whatever drew the tick, only the mark is in the text."""
    marks = "438lnu"
    page = new_page()
    add_field(page, CHECK, (72, 90, 84, 102), True)
    page.insert_text((92, 100), "Fenders, 4 pairs")
    for widget in page.widgets():
        stream = f"q BT /ZaDb 9 Tf 2 2 Td ({marks[style]}) Tj ET Q".encode()
        for xref in _appearances(page.parent, widget.xref):
            page.parent.update_stream(xref, stream)

    assert rows(page) == ["☒ Fenders, 4 pairs"]


def _appearances(document_: pymupdf.Document, xref: int) -> list[int]:
    name = document_.xref_get_key(xref, "AS")[1]
    kind, value = document_.xref_get_key(xref, f"AP/N{name}")
    return [int(value.split()[0])] if kind == "xref" else []


@pytest.mark.parametrize(
    ("kind", "value", "options"),
    [
        (TEXT, "Maria Holm", {}),
        (TEXT, "Two lines\nof remarks", {"field_flags": pymupdf.PDF_TX_FIELD_IS_MULTILINE}),
        (COMBO, "North quay", {"choice_values": ["North quay", "South quay"]}),
    ],
)
def test_a_value_appears_once_beside_its_label(
    kind: int, value: str, options: dict[str, Any]
) -> None:
    """Values of text and choice fields are text of the page, in the row of their label."""
    page = new_page()
    page.insert_text((72, 100), "Owner:")
    add_field(page, kind, (120, 86, 300, 130), value, **options)

    text = " ".join(rows(page))
    assert sorted(text.split()) == sorted(f"Owner: {value}".split())


def test_a_value_that_is_not_drawn_is_written() -> None:
    """A field whose appearance is empty still has its value."""
    label = LayoutWord("Owner:", (72, 90, 105, 102), 11, 0, 0)
    field = FormField((120, 86, 300, 116), "Maria Holm\nTarn Quay 7", is_box=False)

    words = fill_in([label], [field])
    assert [w.text for w in words] == ["Owner:", "Maria", "Holm", "Tarn", "Quay", "7"]
    assert all(120 <= w.rect[0] < w.rect[2] <= 300 for w in words[1:])


def test_hidden_fields_and_passwords_are_not_read() -> None:
    """What no reader of the page sees does not enter its text."""
    page = new_page()
    add_field(page, TEXT, (72, 50, 300, 70), "secret", field_flags=pymupdf.PDF_TX_FIELD_IS_PASSWORD)
    add_field(page, TEXT, (72, 90, 300, 110), "unseen")
    for widget in page.widgets():
        if widget.field_value == "unseen":
            page.parent.xref_set_key(widget.xref, "F", str(pymupdf.PDF_ANNOT_IS_HIDDEN))
    page = pymupdf.open(stream=page.parent.tobytes())[0]

    assert read_fields(page) == ()


@pytest.mark.parametrize(("value", "mark"), [("/Yes", "☒"), ("/Off", "☐"), ("null", "☒")])
def test_a_box_without_a_state_has_that_of_its_field(value: str, mark: str) -> None:
    """Programs that fill in a form may write its value only, perhaps in the parent field."""
    page = new_page()
    add_field(page, CHECK, (72, 90, 84, 102), True)
    xref = next(page.widgets()).xref
    page.parent.xref_set_key(xref, "AS", "null")
    page.parent.xref_set_key(xref, "V", value)
    page = pymupdf.open(stream=page.parent.tobytes())[0]

    assert [field.text for field in read_fields(page)] == [mark]


def test_a_page_without_fields_is_left_alone() -> None:
    """Nothing is read and no flag is set."""
    page = new_page()
    page.insert_text((72, 100), "Plain text")

    assert read_fields(page) == ()
    assert fill_in(read_page(page).words, ()) == read_page(page).words


def test_a_form_is_parsed_with_its_marks() -> None:
    """The marks are text of the blocks, and the page says that it is a form."""
    page = new_page()
    page.insert_text((72, 80), "Berth application", fontsize=18, fontname="hebo")
    for y, label, on in ((120, "Shore power needed", True), (150, "Winter storage", False)):
        add_field(page, CHECK, (72, y - 11, 84, y + 1), on)
        page.insert_text((92, y), label)

    parsed = parse_page(page.parent, PageRef(document(), 0, "1"), LayoutConfig(ocr="off"))
    text = "\n".join(block.text for block in parsed.blocks)
    assert "☒ Shore power needed" in text
    assert "☐ Winter storage" in text
    assert Flag.FORM in parsed.flags


_BOXES = st.lists(
    st.builds(
        lambda x, y, on: FormField((x, y, x + 10, y + 10), "☒" if on else "☐", is_box=True),
        st.integers(0, 500),
        st.integers(0, 800),
        st.booleans(),
    ),
    max_size=6,
)


@given(_BOXES, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 80)), max_size=8))
def test_every_box_gives_one_mark_and_no_word_is_lost(
    boxes: list[FormField], spots: list[tuple[int, int]]
) -> None:
    """Marks are added wherever words stand; words longer than a tick stay, in their order."""
    words = [
        LayoutWord(f"word{n}", (x, 10.0 * y, x + 30, 10.0 * y + 10), 10, y, 0)
        for n, (x, y) in enumerate(spots)
    ]
    made = [word.text for word in fill_in(words, boxes)]

    assert [text for text in made if text not in "☒☐"] == [word.text for word in words]
    assert sorted(text for text in made if text in "☒☐") == sorted(box.text for box in boxes)
