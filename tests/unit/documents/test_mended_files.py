"""A damaged file of which MuPDF finds pages is read, and whoever reads it is told."""

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
    """A file whose end, and with it the list of its pages, is lost."""
    file = write_pdf(tmp_path / "cut.pdf", page_text("valve"), page_text("rotor"))
    file.write_bytes(file.read_bytes()[:-200])
    return file


def test_a_mended_file_is_listed_in_the_report_of_a_run(cut: Path) -> None:
    """By a dry run, too, and not any more when nothing is left to do."""
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
    """And of no other."""
    file = cut.with_name(name)
    if file != cut:
        write_pdf(file, page_text("seal"))
    DeepSeekOCRReader(engine="layout", ocr="off").load_data(file)
    parse_document(file, EngineConfig("layout", layout=LayoutConfig(ocr="off")))
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]

    assert said == 2 * [f"{cut} is damaged and was mended: pages may be missing"] * (file == cut)
