"""Pages that look different never share a hash."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.parsing.hostile_files import pdf_of
from opticalrag.ingest.documents.page_hash import PageHasher
from opticalrag.ingest.documents.pdf_objects import dictionary, elements, reference, tokens

NAMES: Final = ("P", "B", "Thumb", "Metadata", "Popup", "Parent", "A", "Type", "X", "StructParent")
ENTRIES: Final = (
    *("/Type/Page", "/Type/Pages", "/Type/Catalog", "/Type/StructElem", "/StructParents 7"),
    *("/P 1 0 R", "/Metadata 2 0 R", "/Thumb 2 0 R", "/Popup 1 0 R", "/Note(/P 1 0 R)"),
    "/LastModified(D:1)",
)
SHOW: Final = "BT /F 12 Tf 10 50 Td (%s) Tj ET"
PLAIN: Final = "/Resources<</Font<</F 5 0 R>>>>"
FONT: Final = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def stream(content: str, entries: str = "") -> str:
    return f"<<{entries}/Length {len(content)}>>stream\n{content}\nendstream"


def form(content: str, entries: str = "") -> str:
    return stream(content, f"/Subtype/Form/BBox[0 0 200 99]{entries}")


def file_of(  # objects 1 to 5 are the same in all files
    page: str, content: str, *more: str, above: str = "", catalog: str = "", font: str = FONT
) -> bytes:
    first = f"<</Type/Page/Parent 2 0 R/Contents 4 0 R{page}>>"
    tree = f"<</Type/Pages/Kids[3 0 R]/Count 1{above}>>"
    root = f"<</Type/Catalog/Pages 2 0 R{catalog}>>"
    objects = (root, tree, first, stream(content), font, *more)
    return pdf_of(*(text.encode("latin-1") for text in objects))


BOX: Final = "/MediaBox[0 0 200 99]"
Maker = Callable[[str, str, bool], bytes]


def in_a_form(name: str, entries: str, other: bool) -> bytes:
    inner = form(SHOW % ("two" if other else "one"), f"{PLAIN}{entries}")
    outer = form(f"/{name} Do", f"/Resources<</XObject<</{name} 7 0 R>>>>{entries}")
    page = f"{BOX}/Resources<</XObject<</{name} 6 0 R>>>>"
    return file_of(page, f"/{name} Do", outer, inner)


def in_a_font(name: str, entries: str, other: bool) -> bytes:
    font = f"<</Subtype/Type1/BaseFont/{'Courier' if other else 'Helvetica'}{entries}>>"
    text = SHOW.replace("/F", f"/{name}") % "text"
    return file_of(f"{BOX}/Resources<</Font<</{name} 5 0 R>>>>", text, font=font)


def in_a_state(name: str, entries: str, other: bool) -> bytes:
    state = f"<</ca {0.9 if other else 0.1}{entries}>>"
    page = f"{BOX}/Resources<</ExtGState<</{name} 6 0 R>>>>"
    return file_of(page, f"/{name} gs 0 0 50 50 re f", state)


def in_a_colour(name: str, entries: str, other: bool) -> bytes:
    page = f"{BOX}/Resources<</ColorSpace<</{name} 6 0 R>>>>"
    table = "<0000ff>" if other else "(\\377\\000\\000)"
    return file_of(page, f"/{name} cs 0 sc 0 0 50 50 re f", f"[/Indexed/DeviceRGB 0 {table}]")


def inherited(name: str, entries: str, other: bool) -> bytes:
    above = f"{BOX}/Resources<</XObject<</{name} 6 0 R>>{entries}>>"
    return file_of("", f"/{name} Do", form(SHOW % ("two" if other else "one"), PLAIN), above=above)


def in_an_appearance(name: str, entries: str, other: bool) -> bytes:
    note = f"<</Subtype/Stamp/Rect[0 0 200 99]/F 4/AP<</N<</{name} 7 0 R>>>>/AS/{name}{entries}>>"
    look = form(SHOW % ("two" if other else "one"), f"{PLAIN}{entries}")
    return file_of(f"{BOX}/Annots[6 0 R]", "", note, look)


def in_a_note(name: str, entries: str, other: bool) -> bytes:
    text = f"(/{name} {6 if other else 5} 0 R)"
    note = f"<</Subtype/FreeText/Rect[0 0 200 99]/F 4/DA(/Helv 12 Tf)/Contents{text}{entries}>>"
    return file_of(f"{BOX}/Annots 7 0 R", "", note, "[6 0 R]")


def in_a_border(name: str, entries: str, other: bool) -> bytes:
    note = f"<</Subtype/Square/Rect[9 9 90 90]/F 4/C[1 0 0]/BS 7 0 R/{name} null{entries}>>"
    return file_of(f"{BOX}/Annots[6 0 R]", "", note, f"<</W {9 if other else 2}{entries}>>")


def in_a_tag(name: str, entries: str, other: bool) -> bytes:
    content = f"/Span<</MCID 0>>BDC {SHOW % 'text'} EMC"
    text = "two" if other else "one"
    said = f"<</Type/StructElem/S/Span/P 6 0 R/K 0/ActualText({text})/{name} 0>>"
    tree = "<</Type/StructTreeRoot/ParentTree<</Nums[4[7 0 R]]>>>>"
    page = f"{BOX}{PLAIN}/StructParents 4"
    return file_of(page, content, tree, said, catalog="/StructTreeRoot 6 0 R")


def in_a_box(name: str, entries: str, other: bool) -> bytes:
    box = "CropBox" if other else "MediaBox"
    return file_of(PLAIN, SHOW % "text", above=f"/{box}[0 0 400 800]/{name} null")


def in_a_layer(name: str, entries: str, other: bool) -> bytes:
    hidden = "/OFF[6 0 R]" if other else ""
    page = f"{BOX}/Resources<</Font<</F 5 0 R>>/Properties<</{name} 6 0 R>>>>"
    content = f"/OC/{name} BDC {SHOW % 'text'} EMC"
    layers = f"/OCProperties<</OCGs[6 0 R]/D<<{hidden}>>>>"
    return file_of(page, content, "<</Type/OCG/Name(layer)>>", catalog=layers)


MAKERS: Final[tuple[Maker, ...]] = (
    *(in_a_form, in_a_font, in_a_state, in_a_colour, inherited, in_an_appearance),
    *(in_a_note, in_a_border, in_a_tag, in_a_box, in_a_layer),
)


def looked_at(content: bytes) -> tuple[object, str]:
    """The pixels of the first page, and its hash."""
    with pymupdf.open(stream=content, filetype="pdf") as document:
        pixmap = document[0].get_pixmap()
        shown = (document[0].get_text(), pixmap.width, pixmap.height, pixmap.samples)
        return shown, PageHasher(document, sha256(content).hexdigest()).hash(0)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NAMES), st.lists(st.sampled_from(ENTRIES), unique=True, max_size=3))
def test_pages_that_show_something_else_never_share_a_hash(
    make: Maker, name: str, entries: list[str]
) -> None:
    """Whatever the names of resources and the other entries of their objects."""
    one, two = (looked_at(make(name, "".join(entries), other)) for other in (False, True))

    assert one[1] != two[1] or one[0] == two[0]


@pytest.mark.parametrize("make", MAKERS)
def test_each_of_these_files_looks_different(make: Maker) -> None:
    """Otherwise the test above proves nothing. Each page has its own hash."""
    one, two = (looked_at(make("X", "", other)) for other in (False, True))

    assert one[0] != two[0]
    assert not one[1].startswith("file:")
    assert one[1] == looked_at(make("X", "", False))[1]


VALUES = st.recursive(
    st.sampled_from(["5 0 R", "/P", "(a\\) << 1 0 R)", "<00FF>", "-.5", "true", "null", "/"]),
    lambda one: st.one_of(
        st.lists(one, max_size=3).map(lambda parts: f"[{' '.join(parts)}]"),
        st.lists(one, max_size=3).map(
            lambda parts: f"<<{' '.join(f'/{n} {part}' for n, part in enumerate(parts))}>>"
        ),
    ),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4))
def test_values_come_out_of_brackets_as_they_went_in(values: list[str]) -> None:
    """For any nesting and any content of strings."""
    expected = [tokens(value) for value in values]
    pairs = " ".join(f"/K{n} {value}" for n, value in enumerate(values))

    assert elements(tokens(f"[{' '.join(values)}]")) == expected
    assert list(dictionary(tokens(f"<<{pairs}>>")).values()) == expected


@given(st.text("<>[]()/% 0R\\a\n", max_size=12))
def test_ambiguous_syntax_is_an_error(text: str) -> None:
    """Tokens cover every character but space and brackets match, or there is an error."""
    try:
        found = tokens(text)
    except ValueError:
        return
    plain = "".join("".join(found).split())
    assert plain == "".join(text.split())
    for read in (dictionary, elements):
        try:
            read(found)
        except ValueError:
            continue
        assert found[0] in ("<<", "[")


def test_references_are_distinguished_from_similar_text() -> None:
    """Strings, names and longer words contain no references."""
    found = tokens("[5 0 R(5 0 R)/5 0 Rx 15 3 R]")

    assert [reference(token) for token in found if reference(token)] == [5, 15]
