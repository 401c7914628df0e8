"""Documents that were begun and never stored: they are seen, and can be removed."""

from __future__ import annotations

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
from .test_resume import Place, as_if_new, cut_off, full_disk, place, rows

__all__ = ["place"]

SHA256 = "0" * 64
MADE = page_markdown(page(block("Text.")))


def begun(path: str = "/a.pdf") -> JournalEntry:
    return JournalEntry(document_id(path, SHA256, None), path, SHA256, "1" * 64, -1)


def test_verify_lists_what_was_begun_and_never_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed in its first document left a store in which all seemed well."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    cut_off(place, monkeypatch)
    (problem,) = verify_store(place.store, place.config).problems

    assert (problem.kind, problem.file) == ("begun", str(file))
    assert place.run().pages_reused == 1
    assert verify_store(place.store, place.config).problems == ()


def test_verify_says_why_nothing_of_a_document_could_be_stored(place: Place) -> None:
    """Every page of it failed."""
    write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    journal = open_journal(place.config, create=True)
    assert journal is not None
    with journal:
        entry = begun()
        journal.begin(entry)
        journal.add_failure(entry.id, SHA256, PageFailure("/a.pdf", 0, "timeout", "too slow"))
    (problem,) = verify_store(place.store, place.config).problems

    assert problem.detail.endswith("(page 1: timeout: too slow)")


def test_cleaning_removes_what_was_begun_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of its pages goes; what is stored stays, and so does what the journal has of it."""
    write_pdf(place.files / "b.pdf", page_text("rotor"))
    place.run()
    write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    cut_off(place, monkeypatch)

    assert rows(place.journal) == {"documents": 2, "pages": 2, "places": 2}
    assert clean_store(place.store, place.config) == (0, 1)
    assert rows(place.journal) == {"documents": 1, "pages": 1, "places": 1}
    assert verify_store(place.store, place.config).problems == ()
    assert place.run().pages_parsed == 2
    assert place.payloads() == as_if_new(place)


def test_cleaning_leaves_what_a_running_ingest_may_have_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the journal open until it ends, also while it writes nothing; a killed one has not."""
    with Journal(tmp_path / "a.db") as running, Journal(tmp_path / "a.db", use="change") as cleaner:
        running.begin(begun())
        assert cleaner.forget_unstored(()) == 0
        assert running.entry(begun().id) is not None
        running.close()
        assert cleaner.forget_unstored((begun().id,)) == 0
        assert cleaner.forget_unstored(()) == 1
    assert caplog.text.count("another process") == 1


def test_text_of_a_document_deleted_while_it_is_read_can_still_be_deleted(tmp_path: Path) -> None:
    """Its next page was of a document that nobody could name."""
    with Journal(tmp_path / "a.db") as running, Journal(tmp_path / "a.db") as other:
        running.begin(begun())
        other.forget([begun().id])
        running.add_page(begun().id, SHA256, "key", MADE)
        assert [entry.path for entry in other.entries()] == ["/a.pdf"]
        other.forget([begun().id])
        assert other.page("key") is None


def test_a_document_begun_on_a_full_disk_is_named_with_its_first_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room was made meanwhile: no text is recorded of a document that cannot be deleted."""
    with Journal(tmp_path / "a.db") as journal:
        with full_disk(monkeypatch):
            journal.begin(begun())
        journal.add_page(begun().id, SHA256, "key", MADE)
        assert journal.entry(begun().id) == begun()
