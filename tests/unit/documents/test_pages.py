from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pymupdf
import pytest
from PIL import Image

from benchmarks.parsing.generated_pages import write_scans
from benchmarks.parsing.hostile_files import pdf_of
from opticalrag.ingest.core import errors
from opticalrag.ingest.core.config import PageLimits
from opticalrag.ingest.core.records import PageFailure, PageImage, SourceSpec
from opticalrag.ingest.documents import rendering
from opticalrag.ingest.documents.opening import close_document, load
from opticalrag.ingest.documents.pages import open_document, parse_page_range
from opticalrag.ingest.documents.rendering import render_page, render_pages
from opticalrag.ingest.system.workers import WorkerPool

PASSWORDS = {
    "docling_2206.01062_pg3.pdf": "1234",
    "pypdf_r6-both-passwords.pdf": "foo",
}


def pdf(*texts: str, rotation: int = 0, crop: tuple[float, ...] | None = None) -> bytes:
    made = pymupdf.open()
    for text in texts:
        page = made.new_page(width=600, height=800)
        page.insert_text((100, 200), text)
        if crop:
            page.set_cropbox(pymupdf.Rect(*crop))
        page.set_rotation(rotation)
    return bytes(made.tobytes())


def image(kind: str, size: tuple[int, int] = (300, 200), **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, "white").save(stream, kind, **options)
    return stream.getvalue()


@contextmanager
def suppress_damage(messages: list[str]) -> Iterator[None]:
    try:
        yield
    except errors.DamagedDocument as error:
        messages.append(str(error))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_refer_to_the_page_as_displayed(rotation: int) -> None:
    """A word's box covers its ink on the rendered page, after rotation and cropping."""
    with open_document(pdf("Hello", rotation=rotation, crop=(50, 100, 550, 700))) as source:
        drawn = source.render(0, long_side=600)
    (word,) = drawn.words
    height, width, _ = drawn.pixels.shape
    ink = (drawn.pixels < 128).any(axis=2).nonzero()
    centre = (ink[1].mean() / width, ink[0].mean() / height)

    assert max(height, width) == 600
    assert word.box.x0 <= centre[0] <= word.box.x1
    assert word.box.y0 <= centre[1] <= word.box.y1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_images_are_documents_of_one_page(kind: str) -> None:
    """An image opens as a PDF of the same shape."""
    with open_document(image(kind), name=f"scan.{kind.lower()}") as source:
        drawn = source.render(0, long_side=300)

    assert source.ref.page_count == 1
    assert drawn.pixels.shape == (200, 300, 3)


def test_every_frame_of_an_image_is_a_page() -> None:
    """Multi-frame TIFF and WebP files keep all their frames."""
    frames = [Image.new("RGB", (30, 40), colour) for colour in ("red", "green", "blue")]
    for kind in ("TIFF", "WEBP"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        with open_document(stream) as source:
            assert source.ref.page_count == 3


def test_a_photo_is_turned_upright_by_its_exif_tag() -> None:
    """Orientation 6 means that viewers rotate the stored pixels by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with open_document(image("JPEG", (300, 200), exif=exif)) as source:
        drawn = source.render(0, long_side=300)

    assert drawn.pixels.shape == (300, 200, 3)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1", "CMYK", "I;16", "LA"])
def test_every_colour_mode_is_rendered(mode: str) -> None:
    """All become RGB pages, with transparency on white."""
    picture = Image.new(mode, (40, 30))
    stream = io.BytesIO()
    picture.save(stream, "TIFF")
    with open_document(stream) as source:
        drawn = source.render(0, long_side=40)

    assert drawn.pixels.shape == (30, 40, 3)
    if mode in ("RGBA", "LA"):
        assert int(drawn.pixels.min()) > 250


def test_bytes_streams_and_file_systems_open_like_paths(tmp_path: Path) -> None:
    """A path, bytes, a stream and an fsspec file system give the same document."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("Hello"))
    memory = fsspec.filesystem("memory")
    memory.pipe("/docs/a.pdf", file.read_bytes())
    hashes = set()
    for source, options in [
        (file, {}),
        (str(file), {}),
        (file.read_bytes(), {}),
        (io.BytesIO(file.read_bytes()), {}),
        ("/docs/a.pdf", {"fs": memory}),
    ]:
        with open_document(source, **options) as opened:
            hashes.add(opened.ref.sha256)
            assert opened.words(0)[0].text == "Hello"

    assert len(hashes) == 1


def test_temporary_copies_are_private_and_removed() -> None:
    """Only their owner can read them, and they vanish on close."""
    with open_document(pdf("secret")) as source:
        path = source.spec.path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not path.exists()


def test_the_bytes_of_a_file_decide_its_type(tmp_path: Path) -> None:
    """A PDF named .txt opens; text named .pdf does not."""
    renamed = tmp_path / "a.txt"
    renamed.write_bytes(pdf("Hello"))
    text = tmp_path / "b.pdf"
    text.write_text("just words")

    with open_document(renamed) as source:
        assert source.ref.page_count == 1
    with pytest.raises(
        errors.UnsupportedSource, match=r"b\.pdf is neither a PDF nor a supported image"
    ):
        open_document(text)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", errors.DamagedDocument),
        (b"\0", errors.UnsupportedSource),
        (b"%PDF-1.7 and nothing else", errors.DamagedDocument),
        (b"\x89PNG\r\n\x1a\n broken", errors.OpticalRagError),
        (image("PNG")[:80], errors.DamagedDocument),
    ],
)
def test_broken_bytes_are_a_typed_error(content: bytes, error: type[Exception]) -> None:
    """No input raises an exception of another library."""
    with pytest.raises(error):
        open_document(content)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    """The message gives the reason."""
    with pytest.raises(errors.DamagedDocument, match="does not exist"):
        open_document(tmp_path / "gone.pdf")
    with pytest.raises(errors.DamagedDocument, match="is not a file"):
        open_document(tmp_path)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (PageLimits(file_bytes=10), "file_bytes"),
        (PageLimits(pages=1), "PageLimits.pages"),
    ],
)
def test_limits_name_the_option_that_raises_them(limits: PageLimits, named: str) -> None:
    """The error of a refused document says which limit to raise."""
    with pytest.raises(errors.LimitExceeded, match=named):
        open_document(pdf("a", "b"), limits=limits)


