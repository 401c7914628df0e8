"""Everything done again, and not all of it succeeds: what an earlier run made is not lost."""

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
from .test_resume import Place, as_if_new, edit, place, rows

__all__ = ["place"]


class Failing(TextEngine):
    """Fails on some pages (0-based) of every document."""

    def __init__(self, *pages: int) -> None:
        super().__init__()
        self._pages = pages

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for task in tasks:
            if task.ref.index in self._pages:
                yield PageFailure(task.ref.document.uri, task.ref.index, "timeout", "too slow")
            else:
                yield from super().parse([task])


def force(place: Place, *pages: int, recorded: bool = True) -> IngestReport:
    """Do everything again; these pages fail."""
    journal = open_journal(place.config, create=True) if recorded else None
    try:
        options = IngestOptions(force=True, roots=(str(place.files),))
        return ingest(place.files, place.store, journal, None, options, Failing(*pages))
    finally:
        if journal is not None:
            journal.close()


def test_a_page_that_fails_when_all_is_done_again_is_kept_as_it_was(place: Place) -> None:
    """In the journal, too: the store stays whole, and an edit of another page costs that page."""
    file = write_pdf(place.files / "a.pdf", *(page_text(f"valve {n}") for n in range(4)))
    before = place.run()
    report = force(place, 1)

    (failure,) = report.failures
    assert (failure.index, failure.code) == (1, "timeout")
    assert failure.message == "too slow; what an earlier run read of it is kept"
    assert (report.pages, report.pages_parsed, report.pages_reused) == (4, 3, 1)
    assert (report.documents, report.embedded) == (1, before.chunks)
    assert place.payloads() == as_if_new(place)
    assert rows(place.journal) == {"documents": 1, "pages": 4, "places": 4}
    assert place.run().unchanged == 1
    edit(file, 3, "The rotor was replaced.")
    assert place.run().pages_parsed == 1


@pytest.mark.parametrize("pages", [(1,), (0, 1, 2, 3)])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_whole_document_stays_when_it_cannot_be_made_again(
    place: Place, pages: tuple[int, ...], recorded: bool
) -> None:
    """Where no journal has the page, its chunks were left beside others that said otherwise."""
    write_pdf(place.files / "a.pdf", *(page_text(f"valve {n}") for n in range(4)))
    place.run()
    place.journal.unlink()
    report = force(place, *pages, recorded=recorded)

    assert [failure.index for failure in report.failures] == list(pages)
    assert (report.points_written, report.points_deleted) == (0, 0)
    assert report.documents == (len(pages) < 4)
    assert place.payloads() == as_if_new(place)
    assert place.run().unchanged == 1


def test_a_page_that_was_never_read_fails_as_ever(place: Place) -> None:
    """There is nothing to keep; the next run tries it again."""
    write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    report = force(place, 1)

    assert [failure.message for failure in report.failures] == ["too slow"]
    assert (report.pages, report.pages_reused) == (1, 0)
    assert place.run().pages_parsed == 1
    assert place.payloads() == as_if_new(place)


def test_a_failure_costs_no_text_that_the_journal_has_of_the_page(tmp_path: Path) -> None:
    """As another engine read it: the store may have it, and a deletion finds it."""
    made = page_markdown(page(block("Text.")))
    with Journal(tmp_path / "a.db") as journal:
        journal.add_page("document", "0" * 64, "key", made)
        journal.add_failure("document", "0" * 64, PageFailure("a.pdf", 0, "timeout", ""))
        assert journal.page("key") is not None
        assert journal.places("key") == [("document", "0" * 64, 0)]
        journal.forget(["document"])
        assert journal.page("key") is None
