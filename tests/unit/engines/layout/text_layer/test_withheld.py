"""Text that a page withholds, so that MuPDF does not report it, is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.engines.layout.text_layer import withheld
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.withheld import lacks_text

from ..test_engine import everything, parsed

BODY = "The pilot boards the ship at the outer buoy."
Draw = Callable[[pymupdf.Page], None]


def document_with(draw: Draw) -> pymupdf.Document:
    """Return a document of a page of plain text and whatever ``draw`` adds."""
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    for i in range(6):
        page.insert_text((60, 90 + 16 * i), BODY, fontsize=11)
    draw(page)
    return pymupdf.open("pdf", document.tobytes())


def layer_off(page: pymupdf.Page) -> None:
    layer = page.parent.add_ocg("Draft", on=False)
    page.insert_text((60, 300), "Secret berth", fontsize=11, oc=layer)


def base_state_off(page: pymupdf.Page) -> None:
    layer = page.parent.add_ocg("Notes", on=True)
    page.insert_text((60, 300), "Vier Kisten Tee", fontname="tiro", fontsize=9, oc=layer)
    catalog = page.parent.pdf_catalog()
    page.parent.xref_set_key(catalog, "OCProperties/D/BaseState", "/OFF")
    page.parent.xref_set_key(catalog, "OCProperties/D/ON", "[]")


def form_on_a_layer_off(page: pymupdf.Page) -> None:
    stamp = pymupdf.open()
    stamp.new_page(width=200, height=40).insert_text((10, 20), "Return to sender")
    layer = page.parent.add_ocg("Stamps", on=False)
    page.show_pdf_page(pymupdf.Rect(60, 300, 260, 340), stamp, 0, oc=layer)


def clipped(page: pymupdf.Page, path: bytes, text: bytes) -> None:
    """Write text within a clip path, in points from the bottom."""
    font = page.get_fonts()[0][4].encode()
    stream = page.get_contents()[0]
    drawn = b"q " + path + b" n BT /" + font + b" 11 Tf 60 400 Td (" + text + b") Tj ET Q\n"
    page.parent.update_stream(stream, drawn + page.parent.xref_stream(stream))


def clipped_away(page: pymupdf.Page) -> None:
    clipped(page, b"0 0 20 20 re W", b"Secret berth")


def clipped_by_a_triangle(page: pymupdf.Page) -> None:
    clipped(page, b"300 100 m 500 100 l 400 200 l h W*", b"Nine lanterns")


def cut_off_in_the_middle(page: pymupdf.Page) -> None:
    clipped(page, b"50 390 60 30 re W", b"http://harbour.example/reports/of/the/year")


WITHHOLDING = [
    layer_off,
    base_state_off,
    form_on_a_layer_off,
    clipped_away,
    clipped_by_a_triangle,
    cut_off_in_the_middle,
]


@pytest.mark.parametrize("draw", WITHHOLDING)
@pytest.mark.parametrize("turn", [0, 90])
def test_layers_and_clip_paths_withhold_text(draw: Draw, turn: int) -> None:
    """Some of it or all; the document itself does not change."""
    document = document_with(draw)
    document[0].set_rotation(turn)
    before = document.tobytes(no_new_id=True)
    assert read_page(document[0]).withheld
    assert document.tobytes(no_new_id=True) == before


@pytest.mark.parametrize("draw", [layer_off, clipped_away])
def test_the_page_is_flagged(tmp_path: Path, draw: Draw) -> None:
    """The text stays out."""
    document_with(draw).save(tmp_path / "made.pdf")
    (page,) = parsed(tmp_path / "made.pdf")
    assert Flag.HIDDEN in page.flags
    assert "Secret" not in everything([page])
    assert BODY in everything([page])


def layer_on(page: pymupdf.Page) -> None:
    layer = page.parent.add_ocg("Remarks", on=True)
    page.insert_text((60, 300), "Open berth", fontsize=11, oc=layer)


def empty_layer_off(page: pymupdf.Page) -> None:
    page.parent.add_ocg("Unused", on=False)


def clipped_around(page: pymupdf.Page) -> None:
    clipped(page, b"40 380 400 40 re W", b"Open berth")


def one_letter_cut_off(page: pymupdf.Page) -> None:
    clipped(page, b"0 0 20 20 re W", b"x")


@pytest.mark.parametrize(
    "draw", [lambda page: None, layer_on, empty_layer_off, clipped_around, one_letter_cut_off]
)
def test_nothing_is_withheld(draw: Draw) -> None:
    """Layers that are shown, clip paths around their text, and stray letters."""
    assert not read_page(document_with(draw)[0]).withheld


def test_pages_without_layers_and_clip_paths_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second extraction takes time."""
    monkeypatch.setattr(withheld, "_text_page", lambda page: pytest.fail("read again"))
    assert not read_page(document_with(lambda page: None)[0]).withheld


@given(st.text("abc d\n", max_size=30), st.text("xyz", min_size=3, max_size=9))
def test_missing_letters_are_counted_in_any_order(shown: str, lost: str) -> None:
    """Spaces and line breaks do not count."""
    everything = "".join(sorted(shown + lost))
    assert lacks_text(shown, everything)
    assert not lacks_text(everything, shown + "\n ")
