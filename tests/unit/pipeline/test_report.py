from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.records import PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.pipeline.report import IngestReport

from ...chaos.engines import TextEngine
from ...chaos.ingester import ingest
from .test_pipeline import page_text, write_pdf


class FlaggingEngine(TextEngine):
    """Flags each page with its number, and every other one as read by OCR."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for outcome in super().parse(tasks):
            assert isinstance(outcome, ParsedPage)
            yield replace(outcome, flags=("ocr", "form")[: 1 + outcome.ref.index % 2])


def test_flags_are_counted_on_parsed_and_reused_pages(tmp_path: Path) -> None:
    """A run reports each flag with its number of pages, whether or not the engine read them now."""
    config = StoreConfig(str(tmp_path / "store"))
    files = tmp_path / "files"
    files.mkdir()
    write_pdf(files / "a.pdf", *(page_text(f"a{n}") for n in range(3)))
    reports: list[IngestReport] = []
    journal = open_journal(config, create=True)
    assert journal is not None
    with open_store(config, create=True) as store, journal:
        reports.append(ingest(files, store, journal, engine=FlaggingEngine()))
        write_pdf(files / "a.pdf", *(page_text(f"a{n}") for n in range(4)))
        reports.append(ingest(files, store, journal, engine=FlaggingEngine()))

    assert reports[0].flags == {"ocr": 3, "form": 1}
    assert reports[1].pages_reused == 3
    assert reports[1].flags == {"ocr": 4, "form": 2}
