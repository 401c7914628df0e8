"""Pages with equal hashes parse alike; object numbers and other pages do not matter."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from benchmarks.parsing.hostile_files import pdf_of
from opticalrag.ingest.core.config import WorkLimits
from opticalrag.ingest.core.records import SourceSpec
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.documents.page_hash import PageHasher, hash_of_position
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.pipeline.journal_pages import pack_page, unpack_page

from ...builders import block, page
from ..pipeline.test_pipeline import write_pdf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_pdf(tmp_path / "a.pdf", *(f"Text of page {n}." for n in range(4)))


def hashes(content: bytes) -> list[str]:
    with pymupdf.open(stream=content, filetype="pdf") as document:
        hasher = PageHasher(document, sha256(content).hexdigest())  # differs by file
        return [hasher.hash(index) for index in range(document.page_count)]


def changed(file: Path, change: Callable[[Any], Any], **save: Any) -> list[str]:
    with pymupdf.open(file) as document:
        change(document)
        return hashes(document.tobytes(**save))


def test_pages_that_differ_have_different_hashes(file: Path) -> None:
    """The same page always has the same hash."""
    found = hashes(file.read_bytes())

    assert len(set(found)) == 4
    assert found == hashes(file.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[1].insert_text((72, 400), "."),
        lambda d: d[1].set_rotation(90),
        lambda d: d[1].set_cropbox(pymupdf.Rect(0, 0, 300, 300)),
        lambda d: d[1].add_text_annot((72, 72), "note"),
        lambda d: d[1].draw_rect(pymupdf.Rect(0, 0, 9, 9)),
        lambda d: d.set_toc([[1, "Chapter", 2]]),
        lambda d: d.update_stream(d[1].get_contents()[0], b"BT ET"),
    ],
)
def test_a_change_of_a_page_changes_only_its_hash(file: Path, change: Callable[[Any], Any]) -> None:
    """Text, rotation, boxes, notes, drawings and the outline all count."""
    before, after = hashes(file.read_bytes()), changed(file, change)

    assert [a != b for a, b in zip(before, after, strict=True)] == [False, True, False, False]


@pytest.mark.parametrize("save", [{}, {"garbage": 3}, {"linear": False, "garbage": 1}])
def test_pages_keep_their_hashes_at_any_position(file: Path, save: dict[str, Any]) -> None:
    """Inserting, moving or deleting a page and renumbering objects change no other hash."""
    first, second, third, fourth = hashes(file.read_bytes())

    assert changed(file, lambda d: d.new_page(0), **save)[1:] == [first, second, third, fourth]
    assert changed(file, lambda d: d.move_page(0, -1), **save) == [second, third, fourth, first]
    assert changed(file, lambda d: d.delete_page(1), **save) == [first, third, fourth]


def test_links_to_other_pages_are_not_followed(file: Path) -> None:
    """A page does not change with the target of its link."""
    target = {"kind": pymupdf.LINK_GOTO, "from": pymupdf.Rect(0, 0, 99, 99), "page": 2}
    with pymupdf.open(file) as document:
        document[0].insert_link(target)
        linked = document.tobytes()
        document[2].insert_text((72, 400), "More.")
        after = document.tobytes()

    assert [a != b for a, b in zip(hashes(linked), hashes(after), strict=True)] == [
        *(False, False, True, False)
    ]


def test_pages_of_forms_are_hashed_by_position(file: Path) -> None:
    """Pages share the fields, so no page is independent."""

    def add_field(document: Any) -> None:
        field = pymupdf.Widget()
        field.field_name, field.rect = "name", pymupdf.Rect(0, 0, 99, 20)
        field.field_type = pymupdf.PDF_WIDGET_TYPE_TEXT
        document[0].add_widget(field)

    assert all(one.startswith("file:") for one in changed(file, add_field))


def test_notes_do_not_tie_a_page_to_others(file: Path) -> None:
    """They lead to their page, and to windows that lead back to them."""
    with pymupdf.open(file) as document:
        note = document[0].add_text_annot((72, 72), "note")
        note.set_popup(pymupdf.Rect(9, 9, 99, 99))
        noted = document.tobytes()
        document[2].insert_text((72, 400), "More.")
        after = document.tobytes()

    assert b"/Popup" in noted
    assert [a != b for a, b in zip(hashes(noted), hashes(after), strict=True)] == [
        *(False, False, True, False)
    ]


def test_every_page_of_a_damaged_file_has_a_hash(file: Path) -> None:
    """Bytes may be missing or wrong anywhere."""
    content = file.read_bytes()
    for offset in range(300, len(content), 700):
        broken = content[:offset] + b"9 0 R 0" + content[offset + 40 :]
        try:
            pages = hashes(broken)
        except (RuntimeError, ValueError):  # it does not open
            continue
        assert all(pages)


def test_a_packed_page_is_restored() -> None:
    """The journal packs pages; lone surrogates survive."""
    from opticalrag.ingest.markdown.render import page_markdown

    made = page_markdown(page(block("One \ud800"), block("Two")))

    assert unpack_page(pack_page(made)) == made
    with pytest.raises(ValueError, match="not a packed page"):
        unpack_page(pack_page(made)[:-3])


def test_a_separate_process_finds_the_same_hashes(tmp_path: Path) -> None:
    """It hashes only the given pages, in several calls."""
    many = write_pdf(tmp_path / "many.pdf", *(f"Text of page {n}." for n in range(150)))
    chosen = [0, *range(50, 150)]
    with DocumentExaminer(WorkLimits()) as examiner, open_document(many) as source:
        found = list(examiner.page_hashes(source.spec, source.ref.sha256, chosen))
        here = list(DocumentExaminer().page_hashes(source.spec, source.ref.sha256, chosen))

    assert found == here
    assert len(set(found)) == len(chosen)


def test_pages_that_hang_are_hashed_by_position(tmp_path: Path) -> None:
    """The process is killed after the time limit."""
    pipe = tmp_path / "pipe.pdf"
    os.mkfifo(pipe)
    with DocumentExaminer(WorkLimits(0.5)) as examiner:
        found = list(examiner.page_hashes(SourceSpec(pipe, None), "0" * 64, range(200)))

    assert found == [hash_of_position("0" * 64, n) for n in range(200)]


def test_pages_of_a_changed_file_are_hashed_by_position(file: Path) -> None:
    """The file is not the one that was examined."""
    with open_document(file) as source:
        file.write_bytes(file.read_bytes() + b"\n")
        found = list(DocumentExaminer().page_hashes(source.spec, "0" * 64, range(2)))

    assert found == [hash_of_position("0" * 64, n) for n in range(2)]


def test_a_page_with_a_number_too_large_for_mupdf_is_hashed_by_position(tmp_path: Path) -> None:
    """The conversion raises an OverflowError, which once ended the run."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/StructParents 9999999999>>"
    tree = b"/StructTreeRoot<</Type/StructTreeRoot/ParentTree<</Nums[0[null]]>>>>"
    content = pdf_of(
        b"<</Type/Catalog/Pages 2 0 R%b>>" % tree,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
    )

    assert hashes(content) == [hash_of_position(sha256(content).hexdigest(), 0)]


def test_any_error_of_hashing_costs_a_file_only_its_hashes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages are still read."""

    def broken(self: PageHasher, index: int) -> str:
        raise BufferError(index)

    monkeypatch.setattr(PageHasher, "hash", broken)
    with open_document(file) as source, DocumentExaminer() as examiner:
        found = list(examiner.page_hashes(source.spec, source.ref.sha256, range(4)))

    assert found == [hash_of_position(source.ref.sha256, index) for index in range(4)]
