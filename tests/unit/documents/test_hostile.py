"""Files made to break readers, opened in worker processes with small limits."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from benchmarks.parsing.hostile_files import MAKERS, PLACES, mutate, pdf_of
from opticalrag.ingest.core import errors
from opticalrag.ingest.core.config import LayoutConfig, WorkLimits
from opticalrag.ingest.core.records import PageFailure, PageOutcome, ParsedPage
from opticalrag.ingest.documents.examiner import DocumentExaminer
from opticalrag.ingest.documents.opening import Candidate, Facts, examine
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.documents.sources import expand_sources
from opticalrag.ingest.engines.layout import LayoutEngine

LIMITS = WorkLimits(3, 1024**3)
SHORT_LIMITS = WorkLimits(0.5, 1024**3)  # a fast machine reads some of the slow files in 3 s
READ = {"page_without_end.pdf", "page_without_area.pdf", "page_inside_out.pdf", "renamed.txt"}
READ |= {"active.pdf", "draws_itself.pdf", "nested_objects.pdf", "page_20000pt.pdf"}
SLOW = {"bomb_content.pdf", "bomb_picture.pdf", "draws_10e30_times.pdf", "words_200000.pdf"}


@pytest.fixture(scope="module")
def engine() -> Iterator[LayoutEngine]:
    """An engine without OCR, in one process with limits."""
    with closing(LayoutEngine(LayoutConfig(ocr="off"), limits=LIMITS)) as made:
        yield made


@pytest.fixture(scope="module")
def examiner() -> Iterator[DocumentExaminer]:
    """An examiner in a process with limits."""
    with DocumentExaminer(LIMITS) as made:
        yield made


def first_page(file: Path, engine: LayoutEngine, examiner: DocumentExaminer) -> PageOutcome | str:
    try:
        with open_document(file, examiner=examiner) as source:
            return next(iter(engine.parse(source.tasks("1"))))
    except errors.OpticalRagError as error:
        return error.code
    except OSError:
        return "io"


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - SLOW))
def test_generated_files_are_read_or_raise_a_typed_error(
    name: str, tmp_path: Path, engine: LayoutEngine, examiner: DocumentExaminer
) -> None:
    """No file hangs or raises the error of another library."""
    (tmp_path / name).write_bytes(MAKERS[name]())
    outcome = first_page(tmp_path / name, engine, examiner)

    assert isinstance(outcome, ParsedPage) == (name in READ)


def test_a_page_too_large_to_render_keeps_its_text(
    tmp_path: Path, engine: LayoutEngine, examiner: DocumentExaminer
) -> None:
    """MuPDF refuses to render 20,000 x 20,000 points for the layout model."""
    document = pymupdf.open()
    document.new_page(width=20_000, height=20_000).insert_text((900, 900), "A map", fontsize=500)
    document.save(tmp_path / "map.pdf")
    outcome = first_page(tmp_path / "map.pdf", engine, examiner)

    assert isinstance(outcome, ParsedPage)
    assert [block.text for block in outcome.blocks] == ["A map"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW))
def test_files_that_inflate_are_stopped(
    name: str, tmp_path: Path, examiner: DocumentExaminer
) -> None:
    """The failure of such a page names the limit and the option."""
    (tmp_path / name).write_bytes(MAKERS[name]())
    with closing(LayoutEngine(LayoutConfig(ocr="off"), limits=SHORT_LIMITS)) as engine:
        outcome = first_page(tmp_path / name, engine, examiner)

    assert isinstance(outcome, PageFailure)
    assert outcome.code in ("timeout", "out_of_memory")
    assert "page 1 of" in outcome.message
    assert "--page-" in outcome.message


@pytest.mark.parametrize("name", sorted(PLACES))
def test_special_files_never_block(
    name: str, tmp_path: Path, engine: LayoutEngine, examiner: DocumentExaminer
) -> None:
    """Pipes, devices and folders are refused; files with odd names are opened."""
    (file,) = expand_sources([PLACES[name](tmp_path)]) if name != "folder" else (tmp_path,)
    outcome = first_page(file, engine, examiner)

    assert isinstance(outcome, ParsedPage) == ("odd" in name or "UTF-8" in name)
    assert isinstance(outcome, ParsedPage) or outcome in ("damaged", "io")


def test_the_location_of_a_name_that_is_not_utf8_is_a_uri(tmp_path: Path) -> None:
    """Libraries see a link with another name, which is removed with the document."""
    file = PLACES["name that is no UTF-8"](tmp_path)
    with open_document(file) as source:
        assert source.ref.uri == file.as_uri()
        assert source.ref.uri.endswith(source.ref.name)
        link = source.spec.path
        assert link.is_symlink()
    assert not link.parent.exists()


@pytest.mark.parametrize("number", range(12))
def test_mutated_files_are_read_or_raise_a_typed_error(
    number: int, sample: Path, tmp_path: Path, engine: LayoutEngine, examiner: DocumentExaminer
) -> None:
    """Bytes are flipped, cut, spliced and renumbered."""
    file = tmp_path / "mutated.pdf"
    file.write_bytes(mutate(sample.read_bytes(), random.Random(number)))  # noqa: S311  repeatable
    first_page(file, engine, examiner)


def test_a_file_that_is_written_to_while_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash would not match the pages read."""
    file = tmp_path / "a.pdf"
    file.write_bytes(MAKERS["renamed.txt"]())

    def growing(path: Path) -> str:
        with path.open("ab") as stream:
            stream.write(b"\n")
        return "0" * 64

    monkeypatch.setattr("opticalrag.ingest.documents.opening.sha256_of", growing)
    with pytest.raises(errors.SourceChanged):
        open_document(file)


