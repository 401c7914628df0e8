"""The HTML report of a journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import SourceConfig, StoreConfig, WorkLimits
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.records import PageFailure, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.reports.journal import report_journal

from ...chaos.engines import TextEngine
from ...chaos.ingester import ingest
from ..pipeline.test_pipeline import page_text, write_pdf
from .test_run import Tags

LIMITS = WorkLimits(60)


class DoubtingEngine(TextEngine):
    """Fails on the first page of each document and doubts the second."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for outcome in super().parse(tasks):
            assert isinstance(outcome, ParsedPage)
            ref = outcome.ref
            if ref.index == 0:
                yield PageFailure.of(ref, "timeout", "page 1: too slow")
            else:
                yield replace(outcome, flags=("loop",) if ref.index == 1 else ("ocr",))


@pytest.fixture
def config(tmp_path: Path) -> StoreConfig:
    """A store into which two files were ingested."""
    files = tmp_path / "files"
    files.mkdir()
    for name in ("a", "b"):
        write_pdf(files / f"{name}.pdf", *(page_text(f"{name}{n}") for n in range(3)))
    made = StoreConfig(str(tmp_path / "store"))
    journal = open_journal(made, create=True)
    assert journal is not None
    with open_store(made, create=True) as store, journal:
        ingest(files, store, journal, engine=DoubtingEngine())
    return made


def report(config: StoreConfig, target: Path) -> dict[str, Any]:
    journal = open_journal(config)
    assert journal is not None
    with journal:
        return report_journal(journal, target, SourceConfig(), LIMITS)


def test_pages_are_drawn_if_their_file_is_unchanged(config: StoreConfig, tmp_path: Path) -> None:
    """Pages of a missing or changed file are listed without a picture."""
    target = tmp_path / "report.html"
    (tmp_path / "files" / "b.pdf").write_bytes(b"%PDF-1.7 other bytes")
    counts = report(config, target)
    text = target.read_text(encoding="utf-8")

    pages = {"documents": 2, "pages": 4, "failed_pages": 2, "doubtful_pages": 2}
    assert counts == {**pages, "flags": {"loop": 2, "ocr": 2}}
    assert "<td>ocr</td><td>2</td><td>no</td>" in text
    assert len(Tags(text).sources) == 2
    for words in ("a.pdf, page 1: timeout", "a.pdf, page 2: loop", "page 1: too slow"):
        assert words in text
    assert text.count("cannot be drawn") == 2
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_report_is_written_while_the_store_is_in_use(config: StoreConfig, tmp_path: Path) -> None:
    """Another process may be writing the journal."""
    journal = open_journal(config, create=True)
    assert journal is not None
    with open_store(config), journal:
        journal.forget([journal.entries()[0].id])
        counts = report(config, tmp_path / "r.html")

    assert counts["documents"] == 1


def test_a_damaged_journal_makes_no_report(config: StoreConfig, tmp_path: Path) -> None:
    """An empty one would say that all is well."""
    Path(config.location, "journal", "opticalrag.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(ConfigError, match="the journal cannot be read"):
        report(config, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
