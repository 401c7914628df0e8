"""A damaged file whose pages MuPDF recovers is read, with a warning."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from opticalrag.ingest.cli.parse import parse_document
from opticalrag.ingest.core.config import EngineConfig, IngestOptions, LayoutConfig
from opticalrag.ingest.llama_index.reader import DeepSeekOCRReader
from opticalrag.ingest.store.store import QdrantStore

from ...chaos.ingester import ingest
from ..pipeline.test_pipeline import page_text, write_pdf


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A file that lacks its end with the list of its pages."""
    file = write_pdf(tmp_path / "cut.pdf", page_text("valve"), page_text("rotor"))
    file.write_bytes(file.read_bytes()[:-200])
    return file


def test_a_mended_file_is_listed_in_the_report_of_a_run(cut: Path) -> None:
    """A dry run lists it, too; a run with nothing left to do does not."""
    write_pdf(cut.with_name("whole.pdf"), page_text("seal"))
    with QdrantStore(":memory:") as store:
        runs = [
            ingest(cut.parent, store, options=IngestOptions(dry_run=dry))
            for dry in (True, False, False)
        ]
    assert [report.mended for report in runs] == [[str(cut)], [str(cut)], []]
    assert [report.failures for report in runs] == [[], [], []]


@pytest.mark.parametrize("name", ["cut.pdf", "whole.pdf"])
def test_readers_warn_of_a_mended_file(
    name: str, cut: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They do not warn of other files."""
    file = cut.with_name(name)
    if file != cut:
        write_pdf(file, page_text("seal"))
    DeepSeekOCRReader(engine="layout", ocr="off").load_data(file)
    parse_document(file, EngineConfig("layout", layout=LayoutConfig(ocr="off")))
    logged = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]

    assert logged == 2 * [f"{cut} is damaged and was mended: pages may be missing"] * (file == cut)