def test_pixels_are_counted_before_they_are_decoded() -> None:
    """A small file with a huge image is refused; so is a huge rendering."""
    with pytest.raises(errors.LimitExceeded, match="300 x 200 pixels"):
        open_document(image("PNG"), limits=PageLimits(pixels=1000))
    with (
        open_document(pdf("a"), limits=PageLimits(pixels=1000)) as source,
        pytest.raises(errors.LimitExceeded, match="page 1"),
    ):
        source.render(0, dpi=72)


def test_a_wrong_password_and_a_missing_one_are_different_errors(tmp_path: Path) -> None:
    """Both messages name the option for the password."""
    made = pymupdf.open()
    made.new_page()
    file = tmp_path / "locked.pdf"
    made.save(file, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="right", owner_pw="owner")

    with pytest.raises(errors.EncryptedDocument, match=r"needs a password: give its password"):
        open_document(file)
    with pytest.raises(errors.EncryptedDocument, match="password is wrong"):
        open_document(file, password="wrong")  # noqa: S106
    for password in ("right", "owner"):
        with open_document(file, password=password) as source:
            assert "right" not in repr(source.spec)
            assert password not in repr(source.spec)


def test_shared_encrypted_files_open_with_their_password(data: Path) -> None:
    """Every revision of encryption opens with its password only."""
    for file in sorted((data / "encrypted").glob("*.pdf")):
        password = PASSWORDS.get(file.name, "asdfzxcv" if "user-password" in file.name else None)
        with open_document(file, password=password) as source:
            assert source.ref.page_count >= 1
        if password:
            with pytest.raises(errors.EncryptedDocument):
                open_document(file)


def test_shared_damaged_files_open_or_raise_a_typed_error(data: Path) -> None:
    """Only one of them cannot be opened at all."""
    unreadable = []
    for file in sorted((data / "damaged").glob("*.pdf")):
        with suppress_damage(unreadable), open_document(file) as source:
            assert source.ref.page_count >= 1

    assert ["qpdf_bad40.pdf" in message for message in unreadable] == [True]


def test_page_labels_default_to_the_number() -> None:
    """The label of a page and its position in the file are different."""
    made = pymupdf.open(stream=pdf("a", "b", "c"))
    made.set_page_labels(
        [
            {"startpage": 0, "style": "r", "prefix": "", "firstpagenum": 1},
            {"startpage": 1, "style": "D", "prefix": "A-", "firstpagenum": 5},
        ]
    )
    with open_document(made.tobytes()) as source:
        assert [ref.label for ref in source.page_refs()] == ["i", "A-5", "A-6"]
    with open_document(pdf("a", "b")) as source:
        assert [ref.label for ref in source.page_refs()] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "indices"),
    [("1-3,7", (0, 1, 2, 6)), ("5-", (4, 5, 6, 7)), ("-2", (0, 1)), (" 3 , 1 ", (0, 2))],
)
def test_page_ranges_are_one_based(text: str, indices: tuple[int, ...]) -> None:
    """Ranges may be open at either end."""
    assert parse_page_range(text, 8) == indices


