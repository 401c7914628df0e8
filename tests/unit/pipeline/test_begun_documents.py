"""Documents that were begun but never stored are reported and can be removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opticalrag.ingest.assembly import open_journal
from opticalrag.ingest.core.identity import document_id
from opticalrag.ingest.core.records import PageFailure
from opticalrag.ingest.maintenance.maintenance import clean_store, verify_store
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.pipeline.journal import Journal, JournalEntry

from ...builders import block, page
from .test_pipeline import page_text, write_pdf
from .test_resume import Case, as_if_new, case, cut_off, full_disk, rows

__all__ = ["case"]

SHA256 = "0" * 64
MADE = page_markdown(page(block("Text.")))


def begun(path: str = "/a.pdf") -> JournalEntry:
    return JournalEntry(document_id(path, SHA256, None), path, SHA256, "1" * 64, -1)


def test_verify_lists_documents_that_were_begun_and_never_stored(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run was killed in its first document; verify used to find nothing wrong."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    cut_off(case, monkeypatch)
    (problem,) = verify_store(case.store, case.config).problems

    assert (problem.kind, problem.file) == ("begun", str(file))
    assert case.run().pages_reused == 1
    assert verify_store(case.store, case.config).problems == ()


def test_verify_says_why_no_page_of_a_document_could_be_stored(case: Case) -> None:
    """Every page failed; the reason comes from the journal."""
    write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    journal = open_journal(case.config, create=True)
    assert journal is not None
    with journal:
        entry = begun()
        journal.begin(entry)
        journal.add_failure(entry.id, SHA256, PageFailure("/a.pdf", 0, "timeout", "too slow"))
    (problem,) = verify_store(case.store, case.config).problems

    assert problem.detail.endswith("(page 1: timeout: too slow)")


def test_cleaning_removes_only_documents_that_were_begun(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their recorded pages are deleted; stored documents stay, in the store and in the journal."""
    write_pdf(case.files / "b.pdf", page_text("rotor"))
    case.run()
    write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    cut_off(case, monkeypatch)

    assert rows(case.journal) == {"documents": 2, "pages": 2, "places": 2}
    assert clean_store(case.store, case.config) == (0, 1)
    assert rows(case.journal) == {"documents": 1, "pages": 1, "places": 1}
    assert verify_store(case.store, case.config).problems == ()
    assert case.run().pages_parsed == 2
    assert case.payloads() == as_if_new(case)


def test_cleaning_spares_documents_of_a_running_ingest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A running ingest has the journal open until it ends; a killed one has not."""
    with Journal(tmp_path / "a.db") as running, Journal(tmp_path / "a.db", use="change") as cleaner:
        running.begin(begun())
        assert cleaner.forget_unstored(()) == 0
        assert running.entry(begun().id) is not None
        running.close()
        assert cleaner.forget_unstored((begun().id,)) == 0
        assert cleaner.forget_unstored(()) == 1
    assert caplog.text.count("another process") == 1


def test_text_of_a_document_deleted_while_it_is_read_can_still_be_deleted(tmp_path: Path) -> None:
    """Its next page used to belong to a document that the journal did not list."""
    with Journal(tmp_path / "a.db") as running, Journal(tmp_path / "a.db") as other:
        running.begin(begun())
        other.forget([begun().id])
        running.add_page(begun().id, SHA256, "key", MADE)
        assert [entry.path for entry in other.entries()] == ["/a.pdf"]
        other.forget([begun().id])
        assert other.page("key") is None


def test_pages_of_earlier_contents_stay_until_the_run_ends(tmp_path: Path) -> None:
    """A file that comes later may have them now: two files have swapped names."""
    with Journal(tmp_path / "a.db") as journal:
        journal.begin(begun())
        journal.add_page(begun().id, "1" * 64, "old", MADE)
        journal.add_page(begun().id, SHA256, "new", MADE)
        journal.finish(replace(begun(), chunks=1), {0: "new"})
        assert journal.page("old") is not None
        assert journal.occurrences("old") == []
        journal.drop_unused()
        assert journal.page("old") is None
        assert journal.page("new") is not None


def test_a_document_begun_on_a_full_disk_is_recorded_with_its_first_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room again by then. Without its document the page could not be deleted."""
    with Journal(tmp_path / "a.db") as journal:
        with full_disk(monkeypatch):
            journal.begin(begun())
        journal.add_page(begun().id, SHA256, "key", MADE)
        assert journal.entry(begun().id) == begun()
