"""A forced run that fails in part loses nothing that an earlier run stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from opticalrag.ingest.assembly import open_journal
from opticalrag.ingest.core.config import IngestOptions
from opticalrag.ingest.core.records import PageFailure, PageOutcome, PageTask
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.pipeline.journal import Journal
from opticalrag.ingest.pipeline.report import IngestReport

from ...builders import block, page
from ...chaos.engines import TextEngine
from ...chaos.ingester import ingest
from .test_pipeline import page_text, write_pdf
from .test_resume import Case, as_if_new, case, edit, rows

__all__ = ["case"]


class Failing(TextEngine):
    """Fails on some pages (0-based) of every document."""

    def __init__(self, *pages: int) -> None:
        super().__init__()
        self._pages = pages

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for task in tasks:
            if task.ref.index in self._pages:
                yield PageFailure.of(task.ref, "timeout", "too slow")
            else:
                yield from super().parse([task])


def force(case: Case, *pages: int, recorded: bool = True) -> IngestReport:
    """Run with ``force``; these pages fail."""
    journal = open_journal(case.config, create=True) if recorded else None
    try:
        options = IngestOptions(force=True, roots=(str(case.files),))
        return ingest(case.files, case.store, journal, None, options, Failing(*pages))
    finally:
        if journal is not None:
            journal.close()


def test_a_page_that_fails_in_a_forced_run_is_kept_as_it_was(case: Case) -> None:
    """The store stays complete, and a later edit of another page costs only that page."""
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve {n}") for n in range(4)))
    before = case.run()
    report = force(case, 1)

    (failure,) = report.failures
    assert (failure.index, failure.code) == (1, "timeout")
    assert failure.message == "too slow; the text that an earlier run read is kept"
    assert (report.pages, report.pages_parsed, report.pages_reused) == (4, 3, 1)
    assert (report.documents, report.embedded) == (1, before.chunks)
    assert case.payloads() == as_if_new(case)
    assert rows(case.journal) == {"documents": 1, "pages": 4, "places": 4}
    assert case.run().unchanged == 1
    edit(file, 3, "The rotor was replaced.")
    assert case.run().pages_parsed == 1


@pytest.mark.parametrize("pages", [(1,), (0, 1, 2, 3)])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_complete_document_stays_when_a_forced_run_fails(
    case: Case, pages: tuple[int, ...], recorded: bool
) -> None:
    """The journal lacks the failed page; its old chunks used to stay beside contradicting ones."""
    write_pdf(case.files / "a.pdf", *(page_text(f"valve {n}") for n in range(4)))
    case.run()
    case.journal.unlink()
    report = force(case, *pages, recorded=recorded)

    assert [failure.index for failure in report.failures] == list(pages)
    assert (report.points_written, report.points_deleted) == (0, 0)
    assert report.documents == (len(pages) < 4)
    assert case.payloads() == as_if_new(case)
    assert case.run().unchanged == 1


def test_a_page_that_was_never_read_fails_as_in_any_run(case: Case) -> None:
    """There is nothing to reuse; the next run tries it again."""
    write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    report = force(case, 1)

    assert [failure.message for failure in report.failures] == ["too slow"]
    assert (report.pages, report.pages_reused) == (1, 0)
    assert case.run().pages_parsed == 1
    assert case.payloads() == as_if_new(case)


def test_a_failure_does_not_remove_a_recorded_page(tmp_path: Path) -> None:
    """Another engine recorded it: the store may hold it, and a deletion must find it."""
    made = page_markdown(page(block("Text.")))
    with Journal(tmp_path / "a.db") as journal:
        journal.add_page("document", "0" * 64, "key", made)
        journal.add_failure("document", "0" * 64, PageFailure("a.pdf", 0, "timeout", ""))
        assert journal.page("key") is not None
        assert journal.occurrences("key") == [("document", "0" * 64, 0)]
        journal.forget(["document"])
        assert journal.page("key") is None
