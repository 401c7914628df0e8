from __future__ import annotations

from pathlib import Path

import pymupdf
import pytest

from opticalrag.ingest.core.config import LayoutConfig
from opticalrag.ingest.core.flags import Flag, doubts
from opticalrag.ingest.core.records import PageRef
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.documents.xfa import is_xfa_placeholder
from opticalrag.ingest.engines.layout.page import parse_page

from ...builders import document as document_ref

WAIT = {
    "en": "Please wait... If this message is not eventually replaced by the proper contents of the"
    " document, your PDF viewer may not be able to display this type of document. You can upgrade"
    " to the latest version of Adobe Reader.",
    "de": "Bitte warten... Wenn diese Meldung nicht ersetzt wird, laden Sie den Adobe Reader.",
    "fr": "Veuillez patienter... Installez la dernière version du logiciel Adobe Reader.",
}


def form(text: str, *, xfa: bool = True, rendering: bool = False, pages: int = 1) -> bytes:
    """A PDF with an XFA entry, as form designers write it."""
    made = pymupdf.open()
    for _ in range(pages):
        made.new_page().insert_textbox((72, 72, 500, 300), text, fontsize=11)
    packet = made.get_new_xref()
    made.update_object(packet, "<<>>")
    made.update_stream(packet, b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'/>")
    entry = f"/XFA {packet} 0 R" if xfa else ""
    made.xref_set_key(made.pdf_catalog(), "AcroForm", f"<</Fields[]{entry}>>")
    if rendering:
        made.xref_set_key(made.pdf_catalog(), "NeedsRendering", "true")
    return bytes(made.tobytes())


def opened(data: bytes) -> pymupdf.Document:
    return pymupdf.open(stream=data)


@pytest.mark.parametrize("language", WAIT)
@pytest.mark.parametrize("rendering", [True, False])
def test_a_placeholder_is_found_in_any_language(language: str, rendering: bool) -> None:
    """By the file's own statement, or by its only page."""
    assert is_xfa_placeholder(opened(form(WAIT[language], rendering=rendering)))


@pytest.mark.parametrize(
    "data",
    [
        form(WAIT["en"], xfa=False),  # a text about the message
        form("Name and address of the owner"),  # a form on its page
        form(WAIT["en"], pages=2),
    ],
)
def test_other_files_are_not_placeholders(data: bytes) -> None:
    """Forms whose pages show them are read as usual."""
    assert not is_xfa_placeholder(opened(data))


def test_a_form_with_fields_on_its_page_is_not_a_placeholder() -> None:
    """A static XFA form has its fields twice: as XML and on its pages."""
    made = opened(form("Fill in with Adobe Reader. Owner:"))
    field = pymupdf.Widget()
    field.field_type, field.field_name = pymupdf.PDF_WIDGET_TYPE_TEXT, "owner"
    field.rect, field.field_value = pymupdf.Rect(72, 400, 300, 420), "Maria Holm"
    made[0].add_widget(field)
    made = opened(made.tobytes())

    assert made.xref_get_key(made.pdf_catalog(), "AcroForm/XFA")[0] != "null"
    assert not is_xfa_placeholder(made)


def test_an_image_is_not_a_placeholder() -> None:
    """Only a PDF has a catalog."""
    pixels = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 20, 20), False)

    assert not is_xfa_placeholder(pymupdf.open(stream=pixels.tobytes("png"), filetype="png"))


def test_a_damaged_catalog_is_no_obstacle() -> None:
    """Its pages are read as they are."""
    made = opened(form(WAIT["en"]))
    made.xref_set_key(made.pdf_catalog(), "AcroForm", f"{made.pdf_catalog()} 0 R")
    made.update_object(made.pdf_catalog(), "[1 2]")

    assert not is_xfa_placeholder(made)


def test_a_placeholder_casts_doubt_on_its_page(tmp_path: Path) -> None:
    """Its text is kept, flagged, by both engines."""
    (tmp_path / "form.pdf").write_bytes(form(WAIT["en"], rendering=True))
    made = opened((tmp_path / "form.pdf").read_bytes())
    parsed = parse_page(made, PageRef(document_ref(), 0, "1"), LayoutConfig(ocr="off"))
    with open_document(tmp_path / "form.pdf") as source:
        drawn = source.render(0, dpi=20)

    assert doubts(parsed.flags) == (Flag.XFA,)
    assert doubts((*parsed.flags, Flag.FROM_TEXT_LAYER)) == (Flag.XFA,)
    assert "Please wait" in parsed.blocks[0].text
    assert drawn.placeholder