@pytest.mark.parametrize("text", ["", "a", "0", "9", "3-2", "1--2", "1,,2", "1-99999999999", "-"])
def test_invalid_page_ranges_are_refused(text: str) -> None:
    """The error is a PageRangeError."""
    with pytest.raises(errors.PageRangeError):
        parse_page_range(text, 8)


def test_a_changed_file_is_not_read_further(tmp_path: Path) -> None:
    """Its pages do not belong to the document that was opened."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("old"))
    with open_document(file) as source:
        assert load(source.spec).page_count == 1
        file.write_bytes(pdf("new", "newer"))
        with pytest.raises(errors.SourceChanged, match="ingest it again"):
            load(source.spec)
        assert load(source.spec.unstamped).page_count == 2


def test_workers_render_pages_in_order() -> None:
    """Workers render the same pages as this process."""
    with open_document(pdf("a", "b", "c")) as source, WorkerPool(2) as pool:
        drawn = list(render_pages(source.tasks(), pool, long_side=100))
        here = [source.render(i, long_side=100) for i in range(3)]

    assert all(isinstance(page, PageImage) for page in drawn)
    assert [page.ref.index for page in drawn if isinstance(page, PageImage)] == [0, 1, 2]
    for one, other in zip(drawn, here, strict=True):
        assert isinstance(one, PageImage)
        assert (one.pixels == other.pixels).all()


def test_a_page_of_a_file_overwritten_while_it_is_rendered_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture may show the old or the new content."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("old"))

    def overwriting(*given: Any, **options: Any) -> PageImage:
        file.write_bytes(pdf("new", "newer"))
        return render_page(*given, **options)

    with open_document(file) as source, WorkerPool(1) as pool:
        monkeypatch.setattr(rendering, "render_page", overwriting)
        (result,) = render_pages(source.tasks(), pool, long_side=100)

    assert isinstance(result, PageFailure)
    assert result.code == "source_changed"


@pytest.mark.parametrize("start", ["4 0 R", "1.5", "(abc)"])
def test_a_file_with_unreadable_page_labels_opens(start: str) -> None:
    """So does one with an unreadable title. The first of these labels is valid in PDF."""
    labels = f"<</Nums[0 <</S/D/St {start}>>]>>".encode()
    catalog = b"<</Type/Catalog/Pages 2 0 R/PageLabels %b>>" % labels
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 99]>>"
    tree, info = b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"/Info <</Title 7>>"

    with open_document(pdf_of(catalog, tree, page, b"3", trailer=info)) as source:
        assert [ref.label for ref in source.page_refs()] == ["1"]
        assert source.ref.title == ""


def test_a_page_that_cannot_be_rendered_does_not_stop_the_others() -> None:
    """Every page has its own failure."""
    with open_document(pdf("a", "b")) as source, WorkerPool(1) as pool:
        tasks = list(source.tasks())
        results = list(render_pages(iter(tasks), pool, dpi=100_000))

    assert all(isinstance(r, PageFailure) and r.code == "limit_exceeded" for r in results)


def test_pictures_of_earlier_pages_are_dropped(tmp_path: Path) -> None:
    """MuPDF would store 256 MiB of them in every process."""
    file = tmp_path / "scans.pdf"
    write_scans(file, 60)  # a picture is 2 MB
    spec = SourceSpec(file)
    before = psutil.Process().memory_info().rss
    for index in range(60):
        load(spec)[index].get_pixmap(dpi=150)
    kept = psutil.Process().memory_info().rss - before
    close_document(spec)
    assert kept < 70_000_000


def test_every_error_of_mupdf_on_a_page_is_a_failure_of_that_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MuPDF's own errors are not a RuntimeError, and once ended the run."""

    def syntax_error(*_: object, **__: object) -> None:
        raise pymupdf.mupdf.FzErrorSyntax("broken stream")

    monkeypatch.setattr(pymupdf.Page, "get_pixmap", syntax_error)
    with open_document(pdf("text")) as source:
        (failure,) = render_pages(source.tasks(), WorkerPool(), dpi=72)

    assert isinstance(failure, PageFailure)
    assert failure.code == "page_failed"
