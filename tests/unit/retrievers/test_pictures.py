"""Pictures of citations: boxes enclose the words on any page."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from llama_index.core.schema import Document
from numpy.typing import NDArray
from PIL import Image

from opticalrag.ingest.core.errors import EncryptedDocument, SourceChanged, SourceMissing
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.llama_index.node_parser import LayoutNodeParser
from opticalrag.ingest.llama_index.nodes import node_payload
from opticalrag.ingest.llama_index.reader import DeepSeekOCRReader
from opticalrag.retrievers.citations import cite, markdown_slices
from opticalrag.retrievers.pictures import PagePicture, page_pictures
from opticalrag.retrievers.query import Hit, hit_from_payload

WORDS = (
    "The coolant pump of turbine two was exchanged in May after its seal had begun to leak, and"
    " divers needed two neap tides for the work below thirty metres of water."
)
BLUE = (0, 114, 178)  # the first colour of ingest/documents/drawing.py


def hits_of(documents: Sequence[Document]) -> list[Hit]:
    """The chunks of a file as hits."""
    nodes = LayoutNodeParser().get_nodes_from_documents(documents)
    return [hit_from_payload(n.node_id, 1.0, node_payload(n)) for n in nodes]  # type: ignore[arg-type]


def read(file: Path) -> list[Document]:
    return DeepSeekOCRReader().load_data(file)


@pytest.fixture(scope="module")
def report(sample: Path) -> list[Document]:
    """The sample's pages from the reader."""
    return read(sample)


SHAPES = [
    (rotation, crop)
    for crop in [(0, 0, 600, 800), (40, 100, 560, 700)]
    for rotation in (0, 90, 180, 270)
]