def test_a_file_that_vanishes_fails_page_by_page(tmp_path: Path, engine: LayoutEngine) -> None:
    """Every page that was not read yet is a failure."""
    file = tmp_path / "a.pdf"
    file.write_bytes(MAKERS["renamed.txt"]())
    with open_document(file) as source:
        file.unlink()
        (outcome,) = engine.parse(source.tasks())

    assert isinstance(outcome, PageFailure)
    assert outcome.code == "damaged"


def test_a_document_that_kills_its_process_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that hangs the library costs the time limit; the next file is opened."""
    good = tmp_path / "good.pdf"
    good.write_bytes(MAKERS["renamed.txt"]())
    with DocumentExaminer(WorkLimits(0.5)) as examiner:
        monkeypatch.setattr("opticalrag.ingest.documents.examiner.examine", hang)
        with pytest.raises(errors.WorkTimeout, match=r"cannot open good.pdf.*--page-timeout"):
            open_document(good, examiner=examiner)
        monkeypatch.setattr("opticalrag.ingest.documents.examiner.examine", examine)
        with open_document(good, examiner=examiner) as source:
            assert source.ref.page_count == 1


def hang(candidate: Candidate) -> Facts:
    import time

    time.sleep(60)
    return examine(candidate)


def test_a_folder_that_cannot_be_listed_fails_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other files are found; opening the folder raises the error of the system."""
    (tmp_path / "shut").mkdir()
    (tmp_path / "b.pdf").write_bytes(b"%PDF-")
    listing = os.scandir

    def forbidding(path: Any) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    monkeypatch.setattr(os, "listdir", forbidding)
    assert expand_sources([tmp_path]) == (tmp_path / "b.pdf", tmp_path / "shut")
    with pytest.raises(PermissionError):
        open_document(tmp_path / "shut")


MARK = "Xylophagouswombat"


def test_no_text_of_a_document_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not even the debug level logs any."""
    from benchmarks.parsing.hostile import FlatEmbedder
    from opticalrag.ingest.indexing.sparse import Bm25Encoder
    from opticalrag.ingest.pipeline.pipeline import IngestPipeline
    from opticalrag.ingest.store.store import QdrantStore

    text = b"BT /F 12 Tf 72 700 Td (The %b is our secret.) Tj ET" % MARK.encode()
    good = MAKERS["renamed.txt"]().replace(b"A word of text", MARK.encode())
    (tmp_path / "a.pdf").write_bytes(good)
    (tmp_path / "broken.pdf").write_bytes(pdf_of(b"<</Type/Catalog>>", text))
    caplog.set_level(logging.DEBUG)
    embedder, sparse = FlatEmbedder(), Bm25Encoder()
    with (
        closing(LayoutEngine(LayoutConfig(ocr="off"))) as engine,
        QdrantStore(str(tmp_path / "store"), create=True) as store,
    ):
        store.ensure(embedder, sparse)
        pipeline = IngestPipeline(engine, embedder, sparse, store)
        report = pipeline.run(sorted(tmp_path.glob("*.pdf")))
        stored = json.dumps([record.payload for record in store.scroll(None, ["text"])])

    assert (report.pages, len(report.failures)) == (1, 1)
    assert MARK in stored
    assert MARK not in caplog.text
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