def write_pages(file: Path, shapes: Sequence[tuple[int, Sequence[float]]]) -> None:
    """Write pages of one upright paragraph each, with any stored rotation."""
    document = pymupdf.open()
    for rotation, crop in shapes:
        page = document.new_page(width=600, height=800)
        page.set_cropbox(pymupdf.Rect(*crop))
        page.set_rotation(rotation)
        shown = page.rect
        place = pymupdf.Rect(shown.x0 + 60, shown.y0 + 90, shown.x1 - 120, shown.y0 + 260)
        page.insert_textbox(place * page.derotation_matrix, WORDS, fontsize=14, rotate=rotation)
    document.set_page_labels([{"startpage": 0, "style": "r", "firstpagenum": 4}])
    document.save(file)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with rotated and cropped pages."""
    file = tmp_path_factory.mktemp("turned") / "a.pdf"
    write_pages(file, SHAPES)
    return file


def pixels(picture: PagePicture) -> NDArray[np.uint8]:
    return np.asarray(picture.image)


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_boxes_enclose_the_words_on_rotated_and_cropped_pages(turned: Path) -> None:
    """Every dark pixel is inside the drawn box, and the box is tight."""
    pictures = [picture for hit in hits_of(read(turned)) for picture in page_pictures(hit)]

    assert {picture.page for picture in pictures} == set(range(1, len(SHAPES) + 1))
    for picture in pictures:
        shown = pixels(picture)
        box = extent((shown == BLUE).all(axis=2))
        ink = extent(shown.max(axis=2) < 90)
        shape = SHAPES[picture.page - 1]
        assert box[0] <= ink[0] < ink[2] <= box[2], shape
        assert box[1] <= ink[1] < ink[3] <= box[3], shape
        assert max(abs(b - i) for b, i in zip(box, ink, strict=True)) < 25, shape


def test_a_hit_across_two_pages_cites_and_draws_both(tmp_path: Path) -> None:
    """Each cited page has its link, its printed label and its Markdown."""
    file = tmp_path / "a b.pdf"
    text = " ".join([WORDS] * 3)
    cut = text.index(" ", len(text) // 2)
    document = pymupdf.open()
    for part, top in ((text[:cut], 640), (text[cut + 1 :], 72)):
        document.new_page().insert_textbox(pymupdf.Rect(60, top, 530, top + 190), part)
    document.set_page_labels([{"startpage": 0, "style": "r", "firstpagenum": 4}])
    document.save(file)
    documents = read(file)
    (hit,) = hits_of(documents)
    cited = cite(hit).cited_pages
    slices = markdown_slices(hit, {n: d.text for n, d in enumerate(documents, 1)})

    assert [(page.page, page.label) for page in cited] == [(1, "iv"), (2, "v")]
    assert [page.link for page in cited] == [f"{tmp_path}/a%20b.pdf#page={n}" for n in (1, 2)]
    assert [len(page.boxes) for page in cited] == [1, 1]
    assert " ".join([slices[1][0], slices[2][0]]).split() == text.split()
    assert [picture.page for picture in page_pictures(hit)] == [1, 2]


def test_slices_of_other_markdown_are_refused(report: list[Document]) -> None:
    """Offsets apply to the chunked Markdown only."""
    hit = hits_of(report)[2]
    markdown = {n: d.text for n, d in enumerate(report, 1)}
    (text,) = markdown_slices(hit, markdown)[hit.pages[0]]

    assert text.strip() in hit.text
    assert markdown_slices(hit, {99: "x"}) == {}
    with pytest.raises(SourceChanged, match="same engine"):
        markdown_slices(hit, {hit.pages[0]: "short"})


def test_pictures_are_bounded_and_are_png_files(report: list[Document]) -> None:
    """Cropped or whole, a picture has at most the requested size."""
    hit = hits_of(report)[2]
    (cut,), (whole,) = page_pictures(hit), page_pictures(hit, long_side=500, whole_page=True)

    assert max(whole.image.size) == 500
    assert max(cut.image.size) <= 1600
    assert cut.crop.area < 1 == whole.crop.area
    assert Image.open(io.BytesIO(cut.png())).size == cut.image.size


def test_another_file_than_the_one_ingested_is_refused(tmp_path: Path) -> None:
    """An edited, deleted or remote file is an error; a moved one works with ``file``."""
    here, moved = tmp_path / "a.pdf", tmp_path / "moved.pdf"
    write_pages(here, SHAPES[:1])
    (hit,) = hits_of(read(here))
    moved.write_bytes(here.read_bytes())

    here.write_bytes(here.read_bytes() + b"\n")
    with pytest.raises(SourceChanged, match="edited"):
        page_pictures(hit)
    here.unlink()
    with pytest.raises(SourceMissing, match=r"a\.pdf"):
        page_pictures(hit)
    with pytest.raises(SourceMissing, match="s3:"):
        page_pictures(hit_from_payload("id", 1.0, {Field.FILE_PATH: "s3://b/a", Field.PAGES: [1]}))
    assert page_pictures(hit, file=moved)
    assert page_pictures(hit_from_payload("id", 1.0, {"text": "no place"})) == []


def test_an_encrypted_file_needs_its_password(tmp_path: Path) -> None:
    """Without the password it is an error; with it the page is drawn."""
    write_pages(tmp_path / "a.pdf", SHAPES[:1])
    locked = tmp_path / "locked.pdf"
    pymupdf.open(tmp_path / "a.pdf").save(
        locked, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="x", owner_pw="y"
    )
    hit = hit_from_payload("id", 1.0, {Field.FILE_PATH: str(locked), Field.PAGES: [1]})

    with pytest.raises(EncryptedDocument):
        page_pictures(hit)
    (picture,) = page_pictures(hit, password="x")  # noqa: S106  the password of a test file
    assert picture.crop.area == 1


def test_a_file_whose_name_is_not_utf_8_is_found_again(sample: Path, tmp_path: Path) -> None:
    """Its location is stored as a URI, which holds the bytes of the name."""
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.pdf"))
    file.write_bytes(sample.read_bytes())
    hit = hits_of(DeepSeekOCRReader(pages="1").load_data(file))[0]

    assert hit.file_path == file.as_uri()
    assert page_pictures(hit)
